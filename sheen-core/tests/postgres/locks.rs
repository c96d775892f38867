//! What steps do while another session holds their rows, and what they do not hold themselves.

use std::sync::Arc;
use std::time::Duration;

use super::support::{Holder, beside, waiting};
use super::{World, new_build, worker};
use sheen_core::build::{
    Authority, BeatOutcome, Build, BuildKind, BuildReader, BuildStore, Deadlines, Ending,
    FailureReason, Finish, FinishOutcome, PgBuildStore, StartOutcome,
};
use sheen_core::files::{FilePath, FileSet};

const BUILD_ROW: &str = "SELECT 1 FROM sheen.builds FOR UPDATE";
const PROJECT_ROW: &str = "SELECT 1 FROM sheen.projects FOR UPDATE";

fn failed(reason: FailureReason) -> Ending {
    Ending::Failed {
        reason,
        error: "it ended".into(),
    }
}

fn sweep(build: &Build) -> Finish {
    let ending = failed(FailureReason::TimedOut);
    Finish::new(build.id.clone(), Authority::Sweep, ending)
}

async fn building(world: &World) -> Build {
    world.started(new_build(1, "u", "p")).await;
    world.claimed().await.build
}

/// C7, R7: the heartbeat counts from when it was written, not from when it began to wait.
#[tokio::test]
async fn c07_a_heartbeat_is_dated_after_its_wait() {
    let world = World::new().await;
    let build = building(&world).await;
    let holder = Holder::of(&world, BUILD_ROW).await;
    let (store, id, token) = (world.store.clone(), build.id.clone(), build.token);
    let beat = beside(async move { store.beat(&id, token).await });
    waiting(&world, 1).await;
    world.advance(Duration::from_secs(1000)).await;
    holder.let_go().await;
    let deadline = world.now().await.plus(Duration::from_secs(90));
    let alive = beat.await.unwrap().unwrap();
    assert_eq!(alive, BeatOutcome::Alive { deadline });
}

/// C7: a heartbeat that waits behind the sweep finds the build ended.
#[tokio::test]
async fn c07_a_heartbeat_that_waited_behind_an_end_is_lost() {
    let world = World::new().await;
    let build = building(&world).await;
    let mut holder = Holder::of(&world, BUILD_ROW).await;
    let (store, id, token) = (world.store.clone(), build.id.clone(), build.token);
    let beat = beside(async move { store.beat(&id, token).await });
    waiting(&world, 1).await;
    holder
        .run(
            "UPDATE sheen.builds SET status = 'failed', token = 2, reason = 'TIMED_OUT', error = ''",
        )
        .await;
    holder.let_go().await;
    assert_eq!(beat.await.unwrap().unwrap(), BeatOutcome::Lost);
}

/// C10, R7: a sweep that found the build overdue, waited, and finds that it was heard of meanwhile.
#[tokio::test]
async fn c10_a_sweep_that_waited_behind_a_heartbeat_is_too_early() {
    let world = World::new().await;
    let build = building(&world).await;
    world.advance(Duration::from_secs(90)).await;
    let mut holder = Holder::of(&world, BUILD_ROW).await;
    let (store, finish) = (world.store.clone(), sweep(&build));
    let swept = beside(async move { store.finish(finish).await });
    waiting(&world, 1).await;
    holder
        .run("UPDATE sheen.builds SET heartbeat_ms = sheen.now_ms(), updated_ms = sheen.now_ms()")
        .await;
    holder.let_go().await;
    let outcome = swept.await.unwrap().unwrap();
    assert_eq!(
        outcome,
        FinishOutcome::NotOverdue(world.row(&build.id).await)
    );
    assert!(world.row(&build.id).await.status.is_active());
}

/// C10, R7: the same wait, but the new heartbeat's own deadline passes too before the lock comes.
#[tokio::test]
async fn c10_a_lock_held_past_the_deadline_is_decided_by_the_clock_after_it() {
    let world = World::new().await;
    let build = building(&world).await;
    world.advance(Duration::from_secs(90)).await;
    let mut holder = Holder::of(&world, BUILD_ROW).await;
    let (store, finish) = (world.store.clone(), sweep(&build));
    let swept = beside(async move { store.finish(finish).await });
    waiting(&world, 1).await;
    holder
        .run("UPDATE sheen.builds SET heartbeat_ms = sheen.now_ms(), updated_ms = sheen.now_ms()")
        .await;
    world.advance(Duration::from_secs(90)).await;
    holder.let_go().await;
    let FinishOutcome::Finished(ended) = swept.await.unwrap().unwrap() else {
        panic!("not swept");
    };
    assert_eq!(ended.updated_at, world.now().await);
}

