//! How many statements a step is, by the server's own count, and that reads use their index.

use std::sync::Arc;
use std::time::Duration;

use sheen_core::id::UserId;
use sheen_core::time::{ManualClock, Timestamp};
use sheen_core::token::FencingToken;
use sheen_events::feed::{Feed, FeedConfig, PollOutcome, PollRequest};
use sheen_events::log::{EventLog, EventType};
use sheen_events::wake::{MemoryWake, NoWake, Wake};
use sqlx::{Connection, Row};

use super::{World, append, event, logs};

/// Statements since the last count, whoever sent them. Nested ones are part of their step.
async fn count(world: &World) -> i64 {
    let mut connection = world.database.connection().await;
    let counted = sqlx::query_scalar(
        "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
         WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND query NOT LIKE '%pg_stat_statements%'",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    sqlx::query(
        "SELECT pg_stat_statements_reset(0,
            (SELECT oid FROM pg_database WHERE datname = current_database()), 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    counted
}

#[tokio::test]
async fn a_step_is_one_statement() {
    let world = World::new().await;
    // A server of one's own needs shared_preload_libraries = 'pg_stat_statements'.
    sqlx::raw_sql("CREATE EXTENSION pg_stat_statements")
        .execute(&world.pool)
        .await
        .unwrap();
    count(&world).await;
    let build = world.open("b", "ann").await;
    assert_eq!(count(&world).await, 1, "open");
    world.open("b", "ann").await;
    assert_eq!(count(&world).await, 1, "open again");
    world.append(append(&build, logs(1))).await;
    assert_eq!(count(&world).await, 1, "append");
    world.append(append(&build, logs(500)).with_key("k")).await;
    assert_eq!(count(&world).await, 1, "a batch with a key");
    let end = vec![event(EventType::TASK_FAILED, "x")];
    world.append(append(&build, end)).await;
    assert_eq!(count(&world).await, 1, "a first end");
    let end = vec![event(EventType::DEPLOY_FAILED, "x")];
    world.append(append(&build, end)).await;
    assert_eq!(
        count(&world).await,
        2,
        "a second one: what ended it is news"
    );
    world
        .log
        .append(append(&build, logs(1)).with_key("k"))
        .await
        .unwrap();
    assert_eq!(count(&world).await, 2, "a repeat: and its events");
    let late = FencingToken::from_u64(7);
    world
        .log
        .append(sheen_events::log::Append::new(build.clone(), late, logs(1)))
        .await
        .unwrap();
    assert_eq!(count(&world).await, 1, "a fenced append");
    world.log.raise(&build, late).await.unwrap();
    assert_eq!(count(&world).await, 1, "raise");
    world.log.read(&build, 3, 50).await.unwrap();
    assert_eq!(count(&world).await, 1, "a page");
    world.log.close(&build).await.unwrap();
    assert_eq!(count(&world).await, 1, "close");
}

/// What a feed remembers is good while wake-ups arrive and nobody rang, and for 2 s in any case.
#[tokio::test]
async fn a_poll_with_nothing_new_is_no_statement() {
    let world = World::new().await;
    sqlx::raw_sql("CREATE EXTENSION pg_stat_statements")
        .execute(&world.pool)
        .await
        .unwrap();
    let build = world.open("b", "ann").await;
    world.append(append(&build, logs(3))).await;
    let ann = UserId::parse("ann").unwrap();
    let well = Arc::new(MemoryWake::new());
    let wakes: [Arc<dyn Wake>; 2] = [well.clone(), Arc::new(NoWake::new(Duration::from_secs(5)))];
    for (wake, counts) in wakes.into_iter().zip([[1, 0, 0, 1], [1, 0, 1, 0]]) {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let log = world.log.clone();
        let feed = Feed::remembering(log, wake, clock.clone(), FeedConfig::default());
        let mut request = PollRequest::new();
        request.if_none_match = Some("*");
        let poll = async || {
            let outcome = feed.poll(&ann, &build, request).await.unwrap();
            assert!(matches!(outcome, PollOutcome::NotModified { .. }));
        };
        count(&world).await;
        poll().await;
        assert_eq!(count(&world).await, counts[0], "the first one");
        clock.advance(Duration::from_millis(1999));
        for _ in 0..10 {
            poll().await;
        }
        assert_eq!(count(&world).await, counts[1], "within 2 s");
        clock.advance(Duration::from_secs(2));
        poll().await;
        assert_eq!(count(&world).await, counts[2], "later");
        well.ring(&build);
        poll().await;
        assert_eq!(count(&world).await, counts[3], "rung");
    }
}

/// B6: a page far into a long log is a walk down the partial index, not over what is before it.
#[tokio::test]
async fn b6_a_page_is_read_by_the_index_of_visible_events() {
    let world = World::new().await;
    let build = world.open("b", "ann").await;
    for _ in 0..20 {
        world.append(append(&build, logs(500))).await;
    }
    sqlx::raw_sql("ANALYZE sheen.events")
        .execute(&world.pool)
        .await
        .unwrap();
    let plan = sqlx::query(
        "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF)
         SELECT seq, data FROM sheen.events v
         WHERE v.build_id = 'b' AND v.user_id = 'ann' AND v.user_visible AND v.seq > 9000
         ORDER BY v.seq LIMIT 50",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(
        plan.contains("Index") && !plan.contains("Seq Scan"),
        "{plan}"
    );
    assert!(plan.contains("rows=50") && !plan.contains("Sort"), "{plan}");
}
