//! The replay store on Redis: its names, its one command, and what it does when its server loses
//! what it kept.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sheen_auth::replay::{Claim, ClaimOutcome, Once, RedisReplayStore, ReplayStore, V1Mark};
use sheen_core::error::StoreErrorKind;
use sheen_core::id::PrincipalId;
use sheen_core::redis::EvictionError;
use sheen_core::time::{Clock, ManualClock, Timestamp};
use testkit::TestRedis;

use super::clocks::{connection, manual_clock};

type Store = RedisReplayStore<MultiplexedConnection>;

const SECOND: Duration = Duration::from_secs(1);

struct World {
    store: Store,
    beside: MultiplexedConnection,
    clock: Arc<ManualClock>,
    server: TestRedis,
}

async fn world() -> World {
    let server = testkit::redis();
    let clock = manual_clock();
    let store = RedisReplayStore::open(connection(&server).await, server.prefix(), 500);
    World {
        store: store.await.unwrap().with_clock(clock.clone()),
        beside: connection(&server).await,
        clock,
        server,
    }
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

async fn ask<T: redis::FromRedisValue>(beside: &mut MultiplexedConnection, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(beside).await.unwrap()
}

/// CRC-16/XMODEM of the hash tag, as the cluster specification has it.
fn slot(name: &str) -> u16 {
    let tag = name.split_once('{').and_then(|(_, rest)| {
        let (tag, _) = rest.split_once('}')?;
        (!tag.is_empty()).then_some(tag)
    });
    let crc = tag.unwrap_or(name).bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            let over = crc & 0x8000 != 0;
            (crc << 1) ^ if over { 0x1021 } else { 0 }
        })
    });
    crc % 16_384
}

#[tokio::test]
async fn a_principals_keys_share_a_slot_and_show_no_nonce() {
    assert_eq!(slot("123456789"), 0x31C3, "the specification's own check");
    let World {
        store,
        mut beside,
        server,
        clock,
        ..
    } = world().await;
    let mut slots = std::collections::BTreeSet::new();
    for number in 0..50 {
        let [spent, since] = store.names(&id(&format!("front-end_{number}.x:y")));
        assert_eq!(slot(&spent), slot(&since), "{spent}");
        slots.insert(slot(&spent));
    }
    assert!(slots.len() > 40, "principals spread over a cluster");

    let web = id("web");
    let nonce = "a-nonce-that-no-key-shows";
    let mark = Some(V1Mark::from_bytes([7; 32]));
    let claim = Claim::new(&web, Once::Nonce(nonce), clock.now()).with_mark(mark);
    assert_eq!(store.claim(&claim).await.unwrap(), ClaimOutcome::Claimed);
    let pattern = format!("{}*", server.prefix());
    let mut names: Vec<String> = ask(&mut beside, &["KEYS", &pattern]).await;
    names.sort();
    let mut expected = store.names(&web).to_vec();
    expected.sort();
    assert_eq!(names, expected, "these two and no other");
    let members: Vec<Vec<u8>> =
        ask(&mut beside, &["ZRANGE", &store.names(&web)[0], "0", "-1"]).await;
    assert_eq!(members.len(), 2);
    assert!(
        members.iter().all(|member| member.len() == 17),
        "N6: digests of one size"
    );
}

#[tokio::test]
async fn n02_a_claim_is_one_command_its_mark_included() {
    let server = testkit::RedisServer::start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let opened = client.get_multiplexed_async_connection().await.unwrap();
    let mut beside = client.get_multiplexed_async_connection().await.unwrap();
    let store = RedisReplayStore::open(opened, "one:", 500).await.unwrap();
    let web = id("web");
    let now = sheen_core::time::SystemClock::new();
    let mark = V1Mark::from_bytes([7; 32]);
    let claim = |nonce| Claim::new(&web, Once::Nonce(nonce), now.now()).with_mark(Some(mark));
    // Loads the scripts.
    store.claim(&claim("nonce-0123456789")).await.unwrap();
    store.v1_marked(&web, &mark).await.unwrap();
    let _: () = ask(&mut beside, &["CONFIG", "RESETSTAT"]).await;
    store.claim(&claim("nonce-of-the-second")).await.unwrap();
    store.v1_marked(&web, &mark).await.unwrap();
    let told: String = ask(&mut beside, &["INFO", "commandstats"]).await;
    let calls = |name: &str| {
        let line = told
            .lines()
            .find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0, |rest| {
            rest.split(',').next().unwrap().parse::<u32>().unwrap()
        })
    };
    assert_eq!(calls("evalsha"), 2, "{told}");
    assert_eq!(calls("eval") + calls("script|load"), 0, "{told}");
}