/// C10: the window is compared under the lock, even if a clock stepped back meanwhile.
#[tokio::test]
async fn c10_a_sweep_before_its_window_writes_nothing() {
    let world = World::new().await;
    let build = building(&world).await;
    world.advance(Duration::from_secs(90)).await;
    let holder = Holder::of(&world, BUILD_ROW).await;
    let (store, finish) = (world.store.clone(), sweep(&build));
    let swept = beside(async move { store.finish(finish).await });
    waiting(&world, 1).await;
    sqlx::raw_sql("UPDATE sheen.test_clock SET now_ms = now_ms - 1")
        .execute(&world.pool)
        .await
        .unwrap();
    holder.let_go().await;
    let outcome = swept.await.unwrap().unwrap();
    assert_eq!(outcome, FinishOutcome::NotOverdue(build));
}

/// C5: a start is dated after its wait for the project.
#[tokio::test]
async fn c05_a_start_is_dated_after_its_wait() {
    let world = World::new().await;
    let build = building(&world).await;
    let by = Authority::Claim(build.token);
    let finish = Finish::new(build.id, by, failed(FailureReason::BuildFailed));
    world.store.finish(finish).await.unwrap();
    let holder = Holder::of(&world, PROJECT_ROW).await;
    let store = world.store.clone();
    let start = beside(async move { store.start(new_build(2, "u", "p")).await });
    waiting(&world, 1).await;
    world.advance(Duration::from_secs(1000)).await;
    holder.let_go().await;
    let StartOutcome::Started(queued) = start.await.unwrap().unwrap() else {
        panic!("not started");
    };
    assert_eq!(queued.build.created_at, world.now().await);
}

/// What a start of session `bs_2` in project `q` writes first.
const SESSION_TAKEN: &str = "
    INSERT INTO sheen.projects (project_id, owner_id) VALUES ('q', 'u');
    INSERT INTO sheen.builds (build_id, version_id, user_id, project_id, session_id, kind,
        allow_concurrent, status, token, created_ms, updated_ms)
    VALUES ('bld_other', 'v', 'u', 'q', 'bs_2', 'create', false, 'queued', 0, 1, 1)";

/// C3, S2: the session is taken through another project between the look and the write.
#[tokio::test]
async fn c03_a_session_taken_meanwhile_is_known_and_the_project_stays_nobodys() {
    let world = World::new().await;
    let holder = Holder::of(&world, SESSION_TAKEN).await;
    let store = world.store.clone();
    let start = beside(async move { store.start(new_build(2, "u", "p")).await });
    waiting(&world, 1).await;
    holder.let_go().await;
    let StartOutcome::SessionKnown(known) = start.await.unwrap().unwrap() else {
        panic!("not known");
    };
    assert_eq!(known.build.id.as_str(), "bld_other");
    let new = new_build(2, "u", "p");
    assert_eq!(world.store.owner(&new.project).await.unwrap(), None);
    assert_eq!(world.store.get(&new.id).await.unwrap(), None);
}

/// C3, S2: and when who took it gives it back, the start goes through.
#[tokio::test]
async fn c03_a_session_given_back_meanwhile_starts() {
    let world = World::new().await;
    let mut holder = Holder::of(&world, SESSION_TAKEN).await;
    let store = world.store.clone();
    let start = beside(async move { store.start(new_build(2, "u", "p")).await });
    waiting(&world, 1).await;
    holder.run("ROLLBACK").await;
    let started = start.await.unwrap().unwrap();
    assert!(matches!(started, StartOutcome::Started(_)), "{started:?}");
}

/// C1, R3: the project is made by another user between the look and the write.
#[tokio::test]
async fn c01_a_project_made_meanwhile_is_looked_at_again() {
    let world = World::new().await;
    let holder = Holder::of(
        &world,
        "INSERT INTO sheen.projects (project_id, owner_id) VALUES ('p', 'other')",
    )
    .await;
    let store = world.store.clone();
    let start = beside(async move { store.start(new_build(1, "u", "p")).await });
    waiting(&world, 1).await;
    holder.let_go().await;
    assert_eq!(start.await.unwrap().unwrap(), StartOutcome::NotOwner);
}

