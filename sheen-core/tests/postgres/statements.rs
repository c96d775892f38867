//! How many statements a step is, by the server's own count, and that each can be prepared.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sheen_core::build::settled::{Hearing, ObserverRegistry, SettledOutbox};
use sheen_core::build::{
    Authority, BuildKind, BuildReader, BuildStore, Deadlines, Ending, FailureReason, Finish,
    PgBuildStore,
};
use sheen_core::id::ObserverId;
use sheen_core::seconds::Seconds;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use super::support::count;
use super::{World, new_build, worker};

fn deployed() -> Ending {
    Ending::Deployed {
        preview_url: "/preview/1/".into(),
        seconds: Seconds::from_u32(3),
    }
}

#[tokio::test]
async fn a_step_is_one_statement_in_the_usual_case() {
    let world = World::new().await;
    // A server of one's own needs shared_preload_libraries = 'pg_stat_statements'.
    sqlx::raw_sql("CREATE EXTENSION pg_stat_statements")
        .execute(&world.pool)
        .await
        .unwrap();
    let store = &world.store;
    count(&world).await;

    world.started(new_build(1, "u", "p")).await;
    assert_eq!(count(&world).await, 1, "start of a new project");
    let busy = new_build(2, "u", "p");
    store.start(busy).await.unwrap();
    assert_eq!(count(&world).await, 1, "refused start");
    let build = world.claimed().await.build;
    assert_eq!(count(&world).await, 1, "claim");
    store.claim(&worker()).await.unwrap();
    assert_eq!(count(&world).await, 1, "claim of an empty queue");
    for _ in 0..3 {
        store.beat(&build.id, build.token).await.unwrap();
        assert_eq!(count(&world).await, 1, "heartbeat of an own claim");
    }
    let by = Authority::Claim(build.token);
    let finish = Finish::new(build.id.clone(), by, deployed());
    store.finish(finish.clone()).await.unwrap();
    assert_eq!(count(&world).await, 1, "finish of an own claim");
    store.finish(finish).await.unwrap();
    assert_eq!(count(&world).await, 1, "its repeat");
    world.started(new_build(3, "u", "p")).await;
    assert_eq!(count(&world).await, 1, "start of a known project");
    let mut beside = new_build(4, "u", "p");
    beside.allow_concurrent = true;
    world.started(beside).await;
    assert_eq!(count(&world).await, 1, "start beside another build");
    let mut update = new_build(5, "u", "p");
    update.allow_concurrent = true;
    update.input.kind = BuildKind::Update;
    world.started(update).await;
    assert_eq!(count(&world).await, 2, "update: the files it is laid over");
    store.overdue(10).await.unwrap();
    assert_eq!(count(&world).await, 1, "sweep's list");
    let batch: Vec<_> = (10..60)
        .map(|n| new_build(n, "u", &format!("b{n}")))
        .collect();
    store.start_many(batch.clone()).await.unwrap();
    assert_eq!(count(&world).await, 1, "fifty starts");
    store.start_many(batch).await.unwrap();
    assert_eq!(count(&world).await, 1, "their repeat");
    let updates = (60..110).map(|n| {
        let mut new = new_build(n, "u", &format!("b{n}"));
        new.input.kind = BuildKind::Update;
        new
    });
    store.start_many(updates.collect()).await.unwrap();
    assert_eq!(count(&world).await, 2, "fifty updates");
    store.reap(100).await.unwrap();
    assert_eq!(count(&world).await, 1, "a sweep that finds nothing");
    world.advance(Duration::from_secs(600)).await;
    count(&world).await;
    assert_eq!(store.reap(60).await.unwrap().len(), 60);
    assert_eq!(count(&world).await, 2, "a sweep of sixty");
}

#[tokio::test]
async fn telling_an_observer_is_a_lease_and_a_resolution() {
    let world = World::new().await;
    sqlx::raw_sql("CREATE EXTENSION pg_stat_statements")
        .execute(&world.pool)
        .await
        .unwrap();
    let mail = ObserverId::parse("mail").unwrap();
    world.store.register(&mail).await.unwrap();
    world.started(new_build(1, "u", "p")).await;
    let build = world.claimed().await.build;
    count(&world).await;
    let by = Authority::Claim(build.token);
    let finish = Finish::new(build.id, by, deployed());
    world.store.finish(finish).await.unwrap();
    assert_eq!(count(&world).await, 1, "a finish that is to be told of");
    let due = world
        .store
        .lease(&mail, &worker(), 10)
        .await
        .unwrap()
        .deliveries;
    assert_eq!(count(&world).await, 1, "lease");
    world
        .store
        .resolve(&due[0].lease, Hearing::Heard)
        .await
        .unwrap();
    assert_eq!(count(&world).await, 1, "resolution");
}

