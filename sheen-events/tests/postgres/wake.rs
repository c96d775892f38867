//! Wake-ups between processes on PostgreSQL (failures C).

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sheen_core::entropy::OsEntropy;
use sheen_core::id::BuildId;
use sheen_core::runtime::TokioRuntime;
use sheen_core::time::SystemClock;
use sheen_events::wake::{Listener, PgWake, Wake, WakeConfig, WakeParts};
use sqlx::Executor;
use sqlx::postgres::PgListener;
use testkit::until_async;

use super::{World, append, logs};

fn parts() -> WakeParts {
    WakeParts {
        spawn: Arc::new(TokioRuntime),
        sleep: Arc::new(TokioRuntime),
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(OsEntropy),
    }
}

fn config() -> WakeConfig {
    let mut config = WakeConfig::default();
    config.beat = Duration::from_millis(200);
    config.reconnect = Duration::from_millis(10);
    config
}

/// Another process on the same database.
pub(super) fn process(world: &World) -> PgWake {
    PgWake::start(world.database.options(), parts(), config())
}

pub(super) async fn healthy(wake: &PgWake) {
    until_async("a canary that comes back", || async { wake.is_healthy() }).await;
}

fn build(name: &str) -> BuildId {
    BuildId::parse(name).unwrap()
}

fn heard(listener: &mut Box<dyn Listener>) -> bool {
    listener.rung().now_or_never().is_some()
}

async fn until_heard(listener: &mut Box<dyn Listener>) {
    listener.rung().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_in_one_process_wakes_the_readers_of_another() {
    let world = World::new().await;
    let (writer, reader) = (process(&world), process(&world));
    healthy(&writer).await;
    healthy(&reader).await;
    let (mut listener, mut other) = (reader.listen(&build("a")), reader.listen(&build("b")));
    while heard(&mut listener) || heard(&mut other) {}
    let mut others = 0;
    for _ in 0..20 {
        writer.ring(&build("a"));
        until_heard(&mut listener).await;
        others += u32::from(heard(&mut other));
    }
    // A channel in doubt wakes everyone now and then.
    assert!(others < 5, "only the build that was rung: {others}");
}

/// C2, C3, C4: whatever ends its sessions, everyone looks, and new sessions take their place.
#[tokio::test(flavor = "multi_thread")]
async fn c4_a_lost_connection_wakes_everyone_and_is_made_anew() {
    let world = World::new().await;
    let (writer, reader) = (process(&world), process(&world));
    for _ in 0..5 {
        healthy(&writer).await;
        healthy(&reader).await;
        let mut listener = reader.listen(&build("a"));
        while heard(&mut listener) {}
        world
            .pool
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND query LIKE 'LISTEN%'",
            )
            .await
            .unwrap();
        until_heard(&mut listener).await;
        healthy(&reader).await;
        while heard(&mut listener) {}
        writer.ring(&build("a"));
        until_heard(&mut listener).await;
    }
}

/// C5: an append notifies nobody by itself, so no commit waits for the notification queue.
#[tokio::test(flavor = "multi_thread")]
async fn c5_an_append_does_not_notify() {
    let world = World::new().await;
    let mut listener = PgListener::connect_with(&world.pool).await.unwrap();
    listener.listen("sheen_events").await.unwrap();
    let b = world.open("b", "ann").await;
    world.append(append(&b, logs(3))).await;
    world
        .pool
        .execute("SELECT pg_notify('sheen_events', 'mark')")
        .await
        .unwrap();
    assert_eq!(listener.recv().await.unwrap().payload(), "mark");
}

/// C6: where nobody can listen it is not healthy, readers of this process still hear, and nothing
/// blocks.
#[tokio::test(flavor = "multi_thread")]
async fn c6_without_a_server_it_is_unhealthy_and_rings_at_home() {
    let world = World::new().await;
    let nowhere = world.database.options().socket("/nonexistent");
    let wake = PgWake::start(nowhere, parts(), config());
    let mut listener = wake.listen(&build("a"));
    for _ in 0..10_000 {
        wake.ring(&build("a"));
    }
    until_heard(&mut listener).await;
    assert!(!wake.is_healthy());
    assert_eq!(wake.poll_interval(), Duration::from_secs(5));
}

/// C9: a thousand appends are a bounded number of messages.
#[tokio::test(flavor = "multi_thread")]
async fn c9_a_thousand_rings_are_a_few_messages() {
    let world = World::new().await;
    let wake = process(&world);
    healthy(&wake).await;
    let mut listener = PgListener::connect_with(&world.pool).await.unwrap();
    listener.listen("sheen_events").await.unwrap();
    for _ in 0..1000 {
        wake.ring(&build("a"));
    }
    wake.ring(&build("last"));
    let mut messages = 0;
    loop {
        let word = listener.recv().await.unwrap().payload().to_owned();
        messages += usize::from(word.ends_with("/a"));
        if word.ends_with("/last") {
            break;
        }
    }
    assert!((1..=50).contains(&messages), "{messages}");
}

/// The tasks, and their two sessions, end with the last clone.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_channel_leaves_no_session() {
    let world = World::new().await;
    let wake = process(&world);
    healthy(&wake).await;
    let clone = wake.clone();
    drop(wake);
    healthy(&clone).await;
    drop(clone);
    until_async("no session but the pool's", || async {
        let left: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND (query LIKE 'LISTEN%' OR query LIKE 'UNLISTEN%' OR query LIKE 'SELECT pg_notify(%')",
        )
        .fetch_one(&world.pool)
        .await
        .unwrap();
        left == 0
    })
    .await;
}
