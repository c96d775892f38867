//! sheen-billing on a real PostgreSQL: the store of accounts, and the schema's own rules.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod fire;
mod guards;
mod mending;
mod midnight;
mod model;
mod samples;
mod several;
mod statements;
mod together;
mod within;

use std::sync::Arc;
use std::time::Duration;

use sheen_billing::account::{CreditPolicy, PgCreditStore};
use sheen_billing::postgres::migrate;
use sheen_core::postgres::testing;
use sheen_core::time::Timestamp;
use sqlx::postgres::PgConnectOptions;
use sqlx::{PgPool, raw_sql};
use testkit::TestDatabase;

/// A migrated database whose clock stands still at noon, and a store over it.
struct World {
    store: Arc<PgCreditStore>,
    pool: PgPool,
    /// Declared last: the database outlives its pool.
    database: TestDatabase,
}

impl World {
    async fn new(policy: CreditPolicy) -> Self {
        Self::with(policy, |options| options).await
    }

    async fn with(
        policy: CreditPolicy,
        options: impl FnOnce(PgConnectOptions) -> PgConnectOptions,
    ) -> Self {
        Self::on(testkit::postgres().await, policy, options).await
    }

    async fn on(
        database: TestDatabase,
        policy: CreditPolicy,
        options: impl FnOnce(PgConnectOptions) -> PgConnectOptions,
    ) -> Self {
        let pool = database.pool_with(16, options(database.options())).await;
        migrate(&pool).await.unwrap();
        testing::install_clock(&pool).await.unwrap();
        let noon = Timestamp::parse_rfc3339("2026-11-20T12:00:00Z").unwrap();
        sqlx::query("UPDATE sheen.test_clock SET now_ms = $1")
            .bind(noon.as_millis())
            .execute(&pool)
            .await
            .unwrap();
        let store = Arc::new(PgCreditStore::new(pool.clone(), policy));
        Self {
            store,
            pool,
            database,
        }
    }

    async fn advance(&self, duration: Duration) {
        testing::advance_clock(&self.pool, duration).await.unwrap();
    }

    async fn run(&self, script: &'static str) {
        raw_sql(script).execute(&self.pool).await.unwrap();
    }
}
