//! Idempotency: a call repeated with the same key happens once (wire.md §4).

mod store;
mod types;

pub use store::IdempotencyStore;
pub use types::*;
