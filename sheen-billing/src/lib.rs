//! A ledger of AI seconds.

pub mod account;
