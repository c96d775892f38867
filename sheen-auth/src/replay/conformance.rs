//! What every replay store must show, one case a clause of [`ReplayStore`].
//!
//! ```
//! use std::sync::Arc;
//! use sheen_auth::replay::{MemoryReplayStore, conformance::Harness};
//! use sheen_core::time::{Advance, Clock, ManualClock, Timestamp};
//!
//! fn harness() -> Harness {
//!     let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
//!     let store = Arc::new(MemoryReplayStore::new(clock.clone(), 500));
//!     let advance = Advance::manual(clock.clone());
//!     Harness::new(store, move || clock.now(), advance).bounded(500)
//! }
//! sheen_auth::replay_store_conformance!(harness());
//! # fn main() {}
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sheen_core::error::StoreErrorKind;
use sheen_core::id::PrincipalId;
use sheen_core::runtime::BoxFuture;
use sheen_core::time::{Advance, Timestamp};

use super::store::ReplayStore;
use super::types::{Claim, ClaimOutcome, MARK_LIFE, Once, V1Mark};

type Tasks = Vec<BoxFuture<'static, ClaimOutcome>>;
type Race = Box<dyn Fn(Tasks) -> BoxFuture<'static, Vec<ClaimOutcome>> + Send + Sync>;

/// A fresh store and a hold on its clock.
pub struct Harness {
    store: Arc<dyn ReplayStore>,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    advance: Advance,
    race: Race,
    capacity: Option<usize>,
}

impl Harness {
    /// A store without any claim, what its clock says, and how to move that clock forward.
    pub fn new(
        store: Arc<dyn ReplayStore>,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        advance: Advance,
    ) -> Self {
        Self {
            store,
            now: Box::new(now),
            advance,
            race: Box::new(|tasks| {
                Box::pin(async {
                    let mut outcomes = Vec::new();
                    for task in tasks {
                        outcomes.push(task.await);
                    }
                    outcomes
                })
            }),
            capacity: None,
        }
    }

    /// The store refuses one principal's entry after this many (C10); at least 100.
    #[must_use]
    pub const fn bounded(mut self, capacity: usize) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// How to run claims at the same time; the macro gives each its own tokio task.
    #[must_use]
    pub fn racing(
        mut self,
        race: impl Fn(Tasks) -> BoxFuture<'static, Vec<ClaimOutcome>> + Send + Sync + 'static,
    ) -> Self {
        self.race = Box::new(race);
        self
    }

    async fn claim(&self, claim: Claim<'_>) -> ClaimOutcome {
        self.store.claim(&claim).await.expect("the store works")
    }

    async fn marked(&self, principal: &PrincipalId, mark: V1Mark) -> bool {
        let marked = self.store.v1_marked(principal, &mark).await;
        marked.expect("the store works")
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

fn principal(name: &str) -> PrincipalId {
    PrincipalId::parse(name).expect("a valid id")
}

const NONCE: Once<'static> = Once::Nonce("nonce-0123456789");
const MARK: V1Mark = V1Mark::from_bytes([7; 32]);
const INSTANT: Duration = Duration::from_millis(1);

/// C1.
pub async fn c01_one_claim_of_many_wins(h: Harness) {
    let signed_at = (h.now)();
    let tasks: Tasks = (0..64_u8)
        .map(|number| {
            let store = Arc::clone(&h.store);
            let stamp = signed_at.minus(Duration::from_secs(u64::from(number % 3)));
            let task: BoxFuture<'static, ClaimOutcome> = Box::pin(async move {
                let web = principal("web");
                let mark = (number % 2 == 0).then(|| V1Mark::from_bytes([number; 32]));
                let claim = Claim::new(&web, NONCE, stamp).with_mark(mark);
                store.claim(&claim).await.expect("the store works")
            });
            task
        })
        .collect();
    let outcomes = (h.race)(tasks).await;
    assert_eq!(outcomes.len(), 64);
    let won = outcomes
        .iter()
        .filter(|o| **o == ClaimOutcome::Claimed)
        .count();
    let lost = outcomes
        .iter()
        .filter(|o| **o == ClaimOutcome::Replayed)
        .count();
    assert_eq!((won, lost), (1, 63));
}

