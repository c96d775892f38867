//! Settings from pairs of name and value (wire.md §14): read once, every problem told at once, no
//! value ever shown.
//!
//! 1. The pairs are given, never taken from the environment: a test gives its own.
//! 2. Every problem is gathered and names its variable. No message holds a value: it may be a
//!    secret, or a secret put into the wrong variable.
//! 3. A variable that is set to nothing is as good as not set, but an empty secret is refused:
//!    something meant to give one and did not.
//! 4. A variable that a browser would be sent (`NEXT_PUBLIC_…`) is refused when its name speaks
//!    of a secret or the worker, or its value is a secret that was read here.
//!
//! A service reads the family's settings and its own from the same [`Variables`], so that one
//! answer tells everything that is wrong:
//!
//! ```
//! use sheen_core::settings::{Settings, Variables};
//! let mut variables = Variables::new([
//!     ("SHEEN_ADDR", "127.0.0.1:80800"),
//!     ("WORKER_SHARED_SECRET", "too short"),
//!     ("GREETING_SECONDS", "soon"),
//! ]);
//! let settings = Settings::read(&mut variables);
//! let greeting = variables.number("GREETING_SECONDS", 5, 1..=60);
//! let errors = variables.finish((settings, greeting)).unwrap_err();
//! let names: Vec<_> = errors.problems().iter().map(|problem| &*problem.variable).collect();
//! assert_eq!(names, ["WORKER_SHARED_SECRET", "SHEEN_ADDR", "GREETING_SECONDS"]);
//! assert!(!errors.to_string().contains("too short"));
//! ```

mod types;
mod variables;

#[cfg(test)]
mod tests;

pub use types::{ConnectionUrl, SIGNATURE_MODE, Settings, SigningKey};
pub use variables::{Problem, SettingsError, Variables};
