//! The runner.

use sheen_core::postgres::{MIGRATIONS, MigrateError, Migration, Migrations, migrate};
use sqlx::PgPool;

const ONE: Migration = Migration::new(
    1,
    "one",
    "CREATE TABLE sheen.one (id int); INSERT INTO sheen.one VALUES (1);",
    "DROP TABLE sheen.one;",
);
const TWO: Migration = Migration::new(
    2,
    "two",
    "ALTER TABLE sheen.one ADD two int",
    "ALTER TABLE sheen.one DROP two",
);
const BROKEN: Migration = Migration::new(2, "two", "CREATE TABLE sheen.two (); SELECT 1/0", "");
const EDITED: Migration = Migration::new(1, "one", "CREATE TABLE sheen.one ()", "");

const FIRST: Migrations = Migrations::new("other-crate", &[ONE]);
const BOTH: Migrations = Migrations::new("other-crate", &[ONE, TWO]);

async fn applied(pool: &PgPool, krate: &str) -> Vec<i32> {
    sqlx::query_scalar("SELECT version FROM sheen.migrations WHERE crate = $1 ORDER BY version")
        .bind(krate)
        .fetch_all(pool)
        .await
        .unwrap()
}

async fn columns(pool: &PgPool, table: &str) -> i64 {
    let count = "SELECT count(*) FROM information_schema.columns
        WHERE table_schema = 'sheen' AND table_name = $1";
    let counted = sqlx::query_scalar(count).bind(table).fetch_one(pool).await;
    counted.unwrap()
}

#[tokio::test]
async fn what_ran_does_not_run_again_and_what_is_new_does() {
    let database = testkit::postgres().await;
    let pool = database.pool(2).await;
    for list in [FIRST, FIRST, BOTH, BOTH] {
        list.up(&pool).await.unwrap();
    }
    assert_eq!(applied(&pool, "other-crate").await, [1, 2]);
    assert_eq!(columns(&pool, "one").await, 2);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM sheen.one")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn each_crate_counts_for_itself() {
    let database = testkit::postgres().await;
    let pool = database.pool(2).await;
    BOTH.up(&pool).await.unwrap();
    migrate(&pool).await.unwrap();
    let own: Vec<i32> = MIGRATIONS.list.iter().map(|one| one.version).collect();
    assert_eq!(applied(&pool, "sheen-core").await, own);
    BOTH.down(&pool, 0).await.unwrap();
    assert_eq!(applied(&pool, "sheen-core").await, own);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_migrators_at_once_are_one() {
    let database = testkit::postgres().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        // Processes do not share a pool.
        let pool = database.pool(1).await;
        tasks.spawn(async move { migrate(&pool).await });
    }
    for outcome in tasks.join_all().await {
        outcome.unwrap();
    }
    let pool = database.pool(1).await;
    assert_eq!(
        applied(&pool, "sheen-core").await.len(),
        MIGRATIONS.list.len()
    );
}

#[tokio::test]
async fn down_takes_back_the_last_ones_and_up_brings_them_again() {
    let database = testkit::postgres().await;
    let pool = database.pool(2).await;
    BOTH.up(&pool).await.unwrap();
    BOTH.down(&pool, 1).await.unwrap();
    assert_eq!(applied(&pool, "other-crate").await, [1]);
    assert_eq!(columns(&pool, "one").await, 1);
    BOTH.up(&pool).await.unwrap();
    assert_eq!(columns(&pool, "one").await, 2);
}

#[tokio::test]
async fn every_migration_of_this_crate_can_be_taken_back() {
    let database = testkit::postgres().await;
    let pool = database.pool(2).await;
    let objects =
        "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'sheen'::regnamespace)
        + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'sheen'::regnamespace)
        + (SELECT count(*) FROM pg_type WHERE typnamespace = 'sheen'::regnamespace)";
    let count = || async {
        let counted = sqlx::query_scalar::<_, i64>(objects).fetch_one(&pool).await;
        counted.unwrap()
    };
    migrate(&pool).await.unwrap();
    let full = count().await;
    MIGRATIONS.down(&pool, 0).await.unwrap();
    let empty = count().await;
    // The migrations table, its key, and their two row types.
    assert_eq!(empty, 4);
    migrate(&pool).await.unwrap();
    assert_eq!(count().await, full);
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let database = testkit::postgres().await;
    let pool = database.pool(2).await;
    FIRST.up(&pool).await.unwrap();
    let edited = Migrations::new("other-crate", &[EDITED, TWO]);
    for refused in [edited.up(&pool).await, edited.down(&pool, 0).await] {
        let error = refused.unwrap_err();
        assert!(matches!(error, MigrateError::Changed { version: 1, .. }));
        assert!(error.to_string().contains("other-crate"));
    }
    assert_eq!(applied(&pool, "other-crate").await, [1]);
}

#[tokio::test]
async fn a_database_newer_than_the_code_is_refused() {
    let database = testkit::postgres().await;
    let pool = database.pool(2).await;
    BOTH.up(&pool).await.unwrap();
    for refused in [FIRST.up(&pool).await, FIRST.down(&pool, 0).await] {
        let error = refused.unwrap_err();
        let newer = matches!(
            error,
            MigrateError::Newer {
                found: 2,
                known: 1,
                ..
            }
        );
        assert!(newer, "{error:?}");
    }
    assert_eq!(applied(&pool, "other-crate").await, [1, 2]);
}

#[tokio::test]
async fn a_failing_migration_leaves_nothing_behind() {
    let database = testkit::postgres().await;
    let pool = database.pool(2).await;
    let broken = Migrations::new("other-crate", &[ONE, BROKEN]);
    let error = broken.up(&pool).await.unwrap_err();
    assert!(matches!(error, MigrateError::Store(_)));
    let there: bool = sqlx::query_scalar("SELECT to_regnamespace('sheen') IS NOT NULL")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(!there);
    // The connection is clean: the same pool goes on.
    BOTH.up(&pool).await.unwrap();
}

#[tokio::test]
async fn a_list_with_a_gap_is_refused_before_the_database_is_touched() {
    let database = testkit::postgres().await;
    let pool = database.pool(1).await;
    let gap = Migrations::new("other-crate", &[TWO]);
    let error = gap.up(&pool).await.unwrap_err();
    assert!(matches!(error, MigrateError::Disordered { .. }));
}

#[tokio::test]
async fn the_stores_clock_is_the_servers_and_runs() {
    let database = testkit::postgres().await;
    let pool = database.pool(1).await;
    migrate(&pool).await.unwrap();
    let read = "SELECT sheen.now_ms() BETWEEN before AND floor(extract(epoch FROM clock_timestamp()) * 1000)
        FROM (SELECT floor(extract(epoch FROM now()) * 1000)::bigint AS before) AS b";
    let between: bool = sqlx::query_scalar(read).fetch_one(&pool).await.unwrap();
    assert!(between);
}
