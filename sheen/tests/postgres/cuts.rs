//! The line breaks at each message of each step, or the caller goes away: whoever repeats the step
//! gets what was done, and it is done once and whole (C12; failures B6, I9, S1, S6).

use sheen::admission::postgres::PgAdmission;
use sheen::admission::{Admission as _, AdmitOutcome, Charge, SettleOutcome};
use sheen_billing::account::CreditReader as _;
use sheen_core::build::{BuildReader as _, FinishOutcome, Status};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::BuildId;
use testkit::{Place, Proof, Proxy, To};

use super::{World, admit, deployed, rooms, rules, worker};

/// More than the round trips of a step, a new connection's start among them.
const TRIPS: u64 = 14;

/// Repeats a step until it is answered, as its caller would.
async fn insist<T, F>(mut ask: impl FnMut() -> F) -> (T, bool)
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut failed = false;
    loop {
        match ask().await {
            Ok(outcome) => return (outcome, failed),
            Err(error) => {
                let kinds = [StoreErrorKind::Unavailable, StoreErrorKind::OutcomeUnknown];
                assert!(kinds.contains(&error.kind), "{error:?}");
                failed = true;
            }
        }
    }
}

/// What `builds` whole builds leave behind, whatever broke on the way.
async fn whole(world: &World, builds: i64) {
    for counted in [
        "SELECT count(*) FROM sheen.builds",
        "SELECT count(*) FROM sheen.event_streams",
        "SELECT count(*) FROM sheen.idempotency",
        "SELECT count(*) FROM sheen.credit_holds",
        "SELECT count(*) FROM sheen.events WHERE seq = 1 AND event_type = 'build_queued'",
    ] {
        assert_eq!(world.count(counted).await, builds, "{counted}");
    }
    let ends = "SELECT count(*) FROM sheen.events WHERE event_type = 'deploy_completed'";
    let ended = "SELECT count(*) FROM sheen.builds WHERE status = 'deployed'";
    assert_eq!(world.count(ends).await, world.count(ended).await);
}

impl World {
    async fn held(&self) -> u128 {
        let totals = self.rooms.credits.ledger_totals().await.unwrap();
        assert!(totals.is_conserved(), "{totals:?}");
        totals.held
    }
}

/// A build's whole life, with the line cut at message `nth` of the step called `at`.
async fn life(world: &World, line: &PgAdmission, cut: impl Fn(&str), n: i64) -> bool {
    let id = format!("b{n}");
    let start = admit(&id, &format!("u{n}"), &format!("p{n}"));
    cut("admit");
    let (outcome, mut failed) = insist(|| line.admit(start.clone())).await;
    match outcome {
        AdmitOutcome::Admitted(_, answer) | AdmitOutcome::Replayed(answer) => {
            assert_eq!(&*answer.body, id.as_bytes());
        }
        other => panic!("{other:?}"),
    }
    whole(world, n).await;
    cut("claim");
    let worker = worker();
    let build = loop {
        let (claimed, broke) = insist(|| line.claim(&worker)).await;
        failed |= broke;
        if let Some(claimed) = claimed {
            break claimed.build;
        }
        // Its answer was lost: in a service it is left to the sweep. Or the transaction that broke
        // still holds it.
        let build = BuildId::parse(&id).unwrap();
        let row = world.rooms.builds.get(&build).await.unwrap().unwrap().build;
        if row.status == Status::Building {
            break row;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(build.id.as_str(), id);
    cut("beat");
    let (_, broke) = insist(|| line.beat(&build.id, build.token)).await;
    failed |= broke;
    cut("settle");
    let finish = deployed(&id, build.token, 7);
    let (outcome, broke) = insist(|| line.settle(finish.clone())).await;
    failed |= broke;
    match outcome {
        SettleOutcome::Settled(settled) => {
            assert!(matches!(settled.charge, Charge::Committed { .. }));
        }
        SettleOutcome::Unchanged(FinishOutcome::AlreadySo(_)) => {}
        other => panic!("{other:?}"),
    }
    whole(world, n).await;
    assert_eq!(world.held().await, 0);
    let totals = world.rooms.credits.ledger_totals().await.unwrap();
    assert_eq!(totals.charged, 7 * u128::from(n.unsigned_abs()));
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_a_step_cut_at_any_message_and_repeated_is_done_once() {
    let world = World::new().await;
    let proxy = Proxy::postgres(&world.database);
    let pool = world.database.pool_with(1, proxy.options()).await;
    let line = rooms(&pool, rules()).admission;
    let mut n = 0;
    let mut broken = 0;
    let every = Proof::size().pick(2, 1);
    for step in ["admit", "claim", "beat", "settle"] {
        for (to, place) in [
            (To::Server, Place::Before),
            (To::Server, Place::After),
            (To::Client, Place::Before),
        ] {
            for nth in (1..=TRIPS).step_by(every) {
                n += 1;
                let cut = |at: &str| {
                    if at == step {
                        proxy.cut(to, nth, place);
                    }
                };
                // One that is past the step's last message meets the next one's.
                broken += u32::from(life(&world, &line, cut, n).await);
            }
        }
    }
    assert!(broken > 20, "the line broke {broken} times only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_a_caller_who_goes_away_mid_step_holds_up_nobody() {
    let world = World::new().await;
    let proxy = Proxy::postgres(&world.database);
    let pool = world.database.pool_with(2, proxy.options()).await;
    let line = rooms(&pool, rules()).admission;
    line.admit(admit("b1", "u1", "p1")).await.unwrap();
    let mut left = 0;
    for n in 2..12 {
        let start = admit(&format!("b{n}"), &format!("u{n}"), &format!("p{n}"));
        let held = proxy.hold(To::Client, n - 1);
        let gone = tokio::select! {
            outcome = line.admit(start.clone()) => outcome.is_err(),
            () = held.reached() => true,
        };
        left += u32::from(gone);
        drop(held);
        // What it left open ends as its connection comes back; until then this one waits.
        match line.admit(start).await.unwrap() {
            AdmitOutcome::Admitted(..) | AdmitOutcome::Replayed(_) => {}
            other => panic!("{other:?}"),
        }
        whole(&world, i64::try_from(n).unwrap()).await;
    }
    assert!(left > 5, "{left} steps were left");
    assert_eq!(world.held().await, 110);
}
