//! Epochs on real servers: the contract, and how long each is kept.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionLike;
use sheen_auth::token::revocation::conformance::Harness;
use sheen_auth::token::revocation::{
    Epoch, PgRevocationStore, RedisRevocationStore, RevocationStore,
};
use sheen_core::id::UserId;
use sheen_core::time::{Advance, Clock};

use super::clocks::{Database, connection, manual_clock};

async fn on_redis() -> Harness {
    let server = testkit::redis();
    redis_harness(connection(&server).await, server.prefix()).await
}

/// On any Redis, alone or as a cluster.
pub(super) async fn redis_harness(
    connection: impl ConnectionLike + Clone + Send + Sync + 'static,
    prefix: &str,
) -> Harness {
    let clock = manual_clock();
    let store = RedisRevocationStore::open(connection, prefix).await;
    let store = Arc::new(store.unwrap().with_clock(clock.clone()));
    let advance = Advance::manual(clock.clone());
    Harness::new(store, move || clock.now(), advance)
}

async fn on_postgres() -> Harness {
    let database = Database::new().await;
    let store = Arc::new(PgRevocationStore::new(database.pool.clone()));
    let advance = database.advance();
    Harness::new(store, move || database.now(), advance)
}

mod redis_contract {
    use super::on_redis;

    sheen_auth::revocation_store_conformance!(on_redis().await);
}

mod postgres_contract {
    use super::on_postgres;

    sheen_auth::revocation_store_conformance!(on_postgres().await);
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

#[tokio::test]
async fn an_epoch_in_redis_lives_until_its_tokens_have_expired_by_the_servers_clock() {
    let server = testkit::redis();
    let mut beside = connection(&server).await;
    let store = RedisRevocationStore::open(connection(&server).await, server.prefix()).await;
    let store = store.unwrap();
    let epoch = store.revoke(&user("u_1")).await.unwrap();
    assert_eq!(store.epoch(&user("u_1")).await.unwrap(), Some(epoch));
    let life: u64 = redis::cmd("PTTL")
        .arg(store.name_of(&user("u_1")))
        .query_async(&mut beside)
        .await
        .unwrap();
    let least = u64::try_from(Epoch::KEEP.as_millis()).unwrap();
    assert!((least..=least + 3_600_000).contains(&life), "{life} ms");
    let (seconds, _): (i64, i64) = redis::cmd("TIME").query_async(&mut beside).await.unwrap();
    assert!(
        (0..=2).contains(&(seconds + 1 - epoch.as_seconds())),
        "{epoch:?}"
    );
}

#[tokio::test]
async fn a_clock_that_steps_back_takes_no_epoch_back() {
    let database = Database::new().await;
    let store = PgRevocationStore::new(database.pool.clone());
    let first = store.revoke(&user("u_1")).await.unwrap();
    database
        .set(database.now().minus(Duration::from_secs(300)))
        .await;
    assert_eq!(store.revoke(&user("u_1")).await.unwrap(), first);

    let server = testkit::redis();
    let clock = manual_clock();
    let store = RedisRevocationStore::open(connection(&server).await, server.prefix()).await;
    let store = store.unwrap().with_clock(clock.clone());
    let first = store.revoke(&user("u_1")).await.unwrap();
    clock.set_wall(clock.now().minus(Duration::from_secs(300)));
    assert_eq!(store.revoke(&user("u_1")).await.unwrap(), first);
}

#[tokio::test]
async fn each_revocation_removes_a_few_old_ones() {
    let database = Database::new().await;
    let store = PgRevocationStore::new(database.pool.clone());
    for number in 0..20 {
        store.revoke(&user(&format!("u_{number}"))).await.unwrap();
    }
    database
        .set(database.now().plus(Duration::from_secs(86_400)))
        .await;
    store.revoke(&user("later")).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sheen.revocations")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(left, 20 - 16 + 1);
}
