//! Builds: one active build per project, states that never go back, and claims with a fencing
//! token (wire.md §5).

#[cfg(feature = "conformance")]
pub mod conformance;
mod decide;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use decide::*;
pub use memory::{BuildState, MemoryBuildStore};
#[cfg(feature = "postgres")]
pub use postgres::PgBuildStore;
pub use store::{BuildReader, BuildStore};
pub use types::*;
