//! The schema holds the rules against whoever writes, sheen's own code included.

use std::time::Duration;

use sheen_core::build::BuildStore;
use sheen_core::error::StoreErrorKind;
use sheen_core::postgres::step_error;
use sqlx::AssertSqlSafe;

use super::{World, new_build, worker};

/// What PostgreSQL says to a statement written by hand.
async fn state(world: &World, statement: &str) -> Option<String> {
    let refused = sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&world.pool)
        .await
        .err()?;
    let state = refused.as_database_error()?.code()?.into_owned();
    assert_eq!(step_error(refused).kind, StoreErrorKind::Rejected);
    Some(state)
}

const UNIQUE: &str = "23505";
const CHECK: &str = "23514";
const FOREIGN: &str = "23503";

fn insertion(id: &str, user: &str, project: &str, concurrent: bool, status: &str) -> String {
    format!(
        "INSERT INTO sheen.builds (build_id, version_id, user_id, project_id, session_id, kind,
            allow_concurrent, status, token, created_ms, updated_ms)
         VALUES ('{id}', 'v', '{user}', '{project}', 's_{id}', 'create', {concurrent}, '{status}',
            0, 1, 1)"
    )
}

#[tokio::test]
async fn b1_a_second_active_build_of_a_project_is_refused() {
    let world = World::new().await;
    world.started(new_build(1, "u", "p")).await;
    let second = insertion("x", "u", "p", false, "queued");
    assert_eq!(state(&world, &second).await.as_deref(), Some(UNIQUE));
    world.claimed().await;
    assert_eq!(state(&world, &second).await.as_deref(), Some(UNIQUE));
    // One that may run beside others is let in, another project's too.
    let beside = insertion("y", "u", "p", true, "queued");
    assert_eq!(state(&world, &beside).await, None);
}

#[tokio::test]
async fn b1_sessions_and_ids_are_given_once_and_projects_have_one_owner() {
    let world = World::new().await;
    world.started(new_build(1, "u", "p")).await;
    world.started(new_build(2, "other", "q")).await;
    let same_id = insertion("bld_1", "other", "q", true, "queued");
    assert_eq!(state(&world, &same_id).await.as_deref(), Some(UNIQUE));
    let same_session = insertion("x", "u", "p", true, "queued").replace("'s_x'", "'bs_1'");
    assert_eq!(state(&world, &same_session).await.as_deref(), Some(UNIQUE));
    let strangers = insertion("x", "other", "p", true, "queued");
    assert_eq!(state(&world, &strangers).await.as_deref(), Some(FOREIGN));
    let nobodys = insertion("x", "u", "nowhere", true, "queued");
    assert_eq!(state(&world, &nobodys).await.as_deref(), Some(FOREIGN));
    let malformed = insertion("x y", "u", "p", true, "queued");
    assert_eq!(state(&world, &malformed).await.as_deref(), Some(CHECK));
}

#[tokio::test]
async fn b2_every_illegal_transition_is_refused_and_leaves_the_row() {
    let shapes = [
        (
            "queued",
            "token = 0, heartbeat_ms = NULL, claimed_by = NULL",
        ),
        ("building", "token = token + 1, heartbeat_ms = 1"),
        (
            "deployed",
            "token = token + 1, preview_url = '/', seconds = 1",
        ),
        (
            "failed",
            "token = token + 1, reason = 'CANCELLED', error = ''",
        ),
    ];
    let legal = [
        ("queued", "building"),
        ("queued", "failed"),
        ("building", "deployed"),
        ("building", "failed"),
    ];
    for (from, _) in shapes {
        for (to, set) in shapes {
            let world = World::new().await;
            let id = world.started(new_build(1, "u", "p")).await.build.id;
            if matches!(from, "building" | "deployed") {
                world.claimed().await;
            }
            if matches!(from, "deployed" | "failed") {
                let (_, set) = shapes.iter().find(|(status, _)| *status == from).unwrap();
                let to_start = format!("UPDATE sheen.builds SET status = '{from}', {set}");
                assert_eq!(state(&world, &to_start).await, None);
            }
            let before = world.row(&id).await;
            let moved = format!("UPDATE sheen.builds SET status = '{to}', {set}");
            let refused = state(&world, &moved).await;
            if legal.contains(&(from, to)) {
                assert_eq!(refused, None, "{from} to {to}");
            } else {
                assert_eq!(refused.as_deref(), Some(CHECK), "{from} to {to}");
                assert_eq!(world.row(&id).await, before, "{from} to {to}");
            }
        }
    }
}

