//! The cases, one for each clause of [`Admission`](crate::admission::Admission).
#![expect(clippy::missing_panics_doc, reason = "a case panics when its clause does not hold")]
#![expect(missing_docs, reason = "a case is documented by its clause")]

use std::time::Duration;

use futures_util::future::join_all;
use sheen_billing::account::{Commit, CommitOutcome, Purchase, Reserve, ReserveOutcome, Totals};
use sheen_core::build::{
    Authority, BeatOutcome, Claimed, Ending, FailureReason, Finish, FinishOutcome, Status,
};
use sheen_core::id::{BuildId, OperationId, PaymentId};
use sheen_core::seconds::Seconds;
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, AppendOutcome, Event, EventType, NewEvent};

use super::{AdmissionHarness, GIFT, admit, call, project, user, worker};
use crate::admission::{Admit, AdmitOutcome, Charge, ProjectReserveOutcome, SettleOutcome};

impl AdmissionHarness {
    async fn admitted(&self, admit: Admit) -> AdmitOutcome {
        self.admission.admit(admit).await.expect("the store works")
    }

    async fn claimed(&self) -> Claimed {
        self.admission.claim(&worker("w1")).await.expect("the store works").expect("a queued build")
    }

    async fn settled(&self, finish: Finish) -> SettleOutcome {
        self.admission.settle(finish).await.expect("the store works")
    }

    async fn available(&self, name: &str) -> u64 {
        let views = self.accounts.views(&[user(name)]).await.expect("the store works");
        views[0].balance.total.get()
    }

    async fn totals(&self) -> Totals {
        let totals = self.accounts.totals(None).await.expect("the store works");
        let sum = [totals.available, totals.held, totals.charged, totals.breakage]
            .iter()
            .map(|seconds| seconds.get())
            .sum::<u64>();
        assert_eq!(totals.granted.get(), sum, "seconds are conserved");
        totals
    }

    async fn events(&self, build: &str) -> Vec<Event> {
        let page = self.log.read(&id(build), 0, 100).await.expect("the store works");
        page.map(|page| page.events).unwrap_or_default()
    }

    async fn stream_closed(&self, build: &str) -> bool {
        let page = self.log.read(&id(build), 0, 1).await.expect("the store works");
        page.expect("a stream").stream.closed
    }

    async fn buy(&self, name: &str, seconds: u32) {
        let payment = PaymentId::parse(&format!("pay-{name}-{seconds}")).expect("a valid id");
        let purchase = Purchase::new(user(name), payment, Seconds::from_u32(seconds));
        self.grants.credit(purchase).await.expect("the store works");
    }
}

fn id(build: &str) -> BuildId {
    BuildId::parse(build).expect("a valid id")
}

fn deployed(build: &str, token: FencingToken, seconds: u32) -> Finish {
    let ending = Ending::Deployed {
        preview_url: "https://preview.test/b1/".into(),
        seconds: Seconds::from_u32(seconds),
    };
    Finish::new(id(build), Authority::Claim(token), ending)
}

fn failed(build: &str, by: Authority, reason: FailureReason) -> Finish {
    Finish::new(id(build), by, Ending::Failed { reason, error: "It broke.".into() })
}

