//! What every PostgreSQL adapter shares: migrations, the store's clock, and what a failure means.
//!
//! 1. Everything lives in the schema `sheen`. [`migrate`] makes this crate's part; the other
//!    crates bring a [`Migrations`] list of their own to the same runner.
//! 2. Time is `sheen.now_ms()`, read after a lock was taken and in a later statement.
//! 3. A step is one statement in autocommit: no transaction is open across a round trip, no
//!    session setting and no session lock is used, so a transaction pooler may stand between.
//! 4. Give the pool `test_before_acquire(false)` to save the ping before each step: a step on a
//!    connection that broke meanwhile is answered as [`StoreErrorKind::OutcomeUnknown`], and every
//!    step may be repeated.
//!
//! [`StoreErrorKind::OutcomeUnknown`]: crate::error::StoreErrorKind::OutcomeUnknown

mod error;
mod line;
mod migrations;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;

pub use error::{connect_error, repeat_after, row, rows, step_error, uncommitted};
pub use line::Line;
pub use migrations::{MIGRATIONS, MigrateError, Migration, Migrations, migrate};
pub use text::{escape, unescape};