#[tokio::test]
async fn n03_the_time_to_live_follows_the_signed_stamp() {
    let World {
        store,
        mut beside,
        clock,
        ..
    } = world().await;
    let web = id("web");
    let [spent, since] = store.names(&web);
    let ahead = clock.now().plus(120 * SECOND);
    let claim = Claim::new(&web, Once::Nonce("nonce-from-the-future"), ahead);
    assert_eq!(store.claim(&claim).await.unwrap(), ClaimOutcome::Claimed);
    let life: i64 = ask(&mut beside, &["PTTL", &spent]).await;
    assert!((840_000..=900_000).contains(&life), "{life} ms");
    // A later claim that ends earlier shortens nothing.
    let claim = Claim::new(&web, Once::Nonce("nonce-of-right-now"), clock.now());
    assert_eq!(store.claim(&claim).await.unwrap(), ClaimOutcome::Claimed);
    let life: i64 = ask(&mut beside, &["PTTL", &spent]).await;
    assert!((840_000..=900_000).contains(&life), "{life} ms");
    let life: i64 = ask(&mut beside, &["PTTL", &since]).await;
    assert_eq!(life, -1, "what is known of the memory outlives it");
}

/// N9 where the memory is another process's.
#[tokio::test]
async fn n09_a_server_that_lost_its_data_refuses_what_was_signed_before() {
    let World {
        store,
        mut beside,
        clock,
        ..
    } = world().await;
    let web = id("web");
    let claim = |nonce, at| Claim::new(&web, Once::Nonce(nonce), at);
    let before = claim("nonce-before-the-loss", clock.now());
    assert_eq!(store.claim(&before).await.unwrap(), ClaimOutcome::Claimed);
    clock.advance(10 * SECOND);
    let [spent, since] = store.names(&web);
    let _: u32 = ask(&mut beside, &["DEL", &spent, &since]).await;
    assert_eq!(store.claim(&before).await.unwrap(), ClaimOutcome::TooOld);
    let fresh = claim("nonce-after-the-loss", clock.now().minus(2 * SECOND));
    assert_eq!(store.claim(&fresh).await.unwrap(), ClaimOutcome::Claimed);
}

/// N9: a server that comes back from a snapshot knows only what was spent before it.
#[tokio::test]
async fn n09_a_server_back_from_a_snapshot_lets_nothing_in_again() {
    let mut server = testkit::RedisServer::start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let clock = manual_clock();
    let store = async || {
        let opened = client.get_multiplexed_async_connection().await.unwrap();
        let store = RedisReplayStore::open(opened, "n09:", 500).await.unwrap();
        store.with_clock(clock.clone())
    };
    let web = id("web");
    let claim = |nonce, at| Claim::new(&web, Once::Nonce(nonce), at);
    let before = store().await;
    let one = claim("nonce-in-the-snapshot", clock.now());
    assert_eq!(before.claim(&one).await.unwrap(), ClaimOutcome::Claimed);
    let mut beside = client.get_multiplexed_async_connection().await.unwrap();
    let _: () = ask(&mut beside, &["SAVE"]).await;
    clock.advance(10 * SECOND);
    let two = claim("nonce-after-the-snapshot", clock.now());
    assert_eq!(before.claim(&two).await.unwrap(), ClaimOutcome::Claimed);
    server.crash_and_restart().unwrap();
    clock.advance(10 * SECOND);
    let after = store().await;
    assert_eq!(after.claim(&two).await.unwrap(), ClaimOutcome::TooOld);
    assert_ne!(after.claim(&one).await.unwrap(), ClaimOutcome::Claimed);
    let late = claim("nonce-never-seen-before", clock.now().minus(2 * SECOND));
    assert_eq!(after.claim(&late).await.unwrap(), ClaimOutcome::Claimed);
    clock.advance(10 * SECOND);
    // Begun anew once, not with every claim.
    let slow = claim("nonce-of-a-slow-caller", clock.now().minus(10 * SECOND));
    assert_eq!(after.claim(&slow).await.unwrap(), ClaimOutcome::Claimed);
    assert_eq!(after.claim(&slow).await.unwrap(), ClaimOutcome::Replayed);
}

/// N9: a replica may lack its master's last claims, also one that was the master before.
#[tokio::test]
async fn n09_a_promoted_replica_refuses_what_its_master_may_have_let_in() {
    let server = testkit::RedisServer::start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut beside = client.get_multiplexed_async_connection().await.unwrap();
    let opened = client.get_multiplexed_async_connection().await.unwrap();
    let clock = manual_clock();
    let store = RedisReplayStore::open(opened, "n09:", 500).await.unwrap();
    let store = store.with_clock(clock.clone());
    let web = id("web");
    let claim = |nonce, at| Claim::new(&web, Once::Nonce(nonce), at);
    let first = claim("nonce-0123456789", clock.now());
    assert_eq!(store.claim(&first).await.unwrap(), ClaimOutcome::Claimed);
    // The same process, so the same run id, after a master that nobody could reach.
    let _: () = ask(&mut beside, &["REPLICAOF", "127.0.0.1", "1"]).await;
    let _: () = ask(&mut beside, &["REPLICAOF", "NO", "ONE"]).await;
    clock.advance(10 * SECOND);
    let lost = claim("nonce-the-other-took", clock.now().minus(5 * SECOND));
    assert_eq!(store.claim(&lost).await.unwrap(), ClaimOutcome::TooOld);
    let fresh = claim("nonce-after-promotion", clock.now());
    assert_eq!(store.claim(&fresh).await.unwrap(), ClaimOutcome::Claimed);
}

