//! Admitting and reserving: C1–C4, C11 and C12.

use futures_util::future::join_all;
use sheen_billing::account::{Commit, CommitOutcome, LedgerTotals, Reserve, ReserveOutcome};
use sheen_core::build::FinishOutcome;
use sheen_core::files::{FilePath, FileSet};
use sheen_core::id::OperationId;
use sheen_core::seconds::Seconds;

use super::super::session;
use super::{AdmissionHarness, GIFT, admit, call, deployed, id, kinds, project, spawned, user};
use crate::admission::{AdmitOutcome, ProjectReserveOutcome, SettleOutcome};

pub async fn c01_an_admission_makes_build_hold_stream_and_answer_together(h: AdmissionHarness) {
    let mut start = admit("b1", "u1", "p1");
    start.call = Some(call("u1", "k1", "/start"));
    let AdmitOutcome::Admitted(admitted, answer) = h.admitted(start).await else {
        panic!("not admitted")
    };
    assert_eq!(admitted.queued.position, 1);
    assert_eq!(&*answer.body, b"b1 at 1");
    let stored = h
        .builds
        .get(&id("b1"))
        .await
        .expect("works")
        .expect("stored");
    assert_eq!(stored, admitted.queued);
    let hold = stored.build.hold.expect("a hold");
    assert_eq!(hold.seconds.get(), 40);
    let holder = h.accounts.holder(&hold.id).await.expect("works");
    assert_eq!(holder, Some(user("u1")));
    assert_eq!(h.available("u1").await, u64::from(GIFT) - 40);
    assert_eq!(h.totals().await.held, 40);
    let events = h.events("b1").await;
    assert_eq!(kinds(&events), ["build_queued"]);
    assert_eq!(events[0].seq, 1);
    let data: serde_json::Value = serde_json::from_str(&events[0].data).expect("JSON");
    assert_eq!(data["queuePosition"], 1);
    assert_eq!(data["estimatedSeconds"], 40);
}