#[tokio::test]
async fn b2_rows_that_contradict_themselves_are_refused() {
    let world = World::new().await;
    world.started(new_build(1, "u", "p")).await;
    world.started(new_build(2, "u", "q")).await;
    world.claimed().await;
    let building = "UPDATE sheen.builds SET updated_ms = 2,";
    let building_only = "WHERE status = 'building'";
    for set in [
        "token = token + 1",
        "token = token - 1",
        "heartbeat_ms = NULL",
        "status = 'deployed', token = token + 1",
        "status = 'failed', token = token + 1, reason = 'CANCELLED'",
        "status = 'failed', reason = 'CANCELLED', error = ''",
        "project_id = 'q'",
        "session_id = 'another'",
        "allow_concurrent = true",
        "hold_id = 'res_1', hold_seconds = 1",
        "created_ms = 0",
        "seconds = 3",
    ] {
        let statement = format!("{building} {set} {building_only}");
        assert_eq!(
            state(&world, &statement).await.as_deref(),
            Some(CHECK),
            "{set}"
        );
    }
    let heartbeat = format!("{building} heartbeat_ms = 2 {building_only}");
    assert_eq!(state(&world, &heartbeat).await, None);
    for status in ["building", "deployed", "failed", "unknown"] {
        let born = insertion("x", "u", "p", true, status);
        assert_eq!(
            state(&world, &born).await.as_deref(),
            Some(CHECK),
            "{status}"
        );
    }
}

/// B5: the apply compares every part of what a decision relied on.
#[tokio::test]
async fn b5_a_write_over_another_row_is_a_miss() {
    let world = World::new().await;
    world.started(new_build(1, "u", "p")).await;
    let build = world.claimed().await.build;
    let heard = build.heartbeat_at.unwrap().as_millis();
    let cases = [
        ("bld_none", "building", 1, heard),
        ("bld_1", "queued", 1, heard),
        ("bld_1", "building", 0, heard),
        ("bld_1", "building", 2, heard),
        ("bld_1", "building", 1, heard - 1),
        ("bld_1", "building", 1, heard),
    ];
    for (n, (id, status, token, heard)) in cases.into_iter().enumerate() {
        let hit: bool = sqlx::query_scalar(
            "SELECT hit FROM sheen.build_write_v1($1, $2, $3, $4, NULL, 'failed', 2, false,
                'CANCELLED', '', NULL, NULL)",
        )
        .bind(id)
        .bind(status)
        .bind(token)
        .bind(heard)
        .fetch_one(&world.pool)
        .await
        .unwrap();
        assert_eq!(hit, n == cases.len() - 1, "{id} {status} {token} {heard}");
        assert_eq!(hit, world.row(&build.id).await != build);
    }
}

#[tokio::test]
async fn s4_heartbeats_are_heap_only_updates() {
    let world = World::new().await;
    world.started(new_build(1, "u", "p")).await;
    let build = world.claimed().await.build;
    // In one transaction, so that its own counters can be read exactly.
    let mut step = world.pool.begin().await.unwrap();
    for n in 0..20 {
        let updated = sqlx::query("UPDATE sheen.test_clock SET now_ms = now_ms + 1")
            .execute(&mut *step)
            .await;
        assert_eq!(updated.unwrap().rows_affected(), 1);
        let hit: bool = sqlx::query_scalar(
            "SELECT hit FROM sheen.build_write_v1($1, 'building', 1, $2, NULL, 'building', 1, true,
                NULL, NULL, NULL, NULL)",
        )
        .bind(build.id.as_str())
        .bind(build.heartbeat_at.unwrap().as_millis() + n)
        .fetch_one(&mut *step)
        .await
        .unwrap();
        assert!(hit);
    }
    let (all, hot): (i64, i64) = sqlx::query_as(
        "SELECT pg_stat_get_xact_tuples_updated('sheen.builds'::regclass),
            pg_stat_get_xact_tuples_hot_updated('sheen.builds'::regclass)",
    )
    .fetch_one(&mut *step)
    .await
    .unwrap();
    assert_eq!((all, hot), (20, 20));
}

#[tokio::test]
async fn a_row_this_code_cannot_read_is_corrupt() {
    let world = World::new().await;
    world.started(new_build(1, "u", "p")).await;
    let spoiled = "UPDATE sheen.build_inputs SET files = 'not json'";
    assert_eq!(state(&world, spoiled).await, None);
    world.advance(Duration::from_secs(1)).await;
    let error = world.store.claim(&worker()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
}
