//! Conversations, the log for support and recommendations on a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod messages;
mod recommendations;
mod security;

use std::time::Duration;

use sheen_core::postgres::testing;
use sheen_core::time::Advance;
use sheen_events::postgres::migrate;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use testkit::TestDatabase;

/// A migrated database whose clock stands still.
struct World {
    pool: PgPool,
    /// Declared last: the database outlives its pool.
    database: TestDatabase,
}

impl World {
    async fn new() -> Self {
        Self::with(|options| options).await
    }

    async fn with(options: impl FnOnce(PgConnectOptions) -> PgConnectOptions) -> Self {
        let database = testkit::postgres().await;
        let pool = database.pool_with(16, options(database.options())).await;
        migrate(&pool).await.unwrap();
        testing::install_clock(&pool).await.unwrap();
        Self { pool, database }
    }

    /// With plans that PostgreSQL would not choose.
    async fn generic() -> Self {
        Self::with(|options| {
            options.options([
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_nestloop", "off"),
                ("jit", "off"),
            ])
        })
        .await
    }

    fn advance(&self) -> Advance {
        let pool = self.pool.clone();
        Advance::new(move |duration: Duration| {
            let pool = pool.clone();
            Box::pin(async move { testing::advance_clock(&pool, duration).await.unwrap() })
        })
    }
}
