//! The replay store on PostgreSQL: one statement a step, the clock after the lock, shards, and
//! forgetting in batches.

use std::sync::Arc;
use std::time::Duration;

use sheen_auth::postgres::{MIGRATIONS, migrate};
use sheen_auth::replay::{Claim, ClaimOutcome, Once, PgReplayStore, ReplayStore, V1Mark};
use sheen_core::error::StoreErrorKind;
use sheen_core::id::PrincipalId;
use sqlx::{Connection, PgPool};
use testkit::until_async;

use super::clocks::Database;

const SECOND: Duration = Duration::from_secs(1);

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

async fn number(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_step_is_one_statement() {
    let database = Database::new().await;
    let pool = &database.pool;
    sqlx::raw_sql("CREATE EXTENSION pg_stat_statements")
        .execute(pool)
        .await
        .unwrap();
    let count = || async {
        let counted = number(
            pool,
            "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
             WHERE toplevel AND query NOT LIKE '%pg_stat_statements%'
             AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await;
        sqlx::raw_sql("SELECT pg_stat_statements_reset()")
            .execute(pool)
            .await
            .unwrap();
        counted
    };
    let store = PgReplayStore::new(pool.clone(), 500);
    let (web, mark) = (id("web"), V1Mark::from_bytes([7; 32]));
    let claim = Claim::new(&web, Once::Nonce("nonce-0123456789"), database.now());
    let claim = claim.with_mark(Some(mark));
    count().await;
    assert_eq!(store.claim(&claim).await.unwrap(), ClaimOutcome::Claimed);
    assert_eq!(
        count().await,
        1,
        "the first claim of a principal, with its mark"
    );
    assert_eq!(store.claim(&claim).await.unwrap(), ClaimOutcome::Replayed);
    assert_eq!(count().await, 1, "a replay");
    assert!(store.v1_marked(&web, &mark).await.unwrap());
    assert_eq!(count().await, 1, "a look");
    store.reap(10).await.unwrap();
    assert_eq!(count().await, 1, "a reaping");
}

/// T4: a claim that waited past its end for another's lock is too old.
#[tokio::test]
async fn the_clock_is_read_after_the_lock_was_taken() {
    let database = Database::new().await;
    let store = Arc::new(PgReplayStore::new(database.pool.clone(), 500));
    let web = id("web");
    let first = Claim::new(&web, Once::Nonce("nonce-0123456789"), database.now());
    store.claim(&first).await.unwrap();
    let mut holder = database.pool.acquire().await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM sheen.replay_shards FOR UPDATE")
        .fetch_all(&mut *held)
        .await
        .unwrap();
    let (waiting, at) = (Arc::clone(&store), database.now());
    #[expect(clippy::disallowed_methods, reason = "a step that waits needs a task")]
    let step = tokio::spawn(async move {
        let web = id("web");
        let claim = Claim::new(&web, Once::Nonce("nonce-that-waits-long"), at);
        waiting.claim(&claim).await.unwrap()
    });
    until_async("the claim waits for the shard", || async {
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        number(&database.pool, waits).await == 1
    })
    .await;
    database.set(at.plus(721 * SECOND)).await;
    held.commit().await.unwrap();
    assert_eq!(step.await.unwrap(), ClaimOutcome::TooOld);
}

#[tokio::test]
async fn n11_each_claim_removes_a_few_that_ran_out_and_reaping_the_rest() {
    let database = Database::new().await;
    let store = PgReplayStore::new(database.pool.clone(), 500);
    let (web, app) = (id("web"), id("app"));
    let mark = V1Mark::from_bytes([7; 32]);
    for number in 0..40 {
        let nonce = format!("nonce-{number:010}");
        for principal in [&web, &app] {
            let claim = Claim::new(principal, Once::Nonce(&nonce), database.now());
            store.claim(&claim.with_mark(Some(mark))).await.unwrap();
        }
    }
    let rows = "SELECT count(*) FROM sheen.replay";
    let counted = "SELECT sum(entries)::bigint FROM sheen.replay_shards";
    assert_eq!(number(&database.pool, rows).await, 82, "40 and a mark each");
    assert_eq!(number(&database.pool, counted).await, 82);
    database.set(database.now().plus(3600 * SECOND)).await;
    let claim = Claim::new(&web, Once::Nonce("nonce-an-hour-later"), database.now());
    assert_eq!(store.claim(&claim).await.unwrap(), ClaimOutcome::Claimed);
    assert_eq!(number(&database.pool, rows).await, 82 - 16 + 1);
    assert_eq!(store.reap(20).await.unwrap(), 20);
    assert_eq!(number(&database.pool, rows).await, 47);
    assert_eq!(store.reap(1000).await.unwrap(), 46);
    assert_eq!(store.reap(1000).await.unwrap(), 0);
    assert_eq!(number(&database.pool, rows).await, 1);
    assert_eq!(
        number(&database.pool, counted).await,
        1,
        "the counts follow"
    );
}

/// N5 where a share is counted in shards: the whole share is used to a few percent, never
/// more than all of it.
#[tokio::test]
async fn n05_a_share_in_shards_is_filled_nearly_whole_and_never_over() {
    let database = Database::new().await;
    let store = Arc::new(PgReplayStore::new(database.pool.clone(), 4096));
    let mut tasks = tokio::task::JoinSet::new();
    let at = database.now();
    for part in 0..4 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let web = id("web");
            let mut spent = 0_u32;
            for number in 0..1100 {
                let nonce = format!("nonce-{part}-{number:08}");
                match store
                    .claim(&Claim::new(&web, Once::Nonce(&nonce), at))
                    .await
                {
                    Ok(ClaimOutcome::Claimed) => spent += 1,
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => assert_eq!(error.kind, StoreErrorKind::Full),
                }
            }
            spent
        });
    }
    let spent: u32 = tasks.join_all().await.iter().sum();
    assert!((3900..=4096).contains(&spent), "{spent}");
    let rows = number(&database.pool, "SELECT count(*) FROM sheen.replay").await;
    assert_eq!(rows, i64::from(spent));
    let shards = "SELECT count(*) FROM sheen.replay_shards";
    assert_eq!(number(&database.pool, shards).await, 4);
}

#[tokio::test]
async fn the_schema_goes_down_and_up_again() {
    let database = testkit::postgres().await;
    let pool = database.pool(2).await;
    migrate(&pool).await.unwrap();
    MIGRATIONS.down(&pool, 0).await.unwrap();
    let left = number(
        &pool,
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'sheen'::regnamespace
         AND relname ~ '^(replay|revocations)'",
    )
    .await;
    assert_eq!(left, 0);
    migrate(&pool).await.unwrap();
}

#[tokio::test]
async fn n10_a_database_that_is_gone_is_a_failure() {
    let database = Database::new().await;
    let store = PgReplayStore::new(database.pool.clone(), 500);
    database.pool.close().await;
    let (web, mark) = (id("web"), V1Mark::from_bytes([7; 32]));
    let claim = Claim::new(&web, Once::Nonce("nonce-0123456789"), database.now());
    assert!(store.claim(&claim).await.unwrap_err().is_transient());
    assert!(
        store
            .v1_marked(&web, &mark)
            .await
            .unwrap_err()
            .is_transient()
    );
}
