//! Private servers for tests, and ways to break them. Unpublished; names no sheen crate.
//!
//! [`postgres`](postgres()) gives a test a fresh database on a PostgreSQL server of this test
//! process alone. The server is started by the first test that asks, listens on a unix socket only,
//! and is gone, folder and all, once the process ends: by returning, by a panic or by `kill -9`.
//!
//! `SHEEN_TEST_DATABASE_URL` names a server of one's own instead; each test then makes a database
//! there and drops it when it ends. A machine with neither fails the test and says what to
//! install; nothing is skipped.
//!
//! [`redis`](redis()) does the same with a Redis server, whose tests have a prefix for their keys
//! each; `SHEEN_TEST_REDIS_URL` names one of one's own. [`redis_cluster`] is three masters, private
//! always.
//!
//! To break things: a [`Proxy`] between a client and a server cuts or holds the n-th message;
//! [`TestDatabase::terminate`] ends sessions; [`stop`] makes a process stand still and [`kill`]
//! ends it; [`PostgresServer::crash`] kills a server whose data stays, and
//! [`PostgresServer::restart`] starts it again.
//!
//! [`Proof`] says whether a test runs in its smoke form or, under `cargo xtask prove`, in full.

mod condition;
mod folder;
mod guard;
mod postgres;
mod process;
mod proof;
mod proxy;
mod redis;

pub use condition::{until, until_async};
pub use postgres::{
    Durability, INSTALL, PostgresServer, StartError, TestDatabase, URL_VARIABLE, postgres,
};
pub use process::{Stopped, is_there, kill, stop};
pub use proof::{PROOF_VARIABLE, Proof};
pub use proxy::{Held, Place, Proxy, To};
pub use redis::{
    REDIS_URL_VARIABLE, RedisCluster, RedisServer, RedisStartError, TestCluster, TestRedis, redis,
    redis_cluster,
};
