//! Stores on real servers whose clocks a test moves, forward and back.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sheen_auth::postgres::migrate;
use sheen_core::runtime::BoxFuture;
use sheen_core::time::{Advance, Clock, ManualClock, Timestamp};
use sqlx::PgPool;
use testkit::{TestDatabase, TestRedis};

pub(super) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(super) async fn connection(of: &TestRedis) -> MultiplexedConnection {
    let client = redis::Client::open(of.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

pub(super) fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(START))
}

/// A migrated database whose clock says what a manual one says.
#[derive(Clone)]
pub(super) struct Database {
    pub(super) pool: PgPool,
    /// Beside the pool, so that the database outlives it.
    _kept: Arc<TestDatabase>,
    clock: Arc<ManualClock>,
}

impl Database {
    pub(super) async fn new() -> Self {
        let kept = testkit::postgres().await;
        let pool = kept.pool(16).await;
        migrate(&pool).await.unwrap();
        sheen_core::postgres::testing::install_clock(&pool)
            .await
            .unwrap();
        let database = Self {
            pool,
            _kept: Arc::new(kept),
            clock: manual_clock(),
        };
        database.set(START).await;
        database
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sets the clock, also back.
    pub(super) async fn set(&self, now: Timestamp) {
        self.clock.set_wall(now);
        sqlx::query("UPDATE sheen.test_clock SET now_ms = $1")
            .bind(now.as_millis())
            .execute(&self.pool)
            .await
            .unwrap();
    }

    pub(super) fn advance(&self) -> Advance {
        let database = self.clone();
        Advance::new(move |by: Duration| -> BoxFuture<'static, ()> {
            let database = database.clone();
            Box::pin(async move { database.set(database.now().plus(by)).await })
        })
    }
}
