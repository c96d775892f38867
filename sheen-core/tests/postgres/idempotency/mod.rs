//! Idempotency records: the conformance suite, and what only PostgreSQL can get wrong.

mod guards;
mod locks;
mod plans;
mod transactional;

use std::sync::Arc;
use std::time::Duration;

use sheen_core::id::{PrincipalId, UserId};
use sheen_core::idempotency::conformance::IdempotencyHarness;
use sheen_core::idempotency::{
    BeginOutcome, Fingerprint, IdempotencyKey, IdempotencyStore, Lease, LeaseOutcome, Lifetimes,
    PgIdempotencyStore, Scope, StoredAnswer,
};
use sheen_core::postgres::{migrate, testing};
use sheen_core::time::{Advance, Timestamp};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use testkit::TestDatabase;

use super::support::{OnDatabase, count};

/// A migrated database whose clock stands still, and a store of leases over it.
struct Keys {
    store: Arc<PgIdempotencyStore>,
    pool: PgPool,
    /// Declared last: the database outlives its pool.
    database: TestDatabase,
}

impl OnDatabase for Keys {
    fn pool(&self) -> &PgPool {
        &self.pool
    }

    fn database(&self) -> &TestDatabase {
        &self.database
    }
}

impl Keys {
    async fn new() -> Self {
        Self::with(|options| options).await
    }

    async fn with(options: impl FnOnce(PgConnectOptions) -> PgConnectOptions) -> Self {
        Self::on(testkit::postgres().await, options).await
    }

    async fn on(
        database: TestDatabase,
        options: impl FnOnce(PgConnectOptions) -> PgConnectOptions,
    ) -> Self {
        let pool = database.pool_with(16, options(database.options())).await;
        migrate(&pool).await.unwrap();
        testing::install_clock(&pool).await.unwrap();
        let store = PgIdempotencyStore::new(pool.clone(), Lifetimes::default());
        Self {
            store: Arc::new(store),
            pool,
            database,
        }
    }

    fn harness(self) -> IdempotencyHarness {
        let pool = self.pool.clone();
        let advance = Advance::new(move |duration| {
            let pool = pool.clone();
            Box::pin(async move { testing::advance_clock(&pool, duration).await.unwrap() })
        });
        IdempotencyHarness::new(self.store.clone(), advance).with_guard(self)
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

    async fn begin(&self, name: &str, call: u8) -> BeginOutcome {
        let begun = self.store.begin(&scope(), &key(name), print(call)).await;
        begun.unwrap()
    }

    async fn started(&self, name: &str) -> Lease {
        match self.begin(name, 1).await {
            BeginOutcome::Started(lease) => lease,
            refused => panic!("not started: {refused:?}"),
        }
    }

    async fn done(&self, name: &str) -> Lease {
        let lease = self.started(name).await;
        let done = self.store.complete(&lease, answer(name)).await.unwrap();
        assert_eq!(done, LeaseOutcome::Done);
        lease
    }
}

fn scope() -> Scope {
    Scope::new(
        PrincipalId::parse("web").unwrap(),
        UserId::parse("ada").unwrap(),
    )
}

fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey::parse(name.as_bytes()).unwrap()
}

fn print(call: u8) -> Fingerprint {
    Fingerprint::of("POST", "/v1/update-project", "", &[call; 32])
}

fn answer(text: &str) -> StoredAnswer {
    let headers = vec![("content-type".into(), "application/json".into())];
    StoredAnswer::new(202, headers, text.as_bytes(), "req_1").unwrap()
}

const LEASE: Duration = Duration::from_secs(60);

mod usual {
    sheen_core::idempotency_store_conformance!(async { super::Keys::new().await.harness() });
}

/// S3: the plans a pooler's or a long-lived connection would come to.
mod s3_generic_plans {
    sheen_core::idempotency_store_conformance!(async {
        let blind = [
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_nestloop", "off"),
            // A plan that needs what is off looks dear enough to be compiled, at 100 ms a time.
            ("jit", "off"),
        ];
        super::Keys::with(|options| options.options(blind))
            .await
            .harness()
    });
}

