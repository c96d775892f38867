//! Wake-ups between processes on a real Redis (failures C).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sheen_core::entropy::OsEntropy;
use sheen_core::id::BuildId;
use sheen_core::runtime::TokioRuntime;
use sheen_core::time::SystemClock;
use sheen_events::wake::{Listener, RedisWake, Wake, WakeConfig, WakeParts};
use testkit::{TestRedis, until_async};

fn process(server: &TestRedis) -> RedisWake {
    let mut config = WakeConfig::default();
    config.beat = Duration::from_millis(200);
    config.reconnect = Duration::from_millis(10);
    let parts = WakeParts {
        spawn: Arc::new(TokioRuntime),
        sleep: Arc::new(TokioRuntime),
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(OsEntropy),
    };
    let client = redis::Client::open(server.url()).unwrap();
    RedisWake::start(client, format!("{}wake", server.prefix()), parts, config)
}

async fn healthy(wake: &RedisWake) {
    until_async("a canary that comes back", || async { wake.is_healthy() }).await;
}

fn build(name: &str) -> BuildId {
    BuildId::parse(name).unwrap()
}

fn heard(listener: &mut Box<dyn Listener>) -> bool {
    listener.rung().now_or_never().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_in_one_process_wakes_the_readers_of_another() {
    let server = testkit::redis();
    let (writer, reader) = (process(&server), process(&server));
    healthy(&writer).await;
    healthy(&reader).await;
    let (mut listener, mut other) = (reader.listen(&build("a")), reader.listen(&build("b")));
    while heard(&mut listener) || heard(&mut other) {}
    let mut others = 0;
    for _ in 0..20 {
        writer.ring(&build("a"));
        listener.rung().await;
        others += u32::from(heard(&mut other));
    }
    // A channel in doubt wakes everyone now and then.
    assert!(others < 5, "only the build that was rung: {others}");
}

/// C7: a subscriber that is cut off is not healthy on the word of its publisher alone; everyone
/// looks, and it subscribes anew.
#[tokio::test(flavor = "multi_thread")]
async fn c7_a_cut_subscription_wakes_everyone_and_is_made_anew() {
    let server = testkit::redis();
    let (writer, reader) = (process(&server), process(&server));
    let mut control = redis::Client::open(server.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    for _ in 0..5 {
        healthy(&writer).await;
        healthy(&reader).await;
        let mut listener = reader.listen(&build("a"));
        while heard(&mut listener) {}
        let _killed: i64 = redis::cmd("CLIENT")
            .arg(&["KILL", "TYPE", "pubsub"])
            .query_async(&mut control)
            .await
            .unwrap();
        listener.rung().await;
        healthy(&reader).await;
        while heard(&mut listener) {}
        writer.ring(&build("a"));
        listener.rung().await;
    }
}
