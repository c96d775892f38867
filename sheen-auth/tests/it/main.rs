//! The rooms on real servers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clocks;
mod cluster;
mod limit_redis;
mod replay;
mod replay_postgres;
mod replay_redis;
mod revocation;
