//! A fresh set of keys for each test.

use std::sync::OnceLock;

use super::server::{RedisServer, RedisStartError};

/// Names a server of one's own, in place of a private one.
pub const REDIS_URL_VARIABLE: &str = "SHEEN_TEST_REDIS_URL";

/// The one private server of this process. It is never dropped: the end of the process ends it.
static SERVER: OnceLock<Result<RedisServer, RedisStartError>> = OnceLock::new();

/// Keys of their own on the server of this process, or on the one that `SHEEN_TEST_REDIS_URL`
/// names.
///
/// # Panics
/// When there is no server: the message says what to install.
#[must_use]
pub fn redis() -> TestRedis {
    let url = match std::env::var(REDIS_URL_VARIABLE) {
        Ok(url) => url,
        Err(_) => match SERVER.get_or_init(RedisServer::start) {
            Ok(server) => server.url(),
            Err(error) => panic!("{error}"),
        },
    };
    TestRedis {
        url,
        prefix: format!("sheen_test_{:016x}:", fastrand::u64(..)),
    }
}

/// A server and the keys on it that are one test's.
///
/// A private server's keys go with it. On a server of one's own they stay: give what a test writes
/// a time to live.
#[derive(Debug, Clone)]
pub struct TestRedis {
    url: String,
    prefix: String,
}

impl TestRedis {
    /// The server's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What every key of the test begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}
