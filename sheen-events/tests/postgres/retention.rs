//! Retention on PostgreSQL: its contract, and that no cut anywhere counts twice or loses a count.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sheen_core::entropy::OsEntropy;
use sheen_core::error::StoreError;
use sheen_core::id::BuildId;
use sheen_core::postgres::testing;
use sheen_core::time::{Advance, Day};
use sheen_events::log::{EventLog, EventType, PgEventLog};
use sheen_events::retention::conformance::RetentionHarness;
use sheen_events::retention::{
    PgRetention, RETENTION, Retention, RetentionConfig, RetentionOutcome, RetentionStore,
};
use sqlx::{Executor, PgPool, Row};
use testkit::{Durability, Place, PostgresServer, Proof, Proxy, To};

use super::{World, append, event, logs};

fn harness_over(world: World) -> RetentionHarness {
    let pool = world.pool.clone();
    let advance = Advance::new(move |duration| {
        let pool = pool.clone();
        Box::pin(async move { testing::advance_clock(&pool, duration).await.unwrap() })
    });
    let retention = Arc::new(PgRetention::new(world.pool.clone()));
    RetentionHarness::new(world.log.clone(), retention, advance).keeping(world)
}

mod as_it_comes {
    use super::*;

    async fn harness() -> RetentionHarness {
        harness_over(World::new().await)
    }

    sheen_events::retention_conformance!(harness());
}

mod s3_generic_plans_without_nested_loops {
    use super::*;

    async fn harness() -> RetentionHarness {
        let world = World::with(|options| {
            options.options([
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_nestloop", "off"),
                ("jit", "off"),
            ])
        });
        harness_over(world.await)
    }

    sheen_events::retention_conformance!(harness());
}

/// What is counted and what is kept, by day, type and audience.
async fn all_of(pool: &PgPool) -> BTreeMap<(i64, String, bool), i64> {
    let found = sqlx::query(
        "SELECT day, event_type, user_visible, sum(events)::bigint AS events FROM (
             SELECT (c.day - date '1970-01-01')::bigint AS day, c.event_type, c.user_visible, c.events
             FROM sheen.event_daily_counts c
             UNION ALL
             SELECT floor(e.created_ms / 86400000.0)::bigint, e.event_type, e.user_visible, 1
             FROM sheen.events e
         ) AS both_kinds GROUP BY 1, 2, 3",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let row = |row: &sqlx::postgres::PgRow| {
        let key = (
            row.get("day"),
            row.get("event_type"),
            row.get("user_visible"),
        );
        (key, row.get("events"))
    };
    found.iter().map(row).collect()
}

/// Two builds, three days, both kinds of events; then all of it is old but one event.
async fn old_world() -> World {
    filled(World::new().await).await
}

async fn filled(world: World) -> World {
    let builds = [world.open("a", "ann").await, world.open("b", "bob").await];
    for _ in 0..3 {
        for build in &builds {
            let mut events = logs(4);
            events[1] = events[1].clone().hidden();
            events.push(event(EventType::TASK_FAILED, "x"));
            world.append(append(build, events)).await;
        }
        testing::advance_clock(&world.pool, Duration::from_secs(86_400))
            .await
            .unwrap();
    }
    testing::advance_clock(&world.pool, RETENTION)
        .await
        .unwrap();
    world.append(append(&builds[0], logs(1))).await;
    world
}

async fn run(pool: &PgPool) -> Result<RetentionOutcome, StoreError> {
    let mut config = RetentionConfig::default();
    (config.batch, config.allow_over_half) = (4, true);
    let store = Arc::new(PgRetention::new(pool.clone()));
    Retention::new(store, config).run(|_| ()).await
}

fn in_batches(pool: &PgPool) -> Retention {
    let mut config = RetentionConfig::default();
    (config.batch, config.allow_over_half) = (20, true);
    Retention::new(Arc::new(PgRetention::new(pool.clone())), config)
}

/// G1: the connection is cut before, within and after every message of a run, either way; the run
/// is repeated until it is through, and each event was counted once.
#[tokio::test(flavor = "multi_thread")]
async fn g01_a_run_that_is_cut_at_any_message_counts_each_event_once() {
    let mut cuts = 0;
    for to in [To::Server, To::Client] {
        for place in [Place::Before, Place::Within, Place::After] {
            for nth in (1..).step_by(Proof::size().pick(4, 1)) {
                let world = old_world().await;
                let before = all_of(&world.pool).await;
                let proxy = Proxy::postgres(&world.database);
                // The connection itself is up before anything is cut.
                let pool = world.database.pool_with(1, proxy.options()).await;
                pool.execute("SELECT 1").await.unwrap();
                let passed = proxy.passed(to);
                proxy.cut(to, nth, place);
                let first = run(&pool).await;
                let reached = proxy.passed(to) - passed >= nth;
                cuts += usize::from(first.is_err());
                for _ in 0..5 {
                    if run(&pool).await.is_ok() {
                        break;
                    }
                }
                assert_eq!(all_of(&world.pool).await, before, "{to:?} {nth} {place:?}");
                let survey = PgRetention::new(world.pool.clone()).survey().await.unwrap();
                let kept: u64 = survey.days.iter().map(|day| day.events).sum();
                assert_eq!(kept, 1, "{to:?} {nth} {place:?}");
                let stream = world
                    .log
                    .read(&"a".parse().unwrap(), 0, 9)
                    .await
                    .unwrap()
                    .unwrap();
                assert_eq!((stream.stream.floor, stream.stream.head), (12, 13));
                pool.close().await;
                if !reached {
                    break;
                }
            }
        }
    }
    let least = Proof::size().pick(6, 21);
    assert!(cuts >= least, "only {cuts} runs were cut");
}

