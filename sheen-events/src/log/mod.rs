//! The log: events of a build, numbered without gaps (wire.md §7).

mod store;
mod types;

pub use store::EventLog;
pub use types::*;
