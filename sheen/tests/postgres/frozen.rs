//! Sessions that hold their locks and do nothing more.

use std::sync::Arc;
use std::time::Duration;

use sheen::admission::{Admission as _, AdmitOutcome};
use sheen::worker::Worker;
use sheen_core::error::StoreErrorKind;
use sheen_core::postgres::testing;
use sheen_core::runtime::TokioRuntime;
use sheen_events::wake::MemoryWake;

use super::statements::cancel;
use super::{World, admit};

impl World {
    /// With two builds that wait, `b1` of ann and `b2` of bob, and a worker that may sweep them.
    async fn waiting() -> (Self, Worker) {
        let world = Self::new().await;
        for (id, user) in [("b1", "ann"), ("b2", "bob")] {
            let admitted = world.rooms.admission.admit(admit(id, user, id)).await;
            assert!(matches!(admitted.unwrap(), AdmitOutcome::Admitted(..)));
        }
        let runtime = Arc::new(TokioRuntime);
        let wake = Arc::new(MemoryWake::new());
        let parts = world
            .rooms
            .parts(wake, runtime.clone(), runtime, Vec::new());
        (world, Worker::new(parts))
    }

    /// The builds that waited have waited too long.
    async fn later(&self) {
        let eleven_minutes = Duration::from_secs(11 * 60);
        testing::advance_clock(&self.pool, eleven_minutes)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_process_frozen_inside_a_step_holds_nobody_up_for_long() {
    let (world, worker) = World::waiting().await;
    let mut before = world.pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM sheen.credit_accounts WHERE user_id = 'ann' FOR UPDATE")
        .execute(&mut *before)
        .await
        .unwrap();
    let admission = world.rooms.admission.clone();
    let mut frozen = Box::pin(admission.settle(cancel("b1", "ann")));
    let waits = testkit::until_async("the step waits for the account", async || {
        world
            .count(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE wait_event_type = 'Lock' AND datname = current_database()",
            )
            .await
            > 0
    });
    tokio::select! {
        ended = &mut frozen => panic!("it did not wait: {ended:?}"),
        () = waits => {}
    }
    // From here on nobody polls it: it has its locks, and the transaction stays open.
    before.rollback().await.unwrap();
    world.later().await;
    assert_eq!(worker.sweep(10).await.unwrap(), 2);
    let thawed = frozen.await.unwrap_err();
    assert_eq!(thawed.kind, StoreErrorKind::Unavailable, "{thawed:?}");
    assert_eq!(
        world
            .count("SELECT count(*) FROM sheen.builds WHERE reason = 'TIMED_OUT'")
            .await,
        2
    );
}

#[tokio::test]
async fn a_build_that_someone_elses_session_holds_keeps_no_other_from_its_end() {
    let (world, worker) = World::waiting().await;
    let mut held = world.pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM sheen.builds WHERE build_id = 'b1' FOR UPDATE")
        .execute(&mut *held)
        .await
        .unwrap();
    world.later().await;
    assert_eq!(worker.sweep(10).await.unwrap(), 1);
    held.rollback().await.unwrap();
    assert_eq!(worker.sweep(10).await.unwrap(), 1);
}
