//! Limits on Redis: the contract, and L7: times to live, one slot, names, the server's time and
//! numbers of sixteen digits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use sheen_auth::limit::conformance::Harness;
use sheen_auth::limit::{
    LimitKey, LimitStore, Quota, Quotas, RedisLimitStore, Subject, TakeOutcome,
};
use sheen_core::time::Advance;
use testkit::TestRedis;

/// Sixteen digits, as microseconds since 1970 have.
const START: u64 = 1_800_000_000_123_457;

async fn connection(of: &TestRedis) -> MultiplexedConnection {
    let client = redis::Client::open(of.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn harness() -> Harness {
    let server = testkit::redis();
    harness_on(connection(&server).await, server.prefix())
}

/// On any Redis, alone or as a cluster.
pub(super) fn harness_on(
    connection: impl ConnectionLike + Clone + Send + Sync + 'static,
    prefix: &str,
) -> Harness {
    let clock = Arc::new(AtomicU64::new(START));
    let store = RedisLimitStore::new(connection, prefix).at(Arc::clone(&clock));
    let advance = Advance::new(move |duration| {
        let micros = u64::try_from(duration.as_micros()).unwrap();
        clock.fetch_add(micros, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    });
    Harness::new(Arc::new(store), advance)
}

mod contract {
    use super::harness;

    sheen_auth::limit_store_conformance!(harness().await);
}

/// A store by the server's own time, and a connection beside it.
async fn live() -> (
    RedisLimitStore<MultiplexedConnection>,
    MultiplexedConnection,
    TestRedis,
) {
    let server = testkit::redis();
    let beside = connection(&server).await;
    let store = RedisLimitStore::new(connection(&server).await, server.prefix());
    (store, beside, server)
}

fn key(name: &str) -> LimitKey<'_> {
    LimitKey::new("user", Subject::Other(name))
}

fn quotas(of: &[(u32, u64)]) -> Quotas {
    let quota = |&(burst, seconds)| Quota::new(burst, Duration::from_secs(seconds)).unwrap();
    Quotas::new(&of.iter().map(quota).collect::<Vec<_>>()).unwrap()
}

async fn ask<T: redis::FromRedisValue>(beside: &mut MultiplexedConnection, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(beside).await.unwrap()
}

#[tokio::test]
async fn l07_every_key_has_a_time_to_live_after_every_step() {
    let (store, mut beside, server) = live().await;
    let quotas = quotas(&[(3, 3000), (5, 20_000)]);
    let mut seen = 0;
    for round in 0..4_u32 {
        for name in ["a", "b"] {
            let key = key(name);
            store.take(&key, &quotas, round).await.unwrap();
            store.peek(&key, &quotas, 1).await.unwrap();
            store.take(&key, &quotas, 3).await.unwrap();
            store.refund(&key, &quotas, round % 2).await.unwrap();
            let names: Vec<String> =
                ask(&mut beside, &["KEYS", &format!("{}*", server.prefix())]).await;
            for name in names {
                let life: i64 = ask(&mut beside, &["PTTL", &name]).await;
                assert!((1..=20_000_000).contains(&life), "{name} lives {life} ms");
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "there were keys to look at: {seen}");
    // All given back: nothing is kept.
    for name in ["a", "b"] {
        store.refund(&key(name), &quotas, u32::MAX).await.unwrap();
    }
    let names: Vec<String> = ask(&mut beside, &["KEYS", &format!("{}*", server.prefix())]).await;
    assert_eq!(names, Vec::<String>::new());
}

#[tokio::test]
async fn l07_a_step_is_one_script_on_one_slot_and_shows_no_identifier() {
    let (store, mut beside, server) = live().await;
    let quotas = quotas(&[(3, 3000)]);
    for name in ["ann@example.com", "a}{b", "*", "\u{1f600}", ""] {
        store.take(&key(name), &quotas, 1).await.unwrap();
        let kept = store.name_of(&key(name), &quotas);
        let hash = kept.strip_prefix(server.prefix()).unwrap();
        let hash = hash
            .strip_prefix('{')
            .and_then(|hash| hash.strip_suffix('}'))
            .unwrap();
        assert!(
            hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
            "{kept}"
        );
        let kind: String = ask(&mut beside, &["TYPE", &kept]).await;
        assert_eq!(kind, "string", "exactly that key is written");
    }
}

#[tokio::test]
async fn l07_numbers_of_sixteen_digits_are_kept_to_the_last() {
    let server = testkit::redis();
    let clock = Arc::new(AtomicU64::new(START));
    let store = RedisLimitStore::new(connection(&server).await, server.prefix()).at(clock);
    let mut beside = connection(&server).await;
    let ten_years = 10 * 365 * 86_400;
    let quotas = quotas(&[(1, ten_years), (1_000_003, ten_years)]);
    let taken = store.take(&key("a"), &quotas, 1).await.unwrap();
    assert!(matches!(taken, TakeOutcome::Admitted(_)), "{taken:?}");
    let kept: String = ask(&mut beside, &["GET", &store.name_of(&key("a"), &quotas)]).await;
    let long = u64::from(u32::try_from(ten_years).unwrap()) * 1_000_000;
    let short = long.div_ceil(1_000_003);
    assert_eq!(kept, format!("{} {}", START + long, START + short));
}

#[tokio::test]
async fn l07_the_time_is_the_servers() {
    let quotas = quotas(&[(1, 1000)]);
    let (store, mut beside, _server) = live().await;
    let before: (u64, u64) = ask(&mut beside, &["TIME"]).await;
    store.take(&key("a"), &quotas, 1).await.unwrap();
    let after: (u64, u64) = ask(&mut beside, &["TIME"]).await;
    let kept: String = ask(&mut beside, &["GET", &store.name_of(&key("a"), &quotas)]).await;
    let whole_at: u64 = kept.parse().unwrap();
    let taken_at = whole_at - 1_000_000_000;
    let micros = |(seconds, micros): (u64, u64)| seconds * 1_000_000 + micros;
    assert!(
        (micros(before)..=micros(after)).contains(&taken_at),
        "{taken_at}"
    );
}

#[tokio::test]
async fn what_another_wrote_there_is_told_apart_from_an_outage() {
    let quotas = quotas(&[(1, 1)]);
    let (store, mut beside, _server) = live().await;
    let name = store.name_of(&key("a"), &quotas);
    let _: u64 = ask(&mut beside, &["LPUSH", &name, "x"]).await;
    let error = store.take(&key("a"), &quotas, 1).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    let _: u64 = ask(&mut beside, &["DEL", &name]).await;
}

#[tokio::test]
async fn l11_a_server_that_is_gone_is_a_failure_and_says_so() {
    let server = testkit::RedisServer::start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let store = RedisLimitStore::new(connection, "gone:");
    store.take(&key("a"), &quotas(&[(1, 1)]), 1).await.unwrap();
    drop(server);
    let error = store
        .take(&key("a"), &quotas(&[(1, 1)]), 1)
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}