/// N5: what a server evicted stays refused.
#[tokio::test]
async fn n05_a_set_that_was_evicted_lets_nothing_in_again() {
    let World {
        store,
        mut beside,
        clock,
        ..
    } = world().await;
    let web = id("web");
    let claim = |nonce, at| Claim::new(&web, Once::Nonce(nonce), at);
    let one = claim("nonce-0123456789", clock.now());
    assert_eq!(store.claim(&one).await.unwrap(), ClaimOutcome::Claimed);
    clock.advance(SECOND);
    let [spent, _] = store.names(&web);
    let _: u32 = ask(&mut beside, &["DEL", &spent]).await;
    assert_eq!(store.claim(&one).await.unwrap(), ClaimOutcome::TooOld);
    // What is signed later than anything that was lost passes.
    let later = claim("nonce-of-afterwards", clock.now());
    assert_eq!(store.claim(&later).await.unwrap(), ClaimOutcome::Claimed);
}

#[tokio::test]
async fn an_idle_principal_is_not_taken_for_a_lost_memory() {
    let World {
        store,
        mut beside,
        clock,
        ..
    } = world().await;
    let web = id("web");
    let slow = |at: Timestamp| at.minus(30 * SECOND);
    let first = Claim::new(&web, Once::Nonce("nonce-0123456789"), clock.now());
    assert_eq!(store.claim(&first).await.unwrap(), ClaimOutcome::Claimed);
    clock.advance(3600 * SECOND);
    // As its time to live would have.
    let _: u32 = ask(&mut beside, &["DEL", &store.names(&web)[0]]).await;
    let second = Claim::new(&web, Once::Nonce("nonce-an-hour-later"), slow(clock.now()));
    assert_eq!(store.claim(&second).await.unwrap(), ClaimOutcome::Claimed);
}

#[tokio::test]
async fn n10_a_server_that_evicts_is_refused_and_reported() {
    let server = testkit::RedisServer::start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut beside = client.get_multiplexed_async_connection().await.unwrap();
    let opened = || client.get_multiplexed_async_connection();
    let good = RedisReplayStore::open(opened().await.unwrap(), "n10:", 500)
        .await
        .unwrap();
    let _: () = ask(
        &mut beside,
        &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
    )
    .await;
    let refused = RedisReplayStore::open(opened().await.unwrap(), "n10:", 500)
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, EvictionError::Evicts { policy } if policy == "allkeys-lru"),
        "{refused:?}"
    );
    // Also one that began to while it ran.
    assert!(good.check_server().await.is_err());
    let anyway = RedisReplayStore::unchecked(opened().await.unwrap(), "n10:", 500);
    assert!(anyway.check_server().await.is_err());
}

#[tokio::test]
async fn n05_a_server_out_of_memory_is_full_and_forgets_nothing() {
    let server = testkit::RedisServer::start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut beside = client.get_multiplexed_async_connection().await.unwrap();
    let opened = client.get_multiplexed_async_connection().await.unwrap();
    let clock = manual_clock();
    let store = RedisReplayStore::open(opened, "oom:", 500).await.unwrap();
    let store = store.with_clock(clock.clone());
    let web = id("web");
    let one = Claim::new(&web, Once::Nonce("nonce-0123456789"), clock.now());
    assert_eq!(store.claim(&one).await.unwrap(), ClaimOutcome::Claimed);
    let _: () = ask(&mut beside, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let more = Claim::new(&web, Once::Nonce("one-nonce-too-many"), clock.now());
    let refused = store.claim(&more).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Full, "{refused:?}");
    let _: () = ask(&mut beside, &["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(store.claim(&one).await.unwrap(), ClaimOutcome::Replayed);
}

#[tokio::test]
async fn n10_a_server_that_is_gone_is_a_failure() {
    let server = testkit::RedisServer::start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let opened = client.get_multiplexed_async_connection().await.unwrap();
    let store = RedisReplayStore::open(opened, "gone:", 500).await.unwrap();
    drop(server);
    let (web, mark) = (id("web"), V1Mark::from_bytes([7; 32]));
    let claim = Claim::new(&web, Once::Nonce("nonce-0123456789"), manual_clock().now());
    assert!(store.claim(&claim).await.unwrap_err().is_transient());
    assert!(
        store
            .v1_marked(&web, &mark)
            .await
            .unwrap_err()
            .is_transient()
    );
}