/// A build whose 4,000 events were written sixty days ago.
async fn long(world: &World) -> BuildId {
    let build = world.open("long", "ann").await;
    sqlx::query("UPDATE sheen.event_streams SET head = 4000 WHERE build_id = 'long'")
        .execute(&world.pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO sheen.events
         SELECT 'long', n, 'ann', true, 'build_log', '{\"message\":\"x\"}',
             sheen.now_ms() - 60 * 86400000::bigint + n * 1000
         FROM generate_series(1, 4000) AS n",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    build
}

/// G1: sessions are killed while runs contend, as a crash of their process would.
#[tokio::test(flavor = "multi_thread")]
async fn g01_killed_sessions_lose_and_double_nothing() {
    let world = old_world().await;
    let build = long(&world).await;
    let before = all_of(&world.pool).await;
    let killed = async {
        let mut killed = 0;
        for _ in 0..20 {
            killed += world
                .database
                .terminate("query LIKE '%event_retain%'")
                .await;
            tokio::task::yield_now().await;
        }
        killed
    };
    let runner = async || {
        let pool = world.database.pool(1).await;
        while in_batches(&pool).run(|_| ()).await.is_err() {}
    };
    futures_util::join!(killed, runner(), runner(), runner());
    assert_eq!(all_of(&world.pool).await, before);
    let page = world.log.read(&build, 0, 10).await.unwrap().unwrap();
    assert_eq!((page.stream.floor, page.events.len()), (4000, 0));
}

/// G1: the whole server is killed with two runs in it, three times, as by a loss of power.
#[tokio::test(flavor = "multi_thread")]
async fn g01_a_server_killed_amid_runs_counts_each_event_once() {
    let server = PostgresServer::start(Durability::On).unwrap();
    let database = server.database().await.unwrap();
    let world = filled(World::over(database, |options| options).await).await;
    let build = long(&world).await;
    let before = all_of(&world.pool).await;
    for round in 0..4 {
        let (one, two) = (world.database.pool(1).await, world.database.pool(1).await);
        let mut steps = 0;
        let (one, two) = (in_batches(&one), in_batches(&two));
        let crashing = one.run(|_| {
            steps += 1;
            if steps == 6 && round < 3 {
                server.crash().unwrap();
            }
        });
        let other = two.run(|_| ());
        let (crashed, other) = futures_util::join!(crashing, other);
        assert_eq!(
            crashed.is_err() || other.is_err(),
            round < 3,
            "round {round}"
        );
        if round < 3 {
            server.restart().unwrap();
        }
    }
    let pool = world.database.pool(1).await;
    assert_eq!(all_of(&pool).await, before);
    let log = PgEventLog::new(pool, Arc::new(OsEntropy));
    let page = log.read(&build, 0, 10).await.unwrap().unwrap();
    assert_eq!((page.stream.floor, page.events.len()), (4000, 0));
}

/// G2: an event that turns up for a day that was counted already is added to it.
#[tokio::test]
async fn g02_an_event_that_turns_up_late_is_added_to_its_day() {
    let world = old_world().await;
    run(&world.pool).await.unwrap();
    let store = PgRetention::new(world.pool.clone());
    let (first, last) = (Day::from_number(0), Day::from_number(1_000_000));
    let before = store.counts(first, last).await.unwrap();
    let day = before[0].day;
    // As a restore of part of a table would.
    sqlx::query("INSERT INTO sheen.events VALUES ('b', -900, 'bob', false, 'build_log', '{}', $1)")
        .bind(day.start().as_millis())
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(
        run(&world.pool).await.unwrap(),
        RetentionOutcome::Done { removed: 1 }
    );
    let after = store.counts(first, last).await.unwrap();
    assert_eq!(after.len(), before.len());
    assert_eq!(after[0].events, before[0].events + 1);
    assert_eq!(after[1..], before[1..]);
}

/// A12: a reader in the middle of catching up learns of it, from feed and log alike.
#[tokio::test]
async fn a12_a_floor_that_overtakes_a_reader_is_told() {
    let world = old_world().await;
    let build = "a".parse().unwrap();
    let page = world.log.read(&build, 0, 2).await.unwrap().unwrap();
    assert_eq!(page.events.last().unwrap().seq, 2);
    run(&world.pool).await.unwrap();
    let page = world.log.read(&build, 2, 2).await.unwrap().unwrap();
    assert_eq!((page.stream.floor, page.events[0].seq), (12, 13));
}
