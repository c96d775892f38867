//! Steps that meet, of several processes and of the credit routes.

use std::time::Duration;

use futures_util::future::join_all;
use sheen::admission::{Admission as _, AdmitOutcome, SettleOutcome};
use sheen_billing::account::{CreditReader as _, CreditStore as _, Reserve, ReserveOutcome};
use sheen_core::build::{BeatOutcome, BuildReader as _, Status};
use sheen_core::id::{OperationId, UserId};
use sheen_core::runtime::{Sleep as _, TokioRuntime};
use sheen_core::seconds::Seconds;
use testkit::until_async;

use super::{World, admit, deployed, rooms, rules, worker};

/// B1: of 60 starts by three processes for one project under keys of their own, one is
/// admitted; each other one is told which, and none of them holds anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_starts_of_one_project_by_three_processes_are_one_build() {
    let world = World::new().await;
    let processes: Vec<_> = (0..3).map(|_| rooms(&world.pool, rules())).collect();
    let starts = (0..60).map(|n| {
        let steps = processes[n % 3].admission.clone();
        async move {
            steps
                .admit(admit(&format!("b{n}"), "u", "p"))
                .await
                .unwrap()
        }
    });
    let outcomes = join_all(starts).await;
    let admitted: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            AdmitOutcome::Admitted(admitted, _) => Some(admitted.queued.build.id.clone()),
            AdmitOutcome::ProjectBusy { .. } => None,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(admitted.len(), 1);
    for outcome in &outcomes {
        if let AdmitOutcome::ProjectBusy { active } = outcome {
            assert_eq!(*active, admitted[0]);
        }
    }
    let totals = world.rooms.credits.ledger_totals().await.unwrap();
    assert_eq!(totals.held, 10);
    let answers = "SELECT count(*) FROM sheen.idempotency";
    assert_eq!(world.count(answers).await, 1);
}

/// R15: a heartbeat that waited for the account past its hold's end is lost, by the clock as it is
/// then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r15_a_beat_that_waited_past_its_holds_end_is_lost() {
    let world = World::new().await;
    let steps = world.rooms.admission.clone();
    steps.admit(admit("b1", "u", "p")).await.unwrap();
    let build = steps.claim(&worker()).await.unwrap().unwrap().build;
    let mut holder = world.pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM sheen.credit_accounts WHERE user_id = 'u' FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    let (beat, ()) = futures_util::join!(steps.beat(&build.id, build.token), async {
        until_async("the beat to wait", || async {
            let waiting = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'";
            world.count(waiting).await == 1
        })
        .await;
        let past = Reserve::DEFAULT_TTL + Duration::from_secs(1);
        sheen_core::postgres::testing::advance_clock(&world.pool, past)
            .await
            .unwrap();
        holder.commit().await.unwrap();
    });
    assert_eq!(beat.unwrap(), BeatOutcome::Lost);
    let row = world.rooms.builds.get(&build.id).await.unwrap().unwrap();
    assert_eq!(
        row.build.heartbeat_at, build.heartbeat_at,
        "nothing was written"
    );
    let SettleOutcome::Settled(settled) =
        steps.settle(deployed("b1", build.token, 5)).await.unwrap()
    else {
        panic!("it did not end");
    };
    assert_eq!(settled.build.status, Status::Failed);
}

/// Whole lives of builds over a few accounts by three processes, beside the credit routes: no step
/// fails for meeting another, and every second is accounted for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lives_of_builds_beside_the_credit_routes_do_not_deadlock() {
    const LANES: usize = 12;
    const EACH: usize = 8;
    let world = World::new().await;
    let mut config = rules();
    config.credits.daily_gift = Seconds::from_u32(100_000);
    let lanes = (0..LANES).map(|lane| {
        let rooms = rooms(&world.pool, config.clone());
        async move {
            for n in 0..EACH {
                let (id, user) = (format!("b{lane}-{n}"), format!("u{}", (lane + n) % 3));
                let start = admit(&id, &user, &format!("p-{id}"));
                let admitted = rooms.admission.admit(start).await.unwrap();
                assert!(
                    matches!(admitted, AdmitOutcome::Admitted(..)),
                    "{admitted:?}"
                );
                let operation = OperationId::parse(&format!("o-{id}")).unwrap();
                let user = UserId::parse(&user).unwrap();
                let reserve = Reserve::new(user, operation, Seconds::from_u32(3));
                let held = rooms.credits.reserve(reserve).await.unwrap();
                assert!(matches!(held, ReserveOutcome::Reserved(_)), "{held:?}");
                let claimed = loop {
                    // Others may hold what is queued at this moment.
                    match rooms.admission.claim(&worker()).await.unwrap() {
                        Some(claimed) => break claimed.build,
                        None => TokioRuntime.sleep(Duration::from_millis(1)).await,
                    }
                };
                let beat = rooms.admission.beat(&claimed.id, claimed.token).await;
                assert!(matches!(beat.unwrap(), BeatOutcome::Alive { .. }));
                let finish = deployed(claimed.id.as_str(), claimed.token, 5);
                let ended = rooms.admission.settle(finish).await.unwrap();
                assert!(matches!(ended, SettleOutcome::Settled(_)), "{ended:?}");
            }
        }
    });
    join_all(lanes).await;
    let totals = world.rooms.credits.ledger_totals().await.unwrap();
    let all = u128::try_from(LANES * EACH).unwrap();
    assert_eq!((totals.charged, totals.held), (5 * all, 3 * all));
    let ended = "SELECT count(*) FROM sheen.builds WHERE status = 'deployed'";
    assert_eq!(world.count(ended).await, i64::try_from(all).unwrap());
}
