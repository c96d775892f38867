//! The private servers and what breaks them, from outside.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod holders;
mod postgres;
mod proxy;
mod redis;