/// C2.
pub async fn c02_principals_and_kinds_never_meet(h: Harness) {
    let (web, app) = (principal("web"), principal("app"));
    let at = (h.now)();
    let same = NONCE.as_str();
    for claim in [
        Claim::new(&web, NONCE, at),
        Claim::new(&app, NONCE, at),
        Claim::new(&web, Once::RequestId(same), at),
        Claim::new(&app, Once::RequestId(same), at),
    ] {
        assert_eq!(h.claim(claim).await, ClaimOutcome::Claimed, "{claim:?}");
        assert_eq!(h.claim(claim).await, ClaimOutcome::Replayed, "{claim:?}");
    }
    // A joint that could be moved: `a` + `bc` against `ab` + `c`.
    let (a, ab) = (principal("a"), principal("ab"));
    let long = Claim::new(&a, Once::Nonce("b123456789abcdef0"), at);
    let short = Claim::new(&ab, Once::Nonce("123456789abcdef0"), at);
    assert_eq!(h.claim(long).await, ClaimOutcome::Claimed);
    assert_eq!(h.claim(short).await, ClaimOutcome::Claimed);
}

/// C3.
pub async fn c03_a_claim_is_known_to_its_last_instant(h: Harness) {
    let web = principal("web");
    for (ahead, once) in [
        (0, Once::Nonce("nonce-of-right-now")),
        (120, Once::Nonce("nonce-from-the-future")),
        (0, Once::RequestId("req_now")),
        (300, Once::RequestId("req_from_the_future")),
    ] {
        let start = (h.now)();
        let claim = Claim::new(&web, once, start.plus(Duration::from_secs(ahead)));
        assert_eq!(h.claim(claim).await, ClaimOutcome::Claimed);
        let until = claim.remember_until().since(start);
        for step in [until / 2, until - until / 2 - INSTANT, INSTANT] {
            h.advance.by(step).await;
            let other = format!("another-nonce-{ahead}-{}", (h.now)().as_millis());
            h.claim(Claim::new(&web, Once::Nonce(&other), (h.now)()))
                .await;
            assert_eq!(
                h.claim(claim).await,
                ClaimOutcome::Replayed,
                "{claim:?} after {step:?}"
            );
        }
    }
}

/// C4.
pub async fn c04_a_claim_is_forgotten_in_the_end(h: Harness) {
    let web = principal("web");
    for once in [NONCE, Once::RequestId("req_1")] {
        let first = Claim::new(&web, once, (h.now)());
        assert_eq!(h.claim(first).await, ClaimOutcome::Claimed);
        h.advance.by(Duration::from_secs(3600)).await;
        let again = Claim::new(&web, once, (h.now)());
        assert_eq!(h.claim(again).await, ClaimOutcome::Claimed);
    }
}

/// C5.
pub async fn c05_what_may_have_been_forgotten_is_too_old(h: Harness) {
    let web = principal("web");
    let claim = Claim::new(&web, NONCE, (h.now)());
    assert_eq!(h.claim(claim).await, ClaimOutcome::Claimed);
    h.advance.by(NONCE.keep() + INSTANT).await;
    assert_eq!(h.claim(claim).await, ClaimOutcome::TooOld);
    h.advance.by(Duration::from_secs(86_400)).await;
    assert_eq!(h.claim(claim).await, ClaimOutcome::TooOld);
    let never_seen = Claim::new(
        &web,
        Once::Nonce("nonce-never-seen-before"),
        claim.signed_at,
    );
    assert_eq!(h.claim(never_seen).await, ClaimOutcome::TooOld);
}

/// C6.
pub async fn c06_a_mark_lives_ten_minutes_from_its_last_setting(h: Harness) {
    let web = principal("web");
    assert!(!h.marked(&web, MARK).await);
    let first = Claim::new(&web, NONCE, (h.now)()).with_mark(Some(MARK));
    assert_eq!(h.claim(first).await, ClaimOutcome::Claimed);
    assert!(h.marked(&web, MARK).await);
    h.advance.by(Duration::from_secs(400)).await;
    let again = Once::Nonce("nonce-some-time-after");
    let second = Claim::new(&web, again, (h.now)()).with_mark(Some(MARK));
    assert_eq!(h.claim(second).await, ClaimOutcome::Claimed);
    h.advance.by(MARK_LIFE).await;
    assert!(h.marked(&web, MARK).await, "its last instant is included");
    h.advance.by(INSTANT).await;
    assert!(!h.marked(&web, MARK).await);
}

