//! Quick suggestions: what to do next, said at once and without any model (wire.md §8).
//!
//! 1. At most four, by falling confidence, ties in the order of the wire's table.
//! 2. A text mentions a keyword when one of its words begins with it, case and accents folded; a
//!    word is a run of letters and digits. «Bookings» mentions booking, «prebooking» does not.
//! 3. The rules read English keywords, since an analysis is written in English whatever the
//!    person speaks; [`analyse_prompt`] reads what people write, in English and Arabic.
//! 4. Texts exist in English and Arabic; [`content_language`] says which one an answer is in.
//! 5. Nothing is allocated, and every text is static.
//!
//! ```
//! use sheen_core::locale::Locale;
//! use sheen_core::suggest::{Analysis, analyse_prompt, suggest};
//!
//! let analysis = Analysis {
//!     services: &["Online bookings"],
//!     missing_information: &["opening hours"],
//!     ..Analysis::default()
//! };
//! let ids = |locale| suggest(&analysis, locale).iter().map(|s| s.id).collect::<Vec<_>>();
//! assert_eq!(ids(Locale::En), ["qs-hours", "qs-seo", "qs-analytics", "qs-accessibility"]);
//! assert_eq!(ids(Locale::En), ids(Locale::Ar));
//!
//! // A build starts from a prompt alone; what it does not speak of is missing.
//! let found = analyse_prompt("Create a salon website with our prices and a contact form");
//! let first = suggest(&found.as_analysis(), Locale::En);
//! assert_eq!(first.as_slice()[0].id, "qs-hours");
//! ```

mod decide;
mod prompt;
#[cfg(test)]
mod tests;
mod texts;
mod types;
mod words;

pub use decide::{content_language, suggest};
pub use prompt::{PromptAnalysis, analyse_prompt};
pub use types::{Analysis, Category, Suggestion, Suggestions};