#[tokio::test]
async fn i13_texts_with_nul_and_backslash_come_back_as_they_were() {
    let keys = Keys::new().await;
    let odd = "a\0b\\0c\\\\é\u{1}\"";
    let headers = vec![("link".into(), odd.into()), ("etag".into(), "".into())];
    let answer = StoredAnswer::new(200, headers, &b"\0\xff"[..], odd).unwrap();
    let lease = keys.started("k").await;
    keys.store.complete(&lease, answer.clone()).await.unwrap();
    assert_eq!(keys.begin("k", 1).await, BeginOutcome::Replay(answer));
}

#[tokio::test]
async fn a_step_is_one_statement() {
    let keys = Keys::new().await;
    // A server of one's own needs shared_preload_libraries = 'pg_stat_statements'.
    sqlx::raw_sql("CREATE EXTENSION pg_stat_statements")
        .execute(&keys.pool)
        .await
        .unwrap();
    let store = &keys.store;
    count(&keys).await;

    let lease = keys.started("k").await;
    assert_eq!(count(&keys).await, 1, "beginning of a new key");
    assert_eq!(keys.begin("k", 1).await, BeginOutcome::InProgress);
    assert_eq!(count(&keys).await, 1, "repeat while it runs");
    assert_eq!(keys.begin("k", 2).await, BeginOutcome::Reused);
    assert_eq!(count(&keys).await, 1, "another call");
    store.extend(&lease).await.unwrap();
    assert_eq!(count(&keys).await, 1, "extension");
    for what in ["completion", "its repeat"] {
        let done = store.complete(&lease, answer("k")).await.unwrap();
        assert_eq!(done, LeaseOutcome::Done);
        assert_eq!(count(&keys).await, 1, "{what}");
    }
    assert_eq!(keys.begin("k", 1).await, BeginOutcome::Replay(answer("k")));
    assert_eq!(count(&keys).await, 1, "replay");
    store.look(&scope(), &key("k"), print(1)).await.unwrap();
    assert_eq!(count(&keys).await, 1, "look");
    store.extend(&lease).await.unwrap();
    assert_eq!(count(&keys).await, 1, "extension of what was done");
    let other = keys.started("other").await;
    count(&keys).await;
    store.abandon(&other).await.unwrap();
    assert_eq!(count(&keys).await, 1, "abandoning");
    let late = keys.started("late").await;
    keys.advance(LEASE).await;
    count(&keys).await;
    keys.started("late").await;
    assert_eq!(count(&keys).await, 2, "take-over: what is there, then ours");
    store.complete(&late, answer("late")).await.unwrap();
    assert_eq!(count(&keys).await, 1, "a late holder's completion");
    store.reap(100).await.unwrap();
    assert_eq!(count(&keys).await, 1, "reaping");
}

/// I19: two operations over one table keep the lifetimes that each was given.
#[tokio::test]
async fn i19_two_stores_over_one_table_keep_their_own_lifetimes() {
    let keys = Keys::new().await;
    let (short, long) = (Duration::from_secs(10), Duration::from_secs(600));
    let of = |life| PgIdempotencyStore::new(keys.pool.clone(), Lifetimes::new(life * 10, life));
    for (name, life) in [("short", short), ("long", long), ("again", short)] {
        let now = keys.now().await;
        let begun = of(life).begin(&scope(), &key(name), print(1)).await;
        let Ok(BeginOutcome::Started(lease)) = begun else {
            panic!("not started: {begun:?}");
        };
        assert_eq!(lease.expires_at, now.plus(life), "{name}");
        let done = of(life).complete(&lease, answer(name)).await.unwrap();
        assert_eq!(done, LeaseOutcome::Done);
    }
    keys.advance(short * 10).await;
    // Each is gone once its own store said so, whichever store asks.
    for (name, there) in [("short", false), ("long", true), ("again", false)] {
        for life in [short, long] {
            let seen = of(life).look(&scope(), &key(name), print(1)).await.unwrap();
            assert_eq!(seen.is_some(), there, "{name}");
        }
    }
}