#[expect(
    clippy::too_many_lines,
    reason = "one call, a reason taken away at a time"
)]
pub async fn c02_refusals_stand_in_their_order(h: AdmissionHarness) {
    h.buy("u1", 20_000).await;
    let mut first = admit("b1", "u1", "p1");
    first.call = Some(call("u1", "k1", "/start"));
    assert!(matches!(
        h.admitted(first.clone()).await,
        AdmitOutcome::Admitted(..)
    ));
    // Everything is wrong with this one; each step takes the foremost reason away.
    let mut start = admit("b2", "u2", "p1");
    start.build.session = session("s-b1");
    start.seconds = Seconds::from_u32(1_000_000);
    start.call = Some(call("u1", "k1", "/other"));
    assert!(matches!(
        h.admitted(start.clone()).await,
        AdmitOutcome::KeyReused
    ));
    start.call = first.call.clone();
    assert!(matches!(
        h.admitted(start.clone()).await,
        AdmitOutcome::Replayed(_)
    ));
    start.call = None;
    assert!(matches!(
        h.admitted(start.clone()).await,
        AdmitOutcome::NotOwner
    ));
    start.build.user = user("u1");
    assert!(matches!(
        h.admitted(start.clone()).await,
        AdmitOutcome::SessionKnown(..)
    ));
    start.build.session = session("s-b2");
    let AdmitOutcome::ProjectBusy { active } = h.admitted(start.clone()).await else {
        panic!("not busy")
    };
    assert_eq!(active, id("b1"));
    start.build.allow_concurrent = true;
    let small = start.build.input.clone();
    start.build.input.files = (0..=FileSet::MAX_FILES)
        .map(|n| {
            (
                FilePath::parse(&format!("f{n}")).expect("a path"),
                "x".into(),
            )
        })
        .collect();
    assert!(matches!(
        h.admitted(start.clone()).await,
        AdmitOutcome::ProjectTooLarge
    ));
    start.build.input = small;
    assert!(matches!(
        h.admitted(start.clone()).await,
        AdmitOutcome::CapReached { .. }
    ));
    start.seconds = Seconds::from_u32(200);
    start.build.user = user("u3");
    start.build.project = project("p3");
    let outcome = h.admitted(start.clone()).await;
    let AdmitOutcome::Insufficient {
        required,
        available,
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!((required.get(), available.get()), (200, u64::from(GIFT)));
    start.seconds = Seconds::from_u32(GIFT);
    assert!(matches!(
        h.admitted(start).await,
        AdmitOutcome::Admitted(..)
    ));
}

pub async fn c03_equal_calls_at_once_are_admitted_once(h: AdmissionHarness) {
    let calls: Vec<_> = (0..50)
        .map(|n| {
            let mut start = admit(&format!("b{n}"), "u1", "p1");
            start.build.session = session("s");
            start.call = Some(call("u1", "k1", "/start"));
            let admission = h.admission.clone();
            spawned(async move { admission.admit(start).await.expect("the store works") })
        })
        .collect();
    let outcomes = join_all(calls).await;
    let mut bodies = Vec::new();
    let mut admitted = 0;
    for outcome in outcomes {
        match outcome {
            AdmitOutcome::Admitted(_, answer) => {
                admitted += 1;
                bodies.push(answer.body);
            }
            AdmitOutcome::Replayed(answer) => bodies.push(answer.body),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(admitted, 1);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(h.totals().await.held, 40);
    let mut other = admit("b99", "u1", "p2");
    other.call = Some(call("u1", "k1", "/other"));
    assert!(matches!(h.admitted(other).await, AdmitOutcome::KeyReused));
}

pub async fn c04_a_refused_admission_leaves_everything_as_it_was(h: AdmissionHarness) {
    let mut start = admit("b1", "u1", "p1");
    start.seconds = Seconds::from_u32(GIFT + 1);
    start.call = Some(call("u1", "k1", "/start"));
    assert!(matches!(
        h.admitted(start.clone()).await,
        AdmitOutcome::Insufficient { .. }
    ));
    assert_eq!(h.builds.owner(&project("p1")).await.expect("works"), None);
    assert_eq!(h.builds.get(&id("b1")).await.expect("works"), None);
    assert!(h.events("b1").await.is_empty());
    assert_eq!(h.totals().await, LedgerTotals::default());
    let call = start.call.clone().expect("a call");
    let looked = h
        .idempotency
        .look(&call.scope, &call.key, call.fingerprint)
        .await;
    assert_eq!(looked.expect("works"), None);
    h.buy("u1", 1).await;
    assert!(matches!(
        h.admitted(start).await,
        AdmitOutcome::Admitted(..)
    ));
}

pub async fn c11_a_reserve_for_a_project_claims_it_if_it_goes_through(h: AdmissionHarness) {
    let reserve = |name: &str, operation: &str, seconds: u32| {
        let operation = OperationId::parse(operation).expect("a valid id");
        let mut reserve = Reserve::new(user(name), operation, Seconds::from_u32(seconds));
        reserve.project = Some(project("p1"));
        reserve
    };
    let refused = h
        .admission
        .reserve(reserve("u1", "o1", GIFT + 1))
        .await
        .expect("works");
    assert!(matches!(
        refused,
        ProjectReserveOutcome::Reserve(ReserveOutcome::Insufficient { .. })
    ));
    assert_eq!(h.builds.owner(&project("p1")).await.expect("works"), None);
    let done = h
        .admission
        .reserve(reserve("u2", "o1", 10))
        .await
        .expect("works");
    let ProjectReserveOutcome::Reserve(ReserveOutcome::Reserved(done)) = done else {
        panic!("{done:?}")
    };
    assert_eq!(
        h.builds.owner(&project("p1")).await.expect("works"),
        Some(user("u2"))
    );
    let foreign = h
        .admission
        .reserve(reserve("u1", "o1", 10))
        .await
        .expect("works");
    assert_eq!(foreign, ProjectReserveOutcome::NotOwner);
    let again = h
        .admission
        .reserve(reserve("u2", "o1", 10))
        .await
        .expect("works");
    let ProjectReserveOutcome::Reserve(ReserveOutcome::AlreadyReserved(again)) = again else {
        panic!("{again:?}")
    };
    assert_eq!(again, done);
    assert_eq!(h.totals().await.held, 10);
}

pub async fn c12_repeats_change_nothing_further(h: AdmissionHarness) {
    let mut start = admit("b1", "u1", "p1");
    start.call = Some(call("u1", "k1", "/start"));
    for _ in 0..2 {
        h.admitted(start.clone()).await;
    }
    let claimed = h.claimed().await;
    let finish = deployed("b1", claimed.build.token, 25);
    assert!(matches!(
        h.settled(finish.clone()).await,
        SettleOutcome::Settled(_)
    ));
    let before = (h.totals().await, h.events("b1").await);
    let repeat = h.settled(finish).await;
    assert!(matches!(
        repeat,
        SettleOutcome::Unchanged(FinishOutcome::AlreadySo(_))
    ));
    assert!(matches!(h.admitted(start).await, AdmitOutcome::Replayed(_)));
    assert_eq!((h.totals().await, h.events("b1").await), before);
    // The hold is closed for everyone else, too.
    let hold = claimed.build.hold.expect("a hold");
    let operation = OperationId::parse("another").expect("a valid id");
    let commit = Commit::new(hold.id, operation, Seconds::from_u32(1));
    assert_eq!(
        h.credits.commit(commit).await.expect("works"),
        CommitOutcome::Closed
    );
}
