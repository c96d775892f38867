//! Builds: one active build per project, states that never go back, and claims with a fencing
//! token (wire.md §5).

mod store;
mod types;

pub use store::{BuildReader, BuildStore};
pub use types::*;
