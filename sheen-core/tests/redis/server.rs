//! What only a Redis can get wrong: time, times to live, scripts, memory, lines that break.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisFuture, Value};
use sheen_core::error::StoreErrorKind;
use sheen_core::idempotency::{
    BeginOutcome, IdempotencyStore, LeaseOutcome, Lifetimes, RedisIdempotencyStore, RedisOpenError,
    StoredAnswer,
};
use sheen_core::redis::EvictionError;
use sheen_core::time::{Clock as _, ManualClock, Timestamp};
use testkit::{RedisServer, until_async};

use super::{Store, answer, connection, key, live, print, scope, scope_of, started, still};

async fn tell<T: redis::FromRedisValue>(
    connection: &mut MultiplexedConnection,
    words: &[&str],
) -> T {
    let mut command = Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.query_async(connection).await.unwrap()
}

/// Counts what is sent.
#[derive(Clone)]
struct Counting(MultiplexedConnection, Arc<AtomicU32>);

impl ConnectionLike for Counting {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.1.fetch_add(1_000, Ordering::SeqCst);
        self.0.req_packed_commands(cmd, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

/// How often the server ran a script for a caller, by its own count.
async fn calls(connection: &mut MultiplexedConnection) -> u64 {
    let told: String = tell(connection, &["INFO", "commandstats"]).await;
    told.lines()
        .filter_map(|line| line.strip_prefix("cmdstat_eval"))
        .filter_map(|line| {
            line.split_once("calls=")?
                .1
                .split(',')
                .next()?
                .parse::<u64>()
                .ok()
        })
        .sum()
}

#[tokio::test]
async fn x1_a_step_is_one_command() {
    let server = RedisServer::start().unwrap();
    let mut beside = connection(&server.url()).await;
    let sent = Arc::new(AtomicU32::new(0));
    let counting = Counting(beside.clone(), sent.clone());
    let store = RedisIdempotencyStore::open(counting, "p:", Lifetimes::default()).await;
    let store = store.unwrap();
    // The first call of each script teaches it to the server.
    let warm = started(&store, "warm").await;
    store.look(&scope(), &key("warm"), print(1)).await.unwrap();
    store.extend(&warm).await.unwrap();
    store.complete(&warm, answer("warm")).await.unwrap();
    store.abandon(&warm).await.unwrap();

    let (mut sent_before, mut ran_before) = (sent.load(Ordering::SeqCst), calls(&mut beside).await);
    let mut one = async |what: &str| {
        let (now_sent, now_ran) = (sent.load(Ordering::SeqCst), calls(&mut beside).await);
        assert_eq!(now_sent - sent_before, 1, "{what}");
        assert_eq!(now_ran - ran_before, 1, "{what}");
        (sent_before, ran_before) = (now_sent, now_ran);
    };
    let lease = started(&store, "k").await;
    one("begin").await;
    for call in [1, 2] {
        store.begin(&scope(), &key("k"), print(call)).await.unwrap();
        one("refused begin").await;
    }
    store.look(&scope(), &key("k"), print(1)).await.unwrap();
    one("look").await;
    store.extend(&lease).await.unwrap();
    one("extend").await;
    for _ in 0..2 {
        let done = store.complete(&lease, answer("k")).await.unwrap();
        assert_eq!(done, LeaseOutcome::Done);
        one("complete").await;
    }
    let replay = store.begin(&scope(), &key("k"), print(1)).await.unwrap();
    assert_eq!(replay, BeginOutcome::Replay(answer("k")));
    one("replay").await;
    let other = started(&store, "other").await;
    one("begin").await;
    assert_eq!(store.abandon(&other).await.unwrap(), LeaseOutcome::Done);
    one("abandon").await;
}

#[tokio::test]
async fn x3_a_server_that_forgot_the_scripts_is_taught_again() {
    let server = RedisServer::start().unwrap();
    let mut beside = connection(&server.url()).await;
    let store = Store::open(beside.clone(), "p:", Lifetimes::default())
        .await
        .unwrap();
    let lease = started(&store, "k").await;
    let _: String = tell(&mut beside, &["SCRIPT", "FLUSH"]).await;
    let done = store.complete(&lease, answer("k")).await.unwrap();
    assert_eq!(done, LeaseOutcome::Done);
    let _: String = tell(&mut beside, &["SCRIPT", "FLUSH"]).await;
    let replay = store.begin(&scope(), &key("k"), print(1)).await.unwrap();
    assert_eq!(replay, BeginOutcome::Replay(answer("k")));
}

/// What stands in the first braces of a name decides its slot.
fn tag(name: &str) -> &str {
    let (_, rest) = name.split_once('{').unwrap();
    rest.split_once('}').unwrap().0
}

#[tokio::test]
async fn x3_the_keys_of_a_step_share_a_slot_and_no_others() {
    let (store, _) = live().await;
    let token = store.token_name(&scope());
    for name in ["k", "{other}", "}{", "{}", "token"] {
        let record = store.record_name(&scope(), &key(name));
        assert_eq!(tag(&record), tag(&token));
        assert_eq!(tag(&record), "web/ada");
        assert_ne!(record, token);
    }
    assert_ne!(tag(&store.token_name(&scope_of("eve"))), tag(&token));
}

/// X1: the server's time, whatever the caller's clock says.
#[tokio::test]
async fn x1_instants_are_the_servers_own() {
    let (store, mut beside) = live().await;
    let lease = Lifetimes::default().lease;
    let before: (i64, i64) = tell(&mut beside, &["TIME"]).await;
    let held = started(&store, "k").await;
    let after: (i64, i64) = tell(&mut beside, &["TIME"]).await;
    let begun = held.expires_at.minus(lease).as_millis();
    let millis = |(seconds, micros): (i64, i64)| seconds * 1000 + micros / 1000;
    assert!(millis(before) <= begun && begun <= millis(after));
}

/// X1: what a record's life comes to is in the record; its key outlives it, and only by minutes.
#[tokio::test]
async fn x1_the_time_to_live_is_garbage_collection_alone() {
    let (store, clock, mut beside) = still().await;
    let lifetimes = Lifetimes::default();
    let lease = started(&store, "k").await;
    let record = store.record_name(&scope(), &key("k"));
    let token = store.token_name(&scope());
    let slack = Duration::from_secs(600);
    let bounded = |left: i64, life: Duration| {
        let life = i64::try_from(life.as_millis()).unwrap();
        assert!(left <= life && left > life - 60_000, "{left} of {life}");
    };
    bounded(
        tell(&mut beside, &["PTTL", &record]).await,
        lifetimes.lease + slack,
    );
    bounded(
        tell(&mut beside, &["PTTL", &token]).await,
        lifetimes.record * 2,
    );
    let end: i64 = tell(&mut beside, &["GETRANGE", &record, "52", "71"]).await;
    assert_eq!(end, lease.expires_at.as_millis());
    store.complete(&lease, answer("k")).await.unwrap();
    bounded(
        tell(&mut beside, &["PTTL", &record]).await,
        lifetimes.record + slack,
    );

    // Without any time to live the record ends all the same.
    let _: i64 = tell(&mut beside, &["PERSIST", &record]).await;
    clock.advance(lifetimes.record);
    assert_eq!(
        store.look(&scope(), &key("k"), print(1)).await.unwrap(),
        None
    );
    started(&store, "k").await;
    bounded(
        tell(&mut beside, &["PTTL", &record]).await,
        lifetimes.lease + slack,
    );
}

/// C6: a last token that was lost is followed by a higher one.
#[tokio::test]
async fn i06_a_lost_last_token_is_no_token_twice() {
    let (store, clock, mut beside) = still().await;
    let mut last = started(&store, "k").await;
    for _ in 0..3 {
        store.abandon(&last).await.unwrap();
        clock.advance(Duration::from_millis(1));
        let _: i64 = tell(&mut beside, &["DEL", &store.token_name(&scope())]).await;
        let next = started(&store, "k").await;
        assert!(next.token > last.token);
        let late = store.complete(&last, answer("late")).await.unwrap();
        assert_eq!(late, LeaseOutcome::Lost);
        last = next;
    }
}

#[tokio::test]
async fn x2_a_server_that_evicts_is_refused() {
    let server = RedisServer::start().unwrap();
    let mut beside = connection(&server.url()).await;
    for evicting in ["allkeys-lru", "volatile-ttl"] {
        let set = ["CONFIG", "SET", "maxmemory-policy", evicting];
        let _: String = tell(&mut beside, &set).await;
        let refused = Store::open(beside.clone(), "p:", Lifetimes::default()).await;
        match refused.unwrap_err() {
            RedisOpenError::Server(EvictionError::Evicts { policy }) => {
                assert_eq!(policy, evicting);
            }
            other => panic!("{other:?}"),
        }
    }
    let set = ["CONFIG", "SET", "maxmemory-policy", "noeviction"];
    let _: String = tell(&mut beside, &set).await;
    assert!(
        Store::open(beside, "p:", Lifetimes::default())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_prefix_that_reaches_into_the_tag_is_refused() {
    let server = testkit::redis();
    let beside = connection(server.url()).await;
    for bad in ["{", "a}", "a*", "a b", &"p".repeat(65)] {
        let refused = Store::open(beside.clone(), bad, Lifetimes::default()).await;
        assert!(matches!(refused, Err(RedisOpenError::Prefix)), "{bad}");
    }
}

/// C9: out of memory it refuses, whole, and serves what it has.
#[tokio::test]
async fn c09_a_server_out_of_memory_is_full_and_keeps_what_it_has() {
    let server = RedisServer::start().unwrap();
    let mut beside = connection(&server.url()).await;
    let store = Store::open(beside.clone(), "p:", Lifetimes::default())
        .await
        .unwrap();
    let kept = started(&store, "kept").await;
    store.complete(&kept, answer("kept")).await.unwrap();
    let running = started(&store, "running").await;
    let _: String = tell(&mut beside, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let names: i64 = tell(&mut beside, &["DBSIZE"]).await;
    let refused = store.begin(&scope(), &key("new"), print(1)).await;
    assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Full);
    let refused = store.complete(&running, answer("r")).await;
    assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Full);
    assert_eq!(tell::<i64>(&mut beside, &["DBSIZE"]).await, names);
    let replay = store.begin(&scope(), &key("kept"), print(1)).await.unwrap();
    assert_eq!(replay, BeginOutcome::Replay(answer("kept")));
    let _: String = tell(&mut beside, &["CONFIG", "SET", "maxmemory", "0"]).await;
    let done = store.complete(&running, answer("r")).await.unwrap();
    assert_eq!(done, LeaseOutcome::Done);
}

fn signal(server: &RedisServer, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &server.pid().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// X5: sent and not answered is an unknown outcome; the repeat is right whichever it was.
#[tokio::test]
async fn x5_a_call_that_was_not_answered_is_an_unknown_outcome() {
    let server = RedisServer::start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let impatient =
        AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_millis(200)));
    let line = client.get_multiplexed_async_connection_with_config(&impatient);
    let store = Store::open(line.await.unwrap(), "p:", Lifetimes::default())
        .await
        .unwrap();
    // So that the server knows the scripts: what it must be taught first it has not done.
    let warm = started(&store, "warm").await;
    store.complete(&warm, answer("warm")).await.unwrap();
    let lease = started(&store, "k").await;
    signal(&server, "-STOP");
    let unanswered = store.complete(&lease, answer("k")).await;
    assert_eq!(unanswered.unwrap_err().kind, StoreErrorKind::OutcomeUnknown);
    signal(&server, "-CONT");
    // What was sent is done once the server goes on.
    until_async("the record", || async {
        let seen = store.look(&scope(), &key("k"), print(1)).await;
        seen.is_ok_and(|seen| seen == Some(BeginOutcome::Replay(answer("k"))))
    })
    .await;
    let done = store.complete(&lease, answer("k")).await.unwrap();
    assert_eq!(done, LeaseOutcome::Done);
}

#[tokio::test]
async fn i18_a_server_that_is_gone_refuses_every_call() {
    let server = RedisServer::start().unwrap();
    let beside = connection(&server.url()).await;
    let store = Store::open(beside, "p:", Lifetimes::default())
        .await
        .unwrap();
    started(&store, "k").await;
    drop(server);
    let error = store
        .begin(&scope(), &key("k"), print(1))
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_key_this_code_cannot_read_is_corrupt() {
    let (store, mut beside) = live().await;
    let record = store.record_name(&scope(), &key("k"));
    let _: String = tell(&mut beside, &["SET", &record, "no record"]).await;
    let error = store
        .begin(&scope(), &key("k"), print(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn i13_headers_of_any_characters_come_back_as_they_were() {
    let (store, _) = live().await;
    let odd = "a\0b\\é\u{1}\"\r";
    let headers = vec![("link".into(), odd.into()), ("etag".into(), "".into())];
    let answer = StoredAnswer::new(200, headers, &b"\0\xff\r\n"[..], odd).unwrap();
    let lease = started(&store, "k").await;
    store.complete(&lease, answer.clone()).await.unwrap();
    let replay = store.begin(&scope(), &key("k"), print(1)).await.unwrap();
    assert_eq!(replay, BeginOutcome::Replay(answer));
}

/// I19: two operations over one server keep the lifetimes that each was given.
#[tokio::test]
async fn i19_two_stores_over_one_server_keep_their_own_lifetimes() {
    let server = testkit::redis();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)));
    let mut stores = Vec::new();
    for life in [10, 600].map(Duration::from_secs) {
        let line = connection(server.url()).await;
        let lifetimes = Lifetimes::new(life * 10, life);
        let store = Store::open(line, server.prefix(), lifetimes).await.unwrap();
        stores.push((store.with_clock(clock.clone()), life));
    }
    for (n, (store, life)) in stores.iter().enumerate() {
        let lease = started(store, &format!("k{n}")).await;
        assert_eq!(lease.expires_at, clock.now().plus(*life));
        store.complete(&lease, answer("done")).await.unwrap();
    }
    clock.advance(Duration::from_secs(100));
    for (store, _) in &stores {
        for (name, there) in [("k0", false), ("k1", true)] {
            let seen = store.look(&scope(), &key(name), print(1)).await.unwrap();
            assert_eq!(seen.is_some(), there, "{name}");
        }
    }
}

/// X4: nothing that a Redis of an older distribution lacks, and no life but a whole key's.
#[test]
fn x4_scripts_use_what_every_redis_since_5_has() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/idempotency/redis/lua");
    let mut commands = BTreeSet::new();
    for script in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(script.unwrap().path()).unwrap();
        for call in text.split("redis.call('").skip(1) {
            commands.insert(call.split('\'').next().unwrap().to_owned());
        }
    }
    let known = ["DEL", "GET", "HLEN", "SET", "TIME"].map(str::to_owned);
    assert_eq!(commands, BTreeSet::from(known));
}
