//! What holds of every replay store: the contract, on each server, and that no clock, however it
//! moves, lets a request in twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use redis::aio::ConnectionLike;
use sheen_auth::replay::conformance::Harness;
use sheen_auth::replay::{
    Claim, ClaimOutcome, MemoryReplayStore, Once, PgReplayStore, RedisReplayStore, ReplayStore,
    V1Mark,
};
use sheen_core::entropy::{Entropy, SeededEntropy};
use sheen_core::id::PrincipalId;
use sheen_core::runtime::BoxFuture;
use sheen_core::time::{Advance, Clock, Timestamp};
use testkit::Proof;

use super::clocks::{Database, connection, manual_clock};

const CAPACITY: u64 = 500;

/// On any Redis, alone or as a cluster.
pub(super) async fn redis_harness(
    connection: impl ConnectionLike + Clone + Send + Sync + 'static,
    prefix: &str,
) -> Harness {
    let clock = manual_clock();
    let store = RedisReplayStore::open(connection, prefix, CAPACITY).await;
    let store = Arc::new(store.unwrap().with_clock(clock.clone()));
    let advance = Advance::manual(clock.clone());
    Harness::new(store, move || clock.now(), advance).bounded(500)
}

async fn on_redis() -> Harness {
    let server = testkit::redis();
    redis_harness(connection(&server).await, server.prefix()).await
}

async fn on_postgres() -> Harness {
    let database = Database::new().await;
    let store = Arc::new(PgReplayStore::new(database.pool.clone(), CAPACITY));
    let advance = database.advance();
    Harness::new(store, move || database.now(), advance).bounded(500)
}

mod redis_contract {
    use super::on_redis;

    sheen_auth::replay_store_conformance!(on_redis().await);
}

mod postgres_contract {
    use super::on_postgres;

    sheen_auth::replay_store_conformance!(on_postgres().await);
}

type SetClock = Box<dyn Fn(Timestamp) -> BoxFuture<'static, ()> + Send + Sync>;

fn below(entropy: &SeededEntropy, end: u64) -> u64 {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    u64::from_le_bytes(bytes) % end
}

fn signed(entropy: &SeededEntropy, within: u64) -> i64 {
    let number = i64::try_from(below(entropy, 2 * within)).unwrap();
    number - i64::try_from(within).unwrap()
}

/// N3, N4, N5: claims, and repeats of all that was ever claimed, under a clock that steps forward
/// and back.
async fn nothing_is_claimed_twice(store: &dyn ReplayStore, set_clock: SetClock, seed: u64) {
    let entropy = SeededEntropy::new(seed);
    let principals = ["web", "app"].map(|id| PrincipalId::parse(id).unwrap());
    let mut now = super::clocks::START;
    let mut sent: Vec<(usize, String, bool, Timestamp, Option<V1Mark>)> = Vec::new();
    let mut claimed = BTreeSet::new();
    let mut refused = 0;
    for _ in 0..Proof::size().pick(300, 5_000) {
        match below(&entropy, 64) {
            0..=7 => now = now.plus(std::time::Duration::from_millis(below(&entropy, 400_000))),
            8 => now = Timestamp::from_millis(now.as_millis() + signed(&entropy, 4_000_000)),
            _ => {}
        }
        set_clock(now).await;
        let is_new = sent.is_empty() || below(&entropy, 2) == 0;
        if is_new {
            let nonce = format!("nonce-{:010}", below(&entropy, 6));
            let at = Timestamp::from_millis(now.as_millis() + signed(&entropy, 300_000));
            let mark = below(&entropy, 4);
            let mark = (mark < 2).then(|| V1Mark::from_bytes([u8::try_from(mark).unwrap(); 32]));
            let who = usize::from(below(&entropy, 2) == 1);
            sent.push((who, nonce, below(&entropy, 2) == 1, at, mark));
        }
        let last = sent.len() - 1;
        let some = usize::try_from(below(&entropy, sent.len() as u64)).unwrap();
        let (who, nonce, by_id, at, mark) = &sent[if is_new { last } else { some }];
        let once = match by_id {
            true => Once::RequestId(nonce),
            false => Once::Nonce(nonce),
        };
        let claim = Claim::new(&principals[*who], once, *at).with_mark(*mark);
        match store.claim(&claim).await.unwrap() {
            ClaimOutcome::Claimed => {
                let fresh = claimed.insert((*who, nonce.clone(), *by_id, *at));
                assert!(fresh, "seed {seed}: claimed twice: {claim:?} at {now}");
            }
            _ => refused += 1,
        }
    }
    assert!(
        claimed.len() > 3 && refused > 3,
        "seed {seed}: {}",
        claimed.len()
    );
}

#[tokio::test]
async fn n03_n04_n05_no_clock_lets_a_request_in_twice_in_memory() {
    for seed in 0..Proof::size().pick(10, 200) {
        let clock = manual_clock();
        let store = MemoryReplayStore::new(clock.clone(), 10_000);
        // It has lived long enough that a clock set forward is no news of before its start.
        clock.advance(std::time::Duration::from_secs(30 * 86_400));
        let set: SetClock = Box::new(move |now| {
            clock.set_wall(now);
            Box::pin(std::future::ready(()))
        });
        nothing_is_claimed_twice(&store, set, seed).await;
    }
}

#[tokio::test]
async fn n03_n04_n05_no_clock_lets_a_request_in_twice_on_redis() {
    for seed in 0..Proof::size().pick(2, 20) {
        let server = testkit::redis();
        let clock = manual_clock();
        let store = RedisReplayStore::open(connection(&server).await, server.prefix(), 10_000);
        let store = store.await.unwrap().with_clock(clock.clone());
        let set: SetClock = Box::new(move |now| {
            clock.set_wall(now);
            Box::pin(std::future::ready(()))
        });
        nothing_is_claimed_twice(&store, set, seed).await;
    }
}

#[tokio::test]
async fn n03_n04_n05_no_clock_lets_a_request_in_twice_on_postgres() {
    for seed in 0..Proof::size().pick(1, 10) {
        let database = Database::new().await;
        let store = PgReplayStore::new(database.pool.clone(), 10_000);
        let set: SetClock = Box::new(move |now| {
            let database = database.clone();
            Box::pin(async move { database.set(now).await })
        });
        nothing_is_claimed_twice(&store, set, seed).await;
    }
}