/// C5: the project's files change between an update's look and its write.
#[tokio::test]
async fn c05_an_update_is_laid_over_the_files_that_are_there_when_it_is_written() {
    let world = World::new().await;
    let files = |path: &str, content: &str| {
        FileSet::from_iter([(FilePath::parse(path).unwrap(), content.into())])
    };
    for n in [1, 2] {
        let mut new = new_build(n, "u", "p");
        new.input.files = files("index.html", &format!("<h{n}>"));
        let owner = Authority::Owner(new.user.clone());
        let id = world.started(new).await.build.id;
        let cancel = Finish::new(id, owner, failed(FailureReason::Cancelled));
        world.store.finish(cancel).await.unwrap();
    }
    let mut holder = Holder::of(&world, PROJECT_ROW).await;
    let store = world.store.clone();
    let mut update = new_build(3, "u", "p");
    update.input.kind = BuildKind::Update;
    update.input.files = files("about.html", "<h3>");
    let start = beside(async move { store.start(update).await });
    waiting(&world, 1).await;
    holder
        .run("UPDATE sheen.projects SET last_build_id = 'bld_1'")
        .await;
    holder.let_go().await;
    let started = start.await.unwrap().unwrap();
    assert!(matches!(started, StartOutcome::Started(_)), "{started:?}");
    let worked_on = world.claimed().await.input.files;
    assert_eq!(worked_on.get("index.html"), Some("<h1>"));
    assert_eq!(worked_on.get("about.html"), Some("<h3>"));
}

/// C6: a claim does not wait for a build that another step holds; it takes the next one.
#[tokio::test]
async fn c06_a_claim_passes_by_what_is_locked() {
    // So that a claim which does wait is refused instead of waiting for ever.
    let world = World::with(|options| options.options([("lock_timeout", "1s")])).await;
    world.started(new_build(1, "u", "p")).await;
    world.started(new_build(2, "u", "q")).await;
    let holder = Holder::of(
        &world,
        "SELECT 1 FROM sheen.builds WHERE build_id = 'bld_1' FOR UPDATE",
    )
    .await;
    let claimed = world.claimed().await;
    assert_eq!(claimed.build.id.as_str(), "bld_2");
    assert_eq!(world.store.claim(&worker()).await.unwrap(), None);
    holder.let_go().await;
    assert_eq!(world.claimed().await.build.id.as_str(), "bld_1");
}

/// S1: a caller that vanishes while its step waits leaves no lock: the step ends by itself on the
/// server, and everybody else goes on.
#[tokio::test]
async fn s1_a_step_whose_caller_vanished_holds_nothing() {
    let world = World::new().await;
    let build = building(&world).await;
    let holder = Holder::of(&world, BUILD_ROW).await;
    let (store, id, token) = (world.store.clone(), build.id.clone(), build.token);
    let beat = beside(async move { store.beat(&id, token).await });
    waiting(&world, 1).await;
    beat.abort();
    assert!(beat.await.unwrap_err().is_cancelled());
    holder.let_go().await;
    let by = Authority::Claim(build.token);
    let finish = Finish::new(build.id.clone(), by, failed(FailureReason::BuildFailed));
    let ended = world.store.finish(finish).await.unwrap();
    assert!(matches!(ended, FinishOutcome::Finished(_)));
    world.started(new_build(2, "u", "p")).await;
}

/// S6: a server that goes away mid-step leaves the outcome open, and the repeat is right.
#[tokio::test]
async fn s6_a_connection_cut_mid_step_is_an_unknown_outcome() {
    use sheen_core::error::StoreErrorKind;
    let world = World::new().await;
    let build = building(&world).await;
    let holder = Holder::of(&world, BUILD_ROW).await;
    let (store, id, token) = (world.store.clone(), build.id.clone(), build.token);
    let beat = beside(async move { store.beat(&id, token).await });
    waiting(&world, 1).await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let error = beat.await.unwrap().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::OutcomeUnknown);
    holder.let_go().await;
    let alive = world.store.beat(&build.id, build.token).await.unwrap();
    assert!(matches!(alive, BeatOutcome::Alive { .. }));
}

