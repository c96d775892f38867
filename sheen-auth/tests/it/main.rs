//! The rooms on real servers.

mod limit_redis;
