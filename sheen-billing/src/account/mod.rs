//! Accounts: buckets, holds and double entries (wire.md §6).

mod store;
mod types;

pub use store::{CreditReader, CreditStore, CreditSweep, GrantStore};
pub use types::*;
