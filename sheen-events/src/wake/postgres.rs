//! Wake-ups by LISTEN and NOTIFY.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::id::BuildId;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};

use super::bus::{Bus, Channel, Failure, Inlet, Outlet, WakeConfig, WakeParts};
use super::{Listener, Wake};

const CHANNEL: &str = "sheen_events";

/// Wakes the readers of every process on one PostgreSQL database.
///
/// Two connections of its own, beside any pool: one listens; one sends what was rung, batched, with
/// `synchronous_commit` off, so that no append waits for a notification or the other way round.
/// Whatever goes wrong with either (an error, a connection made anew, a canary that does not come
/// back) wakes everyone to look, and both are connected anew. Where LISTEN does not work (a hot
/// standby, a transaction pooler) it is just never healthy, and readers look by themselves.
#[derive(Clone)]
pub struct PgWake(Bus);

impl fmt::Debug for PgWake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PgWake").field(&self.is_healthy()).finish()
    }
}

impl PgWake {
    /// Starts on the database of `options`. The tasks end when the last clone is dropped.
    #[must_use]
    pub fn start(options: PgConnectOptions, parts: WakeParts, config: WakeConfig) -> Self {
        Self(Bus::start(PgChannel(options), parts, config))
    }
}

impl Wake for PgWake {
    fn ring(&self, build: &BuildId) {
        self.0.ring(build);
    }

    fn listen(&self, build: &BuildId) -> Box<dyn Listener> {
        self.0.listen(build)
    }

    fn poll_interval(&self) -> Duration {
        self.0.poll_interval()
    }

    fn is_healthy(&self) -> bool {
        self.0.is_healthy()
    }
}

#[derive(Debug)]
struct PgChannel(PgConnectOptions);

#[async_trait]
impl Channel for PgChannel {
    async fn sender(&self) -> Result<Box<dyn Outlet>, Failure> {
        let mut connection = self.0.connect().await?;
        sqlx::raw_sql("SET synchronous_commit = off")
            .execute(&mut connection)
            .await?;
        Ok(Box::new(Sender(connection)))
    }

    async fn hearer(&self) -> Result<Box<dyn Inlet>, Failure> {
        // A pool of its own, so that a new hearer is a new connection (C4).
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_with(self.0.clone())
            .await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.ignore_pool_close_event(true);
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(Box::new(Hearer(listener)))
    }
}

struct Sender(PgConnection);

#[async_trait]
impl Outlet for Sender {
    async fn send(&mut self, words: &[String]) -> Result<(), Failure> {
        sqlx::query(include_str!("sql/notify.sql"))
            .bind(CHANNEL)
            .bind(words)
            .execute(&mut self.0)
            .await?;
        Ok(())
    }
}

struct Hearer(PgListener);

#[async_trait]
impl Inlet for Hearer {
    async fn hear(&mut self) -> Result<String, Failure> {
        // `None` is a connection that was lost, and so is every error (C3).
        match self.0.try_recv().await? {
            Some(notification) => Ok(notification.payload().to_owned()),
            None => Err("the connection was lost".into()),
        }
    }
}