/// C7.
pub async fn c07_a_mark_refuses_no_fresh_nonce(h: Harness) {
    let web = principal("web");
    for number in 0..3 {
        let nonce = format!("nonce-0123456789-{number}");
        let claim = Claim::new(&web, Once::Nonce(&nonce), (h.now)()).with_mark(Some(MARK));
        assert_eq!(h.claim(claim).await, ClaimOutcome::Claimed);
    }
}

/// C8.
pub async fn c08_a_refused_claim_writes_nothing(h: Harness) {
    let web = principal("web");
    let now = (h.now)();
    let old = now.minus(Duration::from_secs(86_400));
    let too_old = Claim::new(&web, NONCE, old).with_mark(Some(MARK));
    assert_eq!(h.claim(too_old).await, ClaimOutcome::TooOld);
    assert!(!h.marked(&web, MARK).await);
    let first = Claim::new(&web, NONCE, now);
    assert_eq!(h.claim(first).await, ClaimOutcome::Claimed);
    let replayed = first.with_mark(Some(MARK));
    assert_eq!(h.claim(replayed).await, ClaimOutcome::Replayed);
    assert!(!h.marked(&web, MARK).await);
}

/// C9.
pub async fn c09_marks_of_two_principals_never_meet(h: Harness) {
    let (web, app) = (principal("web"), principal("app"));
    let claim = Claim::new(&web, NONCE, (h.now)()).with_mark(Some(MARK));
    assert!(!h.marked(&app, MARK).await, "looking marks nothing");
    assert_eq!(h.claim(claim).await, ClaimOutcome::Claimed);
    assert!(!h.marked(&app, MARK).await);
    assert!(h.marked(&web, MARK).await);
    assert!(h.marked(&web, MARK).await, "looking takes nothing away");
    assert!(!h.marked(&web, V1Mark::from_bytes([8; 32])).await);
}

