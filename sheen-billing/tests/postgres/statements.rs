//! How many statements and how much log a step is, by the server's own count.

use std::path::Path;
use std::time::Duration;

use sheen_billing::account::{
    Commit, CreditCommand, CreditPolicy, CreditReader, CreditStore, CreditSweep, Extend,
    GrantStore, PgCreditStore, Purchase, Release, Reserve, ReserveOutcome,
};
use sheen_core::id::{OperationId, PaymentId, UserId};
use sheen_core::seconds::Seconds;
use sqlx::{AssertSqlSafe, Connection, Executor, SqlSafeStr};

use testkit::{Durability, PostgresServer};

use super::World;

/// A world whose server counts statements, and a store that has read its clock once.
pub(super) async fn counted() -> World {
    let world = World::new(CreditPolicy::default()).await;
    // A server of one's own needs shared_preload_libraries = 'pg_stat_statements'.
    world.run("CREATE EXTENSION pg_stat_statements").await;
    world.store.reserve(wish("first", "op", 1)).await.unwrap();
    count(&world).await;
    world
}

/// Statements since the last count, whoever sent them. Nested ones are part of their step.
pub(super) async fn count(world: &World) -> i64 {
    let mut connection = world.database.connection().await;
    let counted = sqlx::query_scalar(
        "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
         WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND query NOT LIKE '%pg_stat_statements%'",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    sqlx::query(
        "SELECT pg_stat_statements_reset(0,
            (SELECT oid FROM pg_database WHERE datname = current_database()), 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    counted
}

fn op(name: &str) -> OperationId {
    OperationId::parse(name).unwrap()
}

fn wish(user: &str, operation: &str, seconds: u32) -> Reserve {
    Reserve::new(
        UserId::parse(user).unwrap(),
        op(operation),
        Seconds::from_u32(seconds),
    )
}

fn buy(user: &str, payment: &str) -> Purchase {
    let payment = PaymentId::parse(payment).unwrap();
    Purchase::new(
        UserId::parse(user).unwrap(),
        payment,
        Seconds::from_u32(100),
    )
}

#[tokio::test]
async fn a_step_is_one_statement_in_the_usual_case() {
    let world = counted().await;
    let store = &world.store;
    let hold = wish("ada", "op", 60).reservation_id();

    store.reserve(wish("ada", "op", 60)).await.unwrap();
    assert_eq!(count(&world).await, 1, "the first reserve of a new account");
    let mut second = wish("ada", "op2", 60);
    second.project = Some("p".parse().unwrap());
    store.reserve(second).await.unwrap();
    assert_eq!(count(&world).await, 1, "the next, for a project");
    store.reserve(wish("ada", "op3", 60_000)).await.unwrap();
    assert_eq!(count(&world).await, 1, "a refusal");
    let extend = Extend::new(hold.clone(), Duration::from_secs(7200));
    store.extend(extend).await.unwrap();
    assert_eq!(count(&world).await, 1, "a heartbeat");
    let commit = Commit::new(hold, op("op"), Seconds::from_u32(50));
    store.commit(commit.clone()).await.unwrap();
    assert_eq!(count(&world).await, 1, "a commit");
    store.commit(commit).await.unwrap();
    assert_eq!(count(&world).await, 1, "its repeat");
    let other = wish("ada", "op2", 60).reservation_id();
    store.release(Release::new(other, op("op"))).await.unwrap();
    assert_eq!(count(&world).await, 1, "a release");
    store.reserve(wish("ada", "op", 60)).await.unwrap();
    assert_eq!(count(&world).await, 1, "a repeat");
    store.credit(buy("ada", "pay")).await.unwrap();
    assert_eq!(count(&world).await, 1, "a purchase");
    store.credit(buy("eve", "pay2")).await.unwrap();
    assert_eq!(count(&world).await, 1, "a purchase for a new account");
    let users = ["ada", "eve", "nobody"].map(|user| UserId::parse(user).unwrap());
    store.views(&users).await.unwrap();
    assert_eq!(count(&world).await, 1, "views");

    let batch: Vec<_> = (0..64)
        .map(|n| CreditCommand::Reserve(wish("ada", &format!("batch{n}"), 1)))
        .collect();
    store.batch(batch).await.unwrap();
    assert_eq!(count(&world).await, 1, "a batch on one account");
}

#[tokio::test]
async fn r18_a_sweep_is_one_statement_and_one_more_for_each_account() {
    let world = counted().await;
    for n in 0..300 {
        let mut reserve = wish(["ada", "bob"][n % 2], &format!("op{n}"), 1);
        reserve.ttl = Duration::from_secs(60);
        world.store.reserve(reserve).await.unwrap();
    }
    world.advance(Duration::from_secs(61)).await;
    count(&world).await;
    assert_eq!(
        world.store.expire(100).await.unwrap(),
        100,
        "a bounded batch"
    );
    assert_eq!(count(&world).await, 3);
    assert_eq!(world.store.expire(1000).await.unwrap(), 200);
    assert_eq!(count(&world).await, 3);
    assert_eq!(world.store.expire(1000).await.unwrap(), 0);
    assert_eq!(count(&world).await, 1);
}

#[tokio::test]
async fn a_step_over_unknown_state_is_two_statements() {
    let world = counted().await;
    world.store.reserve(wish("ada", "op", 60)).await.unwrap();
    // Another process: it remembers nothing.
    let other = PgCreditStore::new(world.pool.clone(), CreditPolicy::default());
    count(&world).await;
    let commit = |n| {
        let hold = wish("ada", "op", 60).reservation_id();
        Commit::new(hold, op("c"), Seconds::from_u32(n))
    };
    other.commit(commit(30)).await.unwrap();
    assert_eq!(count(&world).await, 2, "a commit of another's hold");
    // What the first remembers is stale by one version: a miss, then the write.
    let reserved = world.store.reserve(wish("ada", "op2", 60)).await.unwrap();
    assert!(matches!(reserved, ReserveOutcome::Reserved(_)));
    assert_eq!(
        count(&world).await,
        2,
        "a reserve after another process's step"
    );
}

/// Bytes written ahead since `since`, which is moved on.
async fn wal(world: &World, since: &mut String) -> i64 {
    let (bytes, now): (i64, String) = sqlx::query_as(
        "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::pg_lsn)::bigint,
            pg_current_wal_insert_lsn()::text",
    )
    .bind(since.as_str())
    .fetch_one(&world.pool)
    .await
    .unwrap();
    *since = now;
    bytes
}

/// Log written per step, on a server of the test's own, since the log is the whole server's. What
/// the server writes by itself comes in between, so the least of several rounds counts.
#[tokio::test]
async fn a_reserve_writes_a_bounded_log_and_less_in_a_batch() {
    let server = PostgresServer::start(Durability::Off).unwrap();
    let database = server.database().await.unwrap();
    let world = World::on(database, CreditPolicy::default(), |it| it).await;
    world.store.reserve(wish("first", "op", 1)).await.unwrap();
    let mut least = [i64::MAX; 2];
    let mut since = "0/0".to_owned();
    for round in 0..20 {
        wal(&world, &mut since).await;
        for n in 0..16 {
            let reserve = wish("ada", &format!("single{round}-{n}"), 1);
            world.store.reserve(reserve).await.unwrap();
        }
        least[0] = least[0].min(wal(&world, &mut since).await / 16);
        let batch: Vec<_> = (0..16)
            .map(|n| CreditCommand::Reserve(wish("ada", &format!("batch{round}-{n}"), 1)))
            .collect();
        world.store.batch(batch).await.unwrap();
        least[1] = least[1].min(wal(&world, &mut since).await / 16);
    }
    println!(
        "WAL bytes per reserve: {} alone, {} in a batch of 16",
        least[0], least[1]
    );
    assert!(least[0] <= 1100, "{least:?}");
    assert!(least[1] <= 850, "{least:?}");
}

#[tokio::test]
async fn s4_updates_of_an_account_are_heap_only() {
    let world = counted().await;
    // In one transaction, so that its own counters can be read exactly.
    let mut step = world.pool.begin().await.unwrap();
    for _ in 0..20 {
        sqlx::query(
            "UPDATE sheen.credit_accounts SET version = version + 1,
                paid_granted = paid_granted + 1, paid_available = paid_available + 1",
        )
        .execute(&mut *step)
        .await
        .unwrap();
    }
    let (all, hot): (i64, i64) = sqlx::query_as(
        "SELECT pg_stat_get_xact_tuples_updated('sheen.credit_accounts'::regclass),
            pg_stat_get_xact_tuples_hot_updated('sheen.credit_accounts'::regclass)",
    )
    .fetch_one(&mut *step)
    .await
    .unwrap();
    assert_eq!((all, hot), (20, 20));
}

#[tokio::test]
async fn every_statement_can_be_prepared_and_the_schema_taken_back() {
    let world = World::new(CreditPolicy::default()).await;
    let mut connection = world.database.connection().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/account/postgres/sql");
    let mut prepared = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let statement = AssertSqlSafe(text).into_sql_str();
        let outcome = (&mut connection).prepare(statement).await;
        assert!(outcome.is_ok(), "{}: {outcome:?}", path.display());
        prepared += 1;
    }
    assert!(prepared > 5, "{folder:?}");
    let migrations = sheen_billing::postgres::MIGRATIONS;
    migrations.down(&world.pool, 0).await.unwrap();
    let left: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'sheen'::regnamespace
            AND relname LIKE 'credit%'",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(left, 0);
    migrations.up(&world.pool).await.unwrap();
}
