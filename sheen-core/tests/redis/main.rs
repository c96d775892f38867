//! sheen-core on a real Redis: the store of idempotency records.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod differential;
mod server;

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use sheen_core::id::{PrincipalId, UserId};
use sheen_core::idempotency::conformance::IdempotencyHarness;
use sheen_core::idempotency::{
    BeginOutcome, Fingerprint, IdempotencyKey, IdempotencyStore, Lease, Lifetimes,
    RedisIdempotencyStore, Scope, StoredAnswer,
};
use sheen_core::time::{Advance, Clock, ManualClock, Timestamp};

type Store = RedisIdempotencyStore<MultiplexedConnection>;

async fn connection(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// A store by the server's own time, on keys of the test's own.
async fn live() -> (Store, MultiplexedConnection) {
    let server = testkit::redis();
    let beside = connection(server.url()).await;
    let store = Store::open(beside.clone(), server.prefix(), Lifetimes::default());
    (store.await.unwrap(), beside)
}

/// A store whose time stands still until it is moved.
async fn still() -> (Store, Arc<ManualClock>, MultiplexedConnection) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)));
    let (store, beside) = live().await;
    let by: Arc<dyn Clock> = clock.clone();
    (store.with_clock(by), clock, beside)
}

fn scope() -> Scope {
    scope_of("ada")
}

fn scope_of(user: &str) -> Scope {
    Scope::new(
        PrincipalId::parse("web").unwrap(),
        UserId::parse(user).unwrap(),
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

async fn started(store: &dyn IdempotencyStore, name: &str) -> Lease {
    let begun = store.begin(&scope(), &key(name), print(1)).await.unwrap();
    match begun {
        BeginOutcome::Started(lease) => lease,
        refused => panic!("not started: {refused:?}"),
    }
}

mod contract {
    use super::*;

    sheen_core::idempotency_store_conformance!(async {
        let (store, clock, _) = super::still().await;
        IdempotencyHarness::new(Arc::new(store), Advance::manual(clock))
    });
}