fn line(build: &str, token: FencingToken) -> Append {
    let mut data = serde_json::Map::new();
    data.insert("message".to_owned(), "a line".into());
    let event = NewEvent::new(EventType::BUILD_LOG, &data).expect("a valid event");
    Append::new(id(build), token, vec![event])
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

pub async fn c01_an_admission_makes_build_hold_stream_and_answer_together(h: AdmissionHarness) {
    let mut start = admit("b1", "u1", "p1");
    start.call = Some(call("u1", "k1", "/start"));
    let AdmitOutcome::Admitted(admitted, answer) = h.admitted(start).await else {
        panic!("not admitted")
    };
    assert_eq!(admitted.queued.position, 1);
    assert_eq!(&*answer.body, b"b1 at 1");
    let stored = h.builds.get(&id("b1")).await.expect("works").expect("stored");
    assert_eq!(stored, admitted.queued);
    let hold = stored.build.hold.expect("a hold");
    assert_eq!(hold.seconds.get(), 40);
    let holder = h.accounts.holder(&hold.id).await.expect("works");
    assert_eq!(holder, Some(user("u1")));
    assert_eq!(h.available("u1").await, u64::from(GIFT) - 40);
    assert_eq!(h.totals().await.held.get(), 40);
    let events = h.events("b1").await;
    assert_eq!(kinds(&events), ["build_queued"]);
    assert_eq!(events[0].seq, 1);
    let data: serde_json::Value = serde_json::from_str(&events[0].data).expect("JSON");
    assert_eq!(data["queuePosition"], 1);
    assert_eq!(data["estimatedSeconds"], 40);
}

pub async fn c02_refusals_stand_in_their_order(h: AdmissionHarness) {
    h.buy("u1", 20_000).await;
    let mut first = admit("b1", "u1", "p1");
    first.call = Some(call("u1", "k1", "/start"));
    assert!(matches!(h.admitted(first.clone()).await, AdmitOutcome::Admitted(..)));
    // Everything is wrong with this one; each step takes the foremost reason away.
    let mut start = admit("b2", "u2", "p1");
    start.build.session = super::session("s-b1");
    start.seconds = Seconds::from_u32(1_000_000);
    start.call = Some(call("u1", "k1", "/other"));
    assert!(matches!(h.admitted(start.clone()).await, AdmitOutcome::KeyReused));
    start.call = first.call.clone();
    assert!(matches!(h.admitted(start.clone()).await, AdmitOutcome::Replayed(_)));
    start.call = None;
    assert!(matches!(h.admitted(start.clone()).await, AdmitOutcome::NotOwner));
    start.build.user = user("u1");
    assert!(matches!(h.admitted(start.clone()).await, AdmitOutcome::SessionKnown(..)));
    start.build.session = super::session("s-b2");
    let AdmitOutcome::ProjectBusy { active } = h.admitted(start.clone()).await else {
        panic!("not busy")
    };
    assert_eq!(active, id("b1"));
    start.build.allow_concurrent = true;
    assert!(matches!(h.admitted(start.clone()).await, AdmitOutcome::CapReached { .. }));
    start.seconds = Seconds::from_u32(200);
    start.build.user = user("u3");
    start.build.project = project("p3");
    let outcome = h.admitted(start.clone()).await;
    let AdmitOutcome::Insufficient { required, available } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((required.get(), available.get()), (200, u64::from(GIFT)));
    start.seconds = Seconds::from_u32(GIFT);
    assert!(matches!(h.admitted(start).await, AdmitOutcome::Admitted(..)));
}

pub async fn c03_equal_calls_at_once_are_admitted_once(h: AdmissionHarness) {
    let calls = (0..50).map(|n| {
        let mut start = admit(&format!("b{n}"), "u1", "p1");
        start.build.session = super::session("s");
        start.call = Some(call("u1", "k1", "/start"));
        h.admitted(start)
    });
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
    assert_eq!(h.totals().await.held.get(), 40);
    let mut other = admit("b99", "u1", "p2");
    other.call = Some(call("u1", "k1", "/other"));
    assert!(matches!(h.admitted(other).await, AdmitOutcome::KeyReused));
}

pub async fn c04_a_refused_admission_leaves_everything_as_it_was(h: AdmissionHarness) {
    let mut start = admit("b1", "u1", "p1");
    start.seconds = Seconds::from_u32(GIFT + 1);
    start.call = Some(call("u1", "k1", "/start"));
    assert!(matches!(h.admitted(start.clone()).await, AdmitOutcome::Insufficient { .. }));
    assert_eq!(h.builds.owner(&project("p1")).await.expect("works"), None);
    assert_eq!(h.builds.get(&id("b1")).await.expect("works"), None);
    assert!(h.events("b1").await.is_empty());
    assert_eq!(h.totals().await, Totals::default());
    let call = start.call.clone().expect("a call");
    let looked = h.idempotency.look(&call.scope, &call.key, call.fingerprint).await;
    assert_eq!(looked.expect("works"), None);
    h.buy("u1", 1).await;
    assert!(matches!(h.admitted(start).await, AdmitOutcome::Admitted(..)));
}

pub async fn c05_a_claim_raises_the_token_and_tells_the_log(h: AdmissionHarness) {
    h.buy("u1", 1000).await;
    h.admitted(admit("b1", "u1", "p1")).await;
    h.admitted(admit("b2", "u1", "p2")).await;
    let claimed = h.claimed().await;
    assert_eq!(claimed.build.id, id("b1"));
    assert_eq!(claimed.build.status, Status::Building);
    assert!(claimed.build.token > FencingToken::ZERO);
    assert_eq!(kinds(&h.events("b1").await), ["build_queued", "build_started"]);
    let appended = h.log.append(line("b1", claimed.build.token)).await.expect("works");
    assert!(matches!(appended, AppendOutcome::Appended(_)));
    assert_eq!(h.claimed().await.build.id, id("b2"));
    assert!(h.admission.claim(&worker("w1")).await.expect("works").is_none());
}

pub async fn c06_a_heartbeat_keeps_build_and_hold_alive(h: AdmissionHarness) {
    h.admitted(admit("b1", "u1", "p1")).await;
    let token = h.claimed().await.build.token;
    // Three hours in steps shorter than the deadline: far beyond the hold's first hour.
    for _ in 0..180 {
        (h.advance)(Duration::from_secs(60)).await;
        let beat = h.admission.beat(&id("b1"), token).await.expect("works");
        assert!(matches!(beat, BeatOutcome::Alive { .. }));
    }
    assert_eq!(h.builds.overdue(10).await.expect("works"), []);
    let late = h.admission.beat(&id("b1"), FencingToken::ZERO).await.expect("works");
    assert_eq!(late, BeatOutcome::Lost);
    let outcome = h.settled(deployed("b1", token, 10)).await;
    let SettleOutcome::Settled(settled) = outcome else { panic!("{outcome:?}") };
    let Charge::Committed { charged, .. } = settled.charge else { panic!("{:?}", settled.charge) };
    assert_eq!(charged.get(), 10);
    let after = h.admission.beat(&id("b1"), token).await.expect("works");
    assert_eq!(after, BeatOutcome::Lost);
}

pub async fn c07_a_settlement_ends_build_hold_and_stream(h: AdmissionHarness) {
    h.buy("u1", 1000).await;
    h.admitted(admit("b1", "u1", "p1")).await;
    let token = h.claimed().await.build.token;
    assert!(matches!(h.settled(deployed("b1", token, 30)).await, SettleOutcome::Settled(_)));
    let events = h.events("b1").await;
    assert_eq!(kinds(&events), ["build_queued", "build_started", "deploy_completed"]);
    let data: serde_json::Value = serde_json::from_str(&events[2].data).expect("JSON");
    assert_eq!(data["previewUrl"], "https://preview.test/b1/");
    assert_eq!(data["versionId"], "v-b1");
    assert!(data["duration"].is_u64());
    assert!(h.stream_closed("b1").await);
    assert_eq!(h.totals().await.charged.get(), 30);

    h.admitted(admit("b2", "u1", "p1")).await;
    let by = Authority::Owner(user("u1"));
    let outcome = h.settled(failed("b2", by, FailureReason::Cancelled)).await;
    let SettleOutcome::Settled(settled) = outcome else { panic!("{outcome:?}") };
    assert_eq!(settled.charge, Charge::Released);
    let events = h.events("b2").await;
    assert_eq!(kinds(&events), ["build_queued", "deploy_failed"]);
    let data: serde_json::Value = serde_json::from_str(&events[1].data).expect("JSON");
    assert_eq!((&data["reason"], &data["error"]), (&"CANCELLED".into(), &"It broke.".into()));
    let totals = h.totals().await;
    assert_eq!((totals.held.get(), totals.charged.get()), (0, 30));

    // The sweep ends what nobody claimed.
    h.admitted(admit("b3", "u1", "p1")).await;
    let sweep = failed("b3", Authority::Sweep, FailureReason::TimedOut);
    let early = h.settled(sweep.clone()).await;
    assert!(matches!(early, SettleOutcome::Unchanged(FinishOutcome::NotOverdue(_))));
    (h.advance)(Duration::from_secs(600)).await;
    assert!(matches!(h.settled(sweep).await, SettleOutcome::Settled(_)));
    assert_eq!(h.totals().await.held.get(), 0);
}

pub async fn c08_of_settlements_at_once_one_settles(h: AdmissionHarness) {
    h.admitted(admit("b1", "u1", "p1")).await;
    let token = h.claimed().await.build.token;
    let finishes = (0..20).map(|n| match n % 3 {
        0 => deployed("b1", token, 40),
        1 => failed("b1", Authority::Owner(user("u1")), FailureReason::Cancelled),
        _ => failed("b1", Authority::Claim(token), FailureReason::BuildFailed),
    });
    let outcomes = join_all(finishes.map(|finish| h.settled(finish))).await;
    let settled = outcomes.iter().filter(|o| matches!(o, SettleOutcome::Settled(_))).count();
    assert_eq!(settled, 1);
    let ends = h.events("b1").await.iter().filter(|e| e.kind.as_str().starts_with("deploy_")).count();
    assert_eq!(ends, 1);
    let totals = h.totals().await;
    assert_eq!(totals.held.get(), 0);
    assert!(totals.charged.get() == 40 || totals.charged.get() == 0);
}

pub async fn c09_a_late_token_appends_nothing(h: AdmissionHarness) {
    h.admitted(admit("b1", "u1", "p1")).await;
    let token = h.claimed().await.build.token;
    let before = h.log.append(line("b1", FencingToken::ZERO)).await.expect("works");
    assert_eq!(before, AppendOutcome::Fenced);
    h.settled(failed("b1", Authority::Owner(user("u1")), FailureReason::Cancelled)).await;
    let after = h.log.append(line("b1", token)).await.expect("works");
    assert!(matches!(after, AppendOutcome::Fenced | AppendOutcome::Closed));
    let events = h.events("b1").await;
    assert_eq!(kinds(&events), ["build_queued", "build_started", "deploy_failed"]);
    let late = h.settled(deployed("b1", token, 40)).await;
    assert!(matches!(late, SettleOutcome::Unchanged(FinishOutcome::AlreadyEnded(_))));
    assert_eq!(h.totals().await.charged.get(), 0);
}

pub async fn c10_a_build_whose_hold_lapsed_is_not_deployed(h: AdmissionHarness) {
    h.admitted(admit("b1", "u1", "p1")).await;
    let token = h.claimed().await.build.token;
    // Nobody swept and nobody beat: the hold lapsed long after the heartbeat's deadline did.
    (h.advance)(Reserve::DEFAULT_TTL + Duration::from_secs(1)).await;
    let outcome = h.settled(deployed("b1", token, 40)).await;
    let SettleOutcome::Settled(settled) = outcome else { panic!("{outcome:?}") };
    assert_eq!(settled.build.status, Status::Failed);
    assert_eq!(settled.build.reason, Some(FailureReason::TimedOut));
    assert_eq!(settled.charge, Charge::Lapsed);
    assert_eq!(kinds(&h.events("b1").await).last(), Some(&"deploy_failed"));
    assert_eq!(h.totals().await.charged.get(), 0);
}

pub async fn c11_a_reserve_for_a_project_claims_it_if_it_goes_through(h: AdmissionHarness) {
    let reserve = |name: &str, operation: &str, seconds: u32| {
        let operation = OperationId::parse(operation).expect("a valid id");
        let mut reserve = Reserve::new(user(name), operation, Seconds::from_u32(seconds));
        reserve.project = Some(project("p1"));
        reserve
    };
    let refused = h.admission.reserve(reserve("u1", "o1", GIFT + 1)).await.expect("works");
    assert!(matches!(
        refused,
        ProjectReserveOutcome::Reserve(ReserveOutcome::Insufficient { .. })
    ));
    assert_eq!(h.builds.owner(&project("p1")).await.expect("works"), None);
    let done = h.admission.reserve(reserve("u2", "o1", 10)).await.expect("works");
    let ProjectReserveOutcome::Reserve(ReserveOutcome::Reserved(done)) = done else {
        panic!("{done:?}")
    };
    assert_eq!(h.builds.owner(&project("p1")).await.expect("works"), Some(user("u2")));
    let foreign = h.admission.reserve(reserve("u1", "o1", 10)).await.expect("works");
    assert_eq!(foreign, ProjectReserveOutcome::NotOwner);
    let again = h.admission.reserve(reserve("u2", "o1", 10)).await.expect("works");
    let ProjectReserveOutcome::Reserve(ReserveOutcome::AlreadyReserved(again)) = again else {
        panic!("{again:?}")
    };
    assert_eq!(again, done);
    assert_eq!(h.totals().await.held.get(), 10);
}

pub async fn c12_repeats_change_nothing_further(h: AdmissionHarness) {
    let mut start = admit("b1", "u1", "p1");
    start.call = Some(call("u1", "k1", "/start"));
    for _ in 0..2 {
        h.admitted(start.clone()).await;
    }
    let claimed = h.claimed().await;
    let finish = deployed("b1", claimed.build.token, 25);
    assert!(matches!(h.settled(finish.clone()).await, SettleOutcome::Settled(_)));
    let before = (h.totals().await, h.events("b1").await);
    let repeat = h.settled(finish).await;
    assert!(matches!(repeat, SettleOutcome::Unchanged(FinishOutcome::AlreadySo(_))));
    assert!(matches!(h.admitted(start).await, AdmitOutcome::Replayed(_)));
    assert_eq!((h.totals().await, h.events("b1").await), before);
    // The hold is closed for everyone else, too.
    let hold = claimed.build.hold.expect("a hold");
    let operation = OperationId::parse("another").expect("a valid id");
    let commit = Commit::new(hold.id, operation, Seconds::from_u32(1));
    assert_eq!(h.credits.commit(commit).await.expect("works"), CommitOutcome::Closed);
}
