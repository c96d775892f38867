//! A private Redis server, and keys of its own for each test.

mod server;
mod space;

pub use server::{RedisServer, RedisStartError};
pub use space::{REDIS_URL_VARIABLE, TestRedis, redis};
