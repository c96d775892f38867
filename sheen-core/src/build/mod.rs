//! Builds: one active build per project, states that never go back, and claims with a fencing
//! token (wire.md §5).

mod decide;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use decide::*;
pub use store::{BuildReader, BuildStore};
pub use types::*;
