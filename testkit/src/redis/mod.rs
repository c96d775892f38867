//! A private Redis server or cluster, and keys of its own for each test.

mod cluster;
mod server;
mod space;

pub use cluster::{RedisCluster, TestCluster, redis_cluster};
pub use server::{RedisServer, RedisStartError};
pub use space::{REDIS_URL_VARIABLE, TestRedis, redis};
