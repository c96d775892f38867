//! sheen-events on a real PostgreSQL: the log's contract, the schema's own rules, who sees what.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod guards;
mod order;
mod retention;
mod security;
mod statements;
mod storm;
mod wake;
mod within;

use std::sync::Arc;

use serde_json::json;
use sheen_core::entropy::OsEntropy;
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::postgres::testing;
use sheen_core::token::FencingToken;
use sheen_events::log::{
    Append, AppendOutcome, Event, EventLog, EventType, NewEvent, NewStream, PgEventLog,
};
use sheen_events::postgres::migrate;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use testkit::TestDatabase;

/// A migrated database whose clock stands still, and a log in it.
struct World {
    log: Arc<PgEventLog>,
    pool: PgPool,
    /// Declared last: the database outlives its pool.
    database: TestDatabase,
}

impl World {
    async fn new() -> Self {
        Self::with(|options| options).await
    }

    async fn with(options: impl FnOnce(PgConnectOptions) -> PgConnectOptions) -> Self {
        Self::over(testkit::postgres().await, options).await
    }

    async fn over(
        database: TestDatabase,
        options: impl FnOnce(PgConnectOptions) -> PgConnectOptions,
    ) -> Self {
        let pool = database.pool_with(16, options(database.options())).await;
        migrate(&pool).await.unwrap();
        testing::install_clock(&pool).await.unwrap();
        let log = Arc::new(PgEventLog::new(pool.clone(), Arc::new(OsEntropy)));
        Self {
            log,
            pool,
            database,
        }
    }

    async fn open(&self, name: &str, user: &str) -> BuildId {
        let build = BuildId::parse(name).unwrap();
        let user = UserId::parse(user).unwrap();
        let session = BuildSessionId::parse(&format!("bs_{name}")).unwrap();
        let stream = NewStream::new(build.clone(), user, session);
        self.log.open(stream).await.unwrap();
        build
    }

    async fn append(&self, append: Append) -> Vec<Event> {
        match self.log.append(append).await.unwrap() {
            AppendOutcome::Appended(events) => events,
            other => panic!("{other:?}"),
        }
    }
}

fn event(kind: EventType, message: &str) -> NewEvent {
    let data = json!({ "message": message });
    NewEvent::new(kind, data.as_object().unwrap()).unwrap()
}

fn logs(count: usize) -> Vec<NewEvent> {
    (0..count)
        .map(|n| event(EventType::BUILD_LOG, &n.to_string()))
        .collect()
}

fn append(build: &BuildId, events: Vec<NewEvent>) -> Append {
    Append::new(build.clone(), FencingToken::ZERO, events)
}