/// C10. Shows nothing for a store that states no bound.
pub async fn c10_a_full_store_refuses_and_forgets_nothing(h: Harness) {
    let Some(capacity) = h.capacity else {
        return;
    };
    assert!(capacity >= 100, "too small for the other cases");
    let web = principal("web");
    let at = (h.now)();
    let nonces: Vec<String> = (0..capacity)
        .map(|n| format!("nonce-0123456789-{n}"))
        .collect();
    let (last, fit) = nonces.split_last().expect("a bound above zero");
    for nonce in fit {
        let claim = Claim::new(&web, Once::Nonce(nonce), at);
        assert_eq!(h.claim(claim).await, ClaimOutcome::Claimed);
    }
    // One place is left: not enough for a claim with its mark, so neither is written.
    let both = Claim::new(&web, Once::Nonce(last), at).with_mark(Some(MARK));
    let refused = h.store.claim(&both).await.expect_err("it is full");
    assert_eq!(refused.kind, StoreErrorKind::Full);
    assert!(!h.marked(&web, MARK).await);
    let alone = Claim::new(&web, Once::Nonce(last), at);
    assert_eq!(h.claim(alone).await, ClaimOutcome::Claimed);
    let more = Claim::new(&web, Once::Nonce("one-nonce-too-many"), at);
    let refused = h.store.claim(&more).await.expect_err("it is full");
    assert_eq!(refused.kind, StoreErrorKind::Full);
    for nonce in &nonces {
        let claim = Claim::new(&web, Once::Nonce(nonce), at);
        assert_eq!(h.claim(claim).await, ClaimOutcome::Replayed);
    }
    h.advance.by(Duration::from_secs(3600)).await;
    let later = Claim::new(&web, Once::Nonce("one-nonce-too-many"), (h.now)());
    assert_eq!(
        h.claim(later).await,
        ClaimOutcome::Claimed,
        "time makes room"
    );
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What was spent or marked, until when. Long after that it may be known or not (C4).
#[derive(Default)]
struct Model(BTreeMap<(usize, u64), Timestamp>);

/// How long after its end an entry may still be known.
const LINGER: Duration = Duration::from_secs(3600);

impl Model {
    /// What a claim may come to: one outcome, or either of two.
    fn expect(&self, thing: (usize, u64), claim: &Claim<'_>, now: Timestamp) -> [ClaimOutcome; 2] {
        use ClaimOutcome::{Claimed, Replayed, TooOld};
        if claim.remember_until() < now {
            return [TooOld; 2];
        }
        match self.0.get(&thing) {
            Some(until) if now <= *until => [Replayed; 2],
            Some(until) if now <= until.plus(LINGER) => [Replayed, Claimed],
            _ => [Claimed; 2],
        }
    }
}

/// Random steps under a clock that goes forward, beside the obvious model of C1–C9.
pub async fn c11_random_steps_agree_with_the_contract(h: Harness) {
    let principals = ["web", "app"].map(principal);
    let (mut spent, mut marks) = (Model::default(), Model::default());
    let (start, mut numbers) = ((h.now)(), Numbers(7));
    let mut outcomes = [0_u32; 3];
    for _ in 0..400 {
        let now = (h.now)();
        let who = usize::from(numbers.below(2) == 1);
        let (text, is_nonce) = (numbers.below(12), numbers.below(3) > 0);
        let mark = V1Mark::from_bytes([u8::try_from(text % 5).unwrap_or(0); 32]);
        match numbers.below(10) {
            0..=5 => {
                let nonce = format!("nonce-{text:010}");
                let once = match is_nonce {
                    true => Once::Nonce(&nonce),
                    false => Once::RequestId(&nonce),
                };
                let window = u64::try_from(once.window().as_millis()).unwrap_or(0);
                let early = Duration::from_millis(numbers.below(window * 2));
                // What was signed before a store began is C5's.
                let signed_at = now.plus(once.window()).minus(early).max(start);
                let with = (numbers.below(2) == 0).then_some(mark);
                let claim = Claim::new(&principals[who], once, signed_at).with_mark(with);
                let thing = (who, text * 2 + u64::from(is_nonce));
                let outcome = h.claim(claim).await;
                let expected = spent.expect(thing, &claim, now);
                assert!(
                    expected.contains(&outcome),
                    "{outcome:?}, not {expected:?}: {claim:?}"
                );
                outcomes[outcome as usize] += 1;
                if outcome == ClaimOutcome::Claimed {
                    spent.0.insert(thing, claim.remember_until());
                    if with.is_some() {
                        marks.0.insert((who, text % 5), now.plus(MARK_LIFE));
                    }
                }
            }
            6 | 7 => {
                let known = marks.0.get(&(who, text % 5));
                let expected = known.is_some_and(|until| now <= *until);
                assert_eq!(h.marked(&principals[who], mark).await, expected, "at {now}");
            }
            step => {
                let most = if step == 8 { 200_000 } else { 3_000_000 };
                let by = Duration::from_millis(numbers.below(most));
                h.advance.by(by).await;
            }
        }
    }
    assert!(outcomes[1] > 10 && outcomes[2] > 10, "{outcomes:?}");
}

/// Expands to one `#[tokio::test]` for each clause of
/// [`ReplayStore`](crate::replay::ReplayStore), each with a harness of its own; the expression may
/// await. The calling crate needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! replay_store_conformance {
    ($harness:expr) => {
        $crate::replay_store_conformance! { @cases $harness;
            c01_one_claim_of_many_wins
            c02_principals_and_kinds_never_meet
            c03_a_claim_is_known_to_its_last_instant
            c04_a_claim_is_forgotten_in_the_end
            c05_what_may_have_been_forgotten_is_too_old
            c06_a_mark_lives_ten_minutes_from_its_last_setting
            c07_a_mark_refuses_no_fresh_nonce
            c08_a_refused_claim_writes_nothing
            c09_marks_of_two_principals_never_meet
            c10_a_full_store_refuses_and_forgets_nothing
            c11_random_steps_agree_with_the_contract
        }
    };
    (@cases $harness:expr; $($case:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let harness = $harness.racing(|tasks| ::std::boxed::Box::pin(async move {
                let mut set = ::tokio::task::JoinSet::new();
                for task in tasks {
                    set.spawn(task);
                }
                set.join_all().await
            }));
            $crate::replay::conformance::$case(harness).await;
        }
    )*};
}
