//! The same store on a Redis Cluster of three masters.

use std::collections::BTreeSet;
use std::sync::Arc;

use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use sheen_core::idempotency::conformance::IdempotencyHarness;
use sheen_core::idempotency::{
    BeginOutcome, IdempotencyStore, LeaseOutcome, Lifetimes, RedisIdempotencyStore, RedisOpenError,
};
use sheen_core::redis::EvictionError;
use sheen_core::time::{Advance, Clock, ManualClock, Timestamp};
use testkit::{RedisCluster, TestCluster};

use super::{answer, connection, key, print, scope_of};

async fn line(urls: &[String]) -> ClusterConnection {
    let client = ClusterClient::new(urls.to_vec()).unwrap();
    client.get_async_connection().await.unwrap()
}

async fn open(cluster: &TestCluster) -> RedisIdempotencyStore<ClusterConnection> {
    let line = line(cluster.urls()).await;
    let store = RedisIdempotencyStore::open(line, cluster.prefix(), Lifetimes::default());
    store.await.unwrap()
}

mod contract {
    use super::*;

    sheen_core::idempotency_store_conformance!(async {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)));
        let by: Arc<dyn Clock> = clock.clone();
        let store = super::open(&testkit::redis_cluster()).await.with_clock(by);
        IdempotencyHarness::new(Arc::new(store), Advance::manual(clock)).reaping_in_part()
    });
}

/// X3: scopes are spread over the masters, the keys of one are together, and no step crosses slots.
#[tokio::test]
async fn x3_scopes_are_spread_and_no_step_crosses_slots() {
    let cluster = testkit::redis_cluster();
    let store = open(&cluster).await;
    let mut slots = BTreeSet::new();
    let mut master = connection(&cluster.urls()[0]).await;
    for n in 0..30 {
        let scope = scope_of(&format!("user-{n}"));
        let key = key(&format!("key-{{{n}}}"));
        let begun = store.begin(&scope, &key, print(1)).await.unwrap();
        let BeginOutcome::Started(lease) = begun else {
            panic!("not started: {begun:?}");
        };
        let done = store.complete(&lease, answer("done")).await.unwrap();
        assert_eq!(done, LeaseOutcome::Done);
        let replay = store.begin(&scope, &key, print(1)).await.unwrap();
        assert_eq!(replay, BeginOutcome::Replay(answer("done")));
        for name in [store.record_name(&scope, &key), store.token_name(&scope)] {
            let slot: u16 = redis::cmd("CLUSTER")
                .arg("KEYSLOT")
                .arg(name)
                .query_async(&mut master)
                .await
                .unwrap();
            slots.insert(slot);
        }
    }
    assert_eq!(slots.len(), 30, "one slot a scope");
    let thirds: BTreeSet<_> = slots.iter().map(|slot| slot / 5462).collect();
    assert_eq!(thirds.len(), 3, "every master has some");
}

/// X3: each master that forgot the scripts is taught again.
#[tokio::test]
async fn x3_masters_that_forgot_the_scripts_are_taught_again() {
    let cluster = RedisCluster::start().unwrap();
    let line = line(&cluster.urls()).await;
    let store = RedisIdempotencyStore::open(line, "p:", Lifetimes::default())
        .await
        .unwrap();
    for round in 0..2 {
        for n in 0..12 {
            let (scope, key) = (scope_of(&format!("u{n}")), key(&format!("k{round}")));
            let begun = store.begin(&scope, &key, print(1)).await.unwrap();
            assert!(matches!(begun, BeginOutcome::Started(_)), "{begun:?}");
        }
        for url in cluster.urls() {
            let mut master = connection(&url).await;
            let _: String = redis::cmd("SCRIPT")
                .arg("FLUSH")
                .query_async(&mut master)
                .await
                .unwrap();
        }
    }
}

/// X2: one master that evicts is enough to be refused.
#[tokio::test]
async fn x2_a_cluster_of_which_one_master_evicts_is_refused() {
    let cluster = RedisCluster::start().unwrap();
    let mut last = connection(&cluster.urls()[2]).await;
    let _: String = redis::cmd("CONFIG")
        .arg(&["SET", "maxmemory-policy", "allkeys-lru"])
        .query_async(&mut last)
        .await
        .unwrap();
    let line = line(&cluster.urls()).await;
    let refused = RedisIdempotencyStore::open(line, "p:", Lifetimes::default()).await;
    match refused.unwrap_err() {
        RedisOpenError::Server(EvictionError::Evicts { policy }) => {
            assert_eq!(policy, "allkeys-lru");
        }
        other => panic!("{other:?}"),
    }
}
