//! sheen-core on a real PostgreSQL: migrations, the schema's own rules, and the store of builds.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod builds;
mod guards;
mod idempotency;
mod locks;
mod migrations;
mod plans;
mod settled;
mod statements;
mod support;
mod within;

use std::sync::Arc;
use std::time::Duration;

use sheen_core::build::conformance::BuildHarness;
use sheen_core::build::settled::conformance::OutboxHarness;
use sheen_core::build::settled::{Delivery, SettledOutbox};
use sheen_core::build::{
    Build, BuildInput, BuildKind, Claimed, Deadlines, NewBuild, PgBuildStore, Queued, StartOutcome,
};
use sheen_core::build::{BuildReader, BuildStore};
use sheen_core::files::FileSet;
use sheen_core::id::{BuildId, BuildSessionId, ObserverId, ProjectId, UserId, VersionId, WorkerId};
use sheen_core::postgres::{migrate, testing};
use sheen_core::time::{Advance, Timestamp};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use testkit::TestDatabase;

/// A migrated database whose clock stands still, and a store over it.
struct World {
    store: Arc<PgBuildStore>,
    pool: PgPool,
    /// Declared last: the database outlives its pool.
    database: TestDatabase,
}

impl support::OnDatabase for World {
    fn pool(&self) -> &PgPool {
        &self.pool
    }

    fn database(&self) -> &TestDatabase {
        &self.database
    }
}

impl World {
    /// What `observer` is to be told, leased by a worker.
    async fn leased(&self, observer: &ObserverId, most: u32) -> Vec<Delivery> {
        let leased = self.store.lease(observer, &worker(), most).await;
        leased.unwrap().deliveries
    }

    async fn new() -> Self {
        Self::with(|options| options).await
    }

    async fn with(options: impl FnOnce(PgConnectOptions) -> PgConnectOptions) -> Self {
        let database = testkit::postgres().await;
        let pool = database.pool_with(16, options(database.options())).await;
        migrate(&pool).await.unwrap();
        testing::install_clock(&pool).await.unwrap();
        let store = Arc::new(PgBuildStore::new(pool.clone(), Deadlines::default()));
        Self {
            store,
            pool,
            database,
        }
    }

    fn harness(self) -> BuildHarness {
        let pool = self.pool.clone();
        let advance = Advance::new(move |duration| {
            let pool = pool.clone();
            Box::pin(async move { testing::advance_clock(&pool, duration).await.unwrap() })
        });
        BuildHarness::new(self.store.clone(), self.store.clone(), advance).with_guard(self)
    }

    fn outbox(self) -> OutboxHarness {
        let store = self.store.clone();
        OutboxHarness::new(self.harness(), store.clone(), store)
    }

    async fn advance(&self, duration: Duration) {
        testing::advance_clock(&self.pool, duration).await.unwrap();
    }

    async fn now(&self) -> Timestamp {
        let millis: i64 = sqlx::query_scalar("SELECT sheen.now_ms()")
            .fetch_one(&self.pool)
            .await
            .unwrap();
        Timestamp::from_millis(millis)
    }

    async fn started(&self, new: NewBuild) -> Queued {
        match self.store.start(new).await.unwrap() {
            StartOutcome::Started(queued) => queued,
            refused => panic!("not started: {refused:?}"),
        }
    }

    async fn claimed(&self) -> Claimed {
        self.store.claim(&worker()).await.unwrap().unwrap()
    }

    async fn row(&self, build: &BuildId) -> Build {
        self.store.get(build).await.unwrap().unwrap().build
    }
}

fn worker() -> WorkerId {
    WorkerId::parse("wrk_1").unwrap()
}

/// Build `n` of `user` for `project`, in a session of its own.
fn new_build(n: u32, user: &str, project: &str) -> NewBuild {
    NewBuild::new(
        BuildId::parse(&format!("bld_{n}")).unwrap(),
        VersionId::parse(&format!("ver_{n}")).unwrap(),
        UserId::parse(user).unwrap(),
        ProjectId::parse(project).unwrap(),
        BuildSessionId::parse(&format!("bs_{n}")).unwrap(),
        BuildInput::new(BuildKind::Create, "a site", FileSet::default()),
    )
}