/// S6: a deadlock's victim and a lock timeout are tried again, a bounded number of times.
#[tokio::test]
async fn s6_a_lock_timeout_is_tried_again_then_contended() {
    use sheen_core::error::StoreErrorKind;
    let world = World::with(|options| options.options([("lock_timeout", "5ms")])).await;
    let build = building(&world).await;
    let holder = Holder::of(&world, BUILD_ROW).await;
    let error = world.store.beat(&build.id, build.token).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Contended);
    holder.let_go().await;
    let alive = world.store.beat(&build.id, build.token).await.unwrap();
    assert!(matches!(alive, BeatOutcome::Alive { .. }));
}

/// A server that cannot be reached did nothing, and says so.
#[tokio::test]
async fn an_unreachable_server_is_unavailable() {
    use sheen_core::build::PgBuildStore;
    use sheen_core::error::StoreErrorKind;
    let nowhere = sqlx::postgres::PgConnectOptions::new_without_pgpass()
        .socket("/nonexistent")
        .username("nobody");
    let pool = sqlx::postgres::PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(50))
        .connect_lazy_with(nowhere);
    let store = Arc::new(PgBuildStore::new(pool, Deadlines::default()));
    let error = store.overdue(1).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.is_transient());
}

/// C16: reaping does not wait for a build that another step holds; it ends the others.
#[tokio::test]
async fn c16_reaping_passes_by_what_is_locked() {
    let world = World::with(|options| options.options([("lock_timeout", "1s")])).await;
    for n in 1..4 {
        world.started(new_build(n, "u", &format!("p{n}"))).await;
    }
    world.advance(Duration::from_secs(600)).await;
    let holder = Holder::of(
        &world,
        "SELECT 1 FROM sheen.builds WHERE build_id = 'bld_2' FOR UPDATE",
    )
    .await;
    let ids = |reaped: Vec<Build>| -> Vec<String> {
        reaped.iter().map(|build| build.id.to_string()).collect()
    };
    let reaped = world.store.reap(10).await.unwrap();
    assert_eq!(ids(reaped), ["bld_1", "bld_3"]);
    holder.let_go().await;
    assert_eq!(ids(world.store.reap(10).await.unwrap()), ["bld_2"]);
    assert_eq!(world.store.reap(10).await.unwrap(), []);
}

/// C3: a known build and its place in the queue are of one instant, although it is called off while
/// the start looks.
#[tokio::test]
async fn c03_a_known_build_is_told_of_one_instant() {
    let world = World::new().await;
    for n in 0..40 {
        let project = format!("p{n}");
        let build = world.started(new_build(n, "u", &project)).await.build;
        let (store, again) = (world.store.clone(), new_build(n, "u", &project));
        let repeat = beside(async move { store.start(again).await });
        let ending = failed(FailureReason::Cancelled);
        let finish = Finish::new(build.id, Authority::Owner(build.user), ending);
        world.store.finish(finish).await.unwrap();
        let StartOutcome::SessionKnown(known) = repeat.await.unwrap().unwrap() else {
            panic!("not known");
        };
        assert_eq!(
            known.build.status.is_active(),
            known.position > 0,
            "{known:?}"
        );
    }
}

/// C15: two batches over the same new projects, in opposite orders, never wait for one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_over_new_projects_do_not_wait_in_a_ring() {
    let world = World::new().await;
    for round in 0..4u32 {
        let mut tasks = Vec::new();
        for side in 0..2u32 {
            let pool = world.database.pool_with(2, world.database.options()).await;
            let store = PgBuildStore::new(pool, Deadlines::default());
            let start = |n| {
                let project = format!("new{round}-{n}");
                new_build(round * 1000 + side * 100 + n, "u", &project)
            };
            let mut batch: Vec<_> = (0..50).map(start).collect();
            if side == 1 {
                batch.reverse();
            }
            tasks.push(beside(async move { store.start_many(batch).await }));
        }
        let mut started = 0;
        for task in tasks {
            let told = task.await.unwrap().unwrap();
            let is_started =
                |told: &&Result<StartOutcome, _>| matches!(told, Ok(StartOutcome::Started(_)));
            started += told.iter().filter(is_started).count();
        }
        assert_eq!(started, 50);
    }
    let deadlocks: i64 = sqlx::query_scalar(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(deadlocks, 0);
}
