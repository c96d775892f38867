//! Idempotency: a call repeated with the same key happens once (wire.md §4).

#[cfg(feature = "conformance")]
pub mod conformance;
mod decide;
mod memory;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use decide::*;
pub use memory::{IdempotencyState, MemoryIdempotencyStore};
pub use store::IdempotencyStore;
pub use types::*;