#[tokio::test]
async fn a_step_over_unknown_state_is_a_load_and_an_apply() {
    let world = World::new().await;
    sqlx::raw_sql("CREATE EXTENSION pg_stat_statements")
        .execute(&world.pool)
        .await
        .unwrap();
    world.started(new_build(1, "u", "p")).await;
    let build = world.claimed().await.build;
    // Another process: it remembers nothing.
    let other = Arc::new(PgBuildStore::new(world.pool.clone(), Deadlines::default()));
    count(&world).await;
    other.beat(&build.id, build.token).await.unwrap();
    assert_eq!(count(&world).await, 2);
    // What the first process remembers is stale by one heartbeat: a miss, then the write.
    world.advance(Duration::from_millis(5)).await;
    other.beat(&build.id, build.token).await.unwrap();
    count(&world).await;
    world.store.beat(&build.id, build.token).await.unwrap();
    assert_eq!(count(&world).await, 2);
    let ending = Ending::Failed {
        reason: FailureReason::Cancelled,
        error: "called off".into(),
    };
    let finish = Finish::new(build.id, Authority::Owner(build.user), ending);
    world.store.finish(finish).await.unwrap();
    assert_eq!(count(&world).await, 2);
}

/// S5: a step leaves neither a lock nor a setting in its session, so a transaction pooler may give
/// the session to somebody else.
#[tokio::test]
async fn s5_a_step_leaves_nothing_in_its_session() {
    const LEFT: &str = "SELECT (SELECT count(*) FROM pg_locks
            WHERE pid = pg_backend_pid() AND locktype = 'advisory')
        + (SELECT count(*) FROM pg_settings WHERE source = 'session')";
    let world = World::new().await;
    let one = world.database.pool_with(1, world.database.options()).await;
    let store = PgBuildStore::new(one.clone(), Deadlines::default());
    let before: i64 = sqlx::query_scalar(LEFT).fetch_one(&one).await.unwrap();
    let batch = (1..4).map(|n| new_build(n, "u", &format!("p{n}")));
    store.start_many(batch.collect()).await.unwrap();
    store.start(new_build(4, "u", "p4")).await.unwrap();
    let build = store.claim(&worker()).await.unwrap().unwrap().build;
    store.beat(&build.id, build.token).await.unwrap();
    let by = Authority::Claim(build.token);
    let finish = Finish::new(build.id, by, deployed());
    store.finish(finish).await.unwrap();
    world.advance(Duration::from_secs(600)).await;
    assert_eq!(store.reap(10).await.unwrap().len(), 3);
    let after: i64 = sqlx::query_scalar(LEFT).fetch_one(&one).await.unwrap();
    assert_eq!(after, before);
    // What this counts is seen when it is there.
    sqlx::raw_sql("SELECT pg_advisory_lock(1); SET work_mem = '8MB'")
        .execute(&one)
        .await
        .unwrap();
    let spoiled: i64 = sqlx::query_scalar(LEFT).fetch_one(&one).await.unwrap();
    assert_eq!(spoiled, before + 2);
}

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let world = World::new().await;
    let mut connection = world.database.connection().await;
    for folder in [
        "src/postgres/sql",
        "src/build/postgres/sql",
        "src/build/settled/postgres/sql",
        "src/idempotency/postgres/sql",
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut prepared = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            // Scripts of several statements; the tests run them.
            if matches!(
                &*name,
                "migration_table_create.sql" | "test_clock_install.sql"
            ) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let statement = AssertSqlSafe(text).into_sql_str();
            let outcome = (&mut connection).prepare(statement).await;
            assert!(outcome.is_ok(), "{name}: {outcome:?}");
            prepared += 1;
        }
        assert!(prepared >= 5, "{folder:?}");
    }
}
