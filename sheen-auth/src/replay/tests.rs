//! The memory store: its contract, its bound, its restart and its clock.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sheen_core::error::StoreErrorKind;
use sheen_core::id::PrincipalId;
use sheen_core::time::{Advance, Clock, ManualClock, Timestamp};

use super::conformance::Harness;
use super::{Claim, ClaimOutcome, MemoryReplayStore, Once, V1Mark};

const CAPACITY: usize = 500;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)))
}

fn harness() -> Harness {
    let clock = clock();
    let store = Arc::new(MemoryReplayStore::new(clock.clone(), CAPACITY));
    let advance = Advance::manual(clock.clone());
    Harness::new(store, move || clock.now(), advance).bounded(CAPACITY)
}

mod memory {
    use super::harness;

    crate::replay_store_conformance!(harness());
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

const NONCE: Once<'static> = Once::Nonce("nonce-0123456789");

#[test]
fn n09_a_store_just_started_refuses_what_was_signed_over_two_seconds_before() {
    let clock = clock();
    let store = MemoryReplayStore::new(clock.clone(), CAPACITY);
    let start = clock.now();
    let web = id("web");
    clock.advance(Duration::from_secs(60));
    let cases = [(2000, ClaimOutcome::Claimed), (2001, ClaimOutcome::TooOld)];
    for (before, expected) in cases {
        let signed_at = start.minus(Duration::from_millis(before));
        let claim = Claim::new(&web, NONCE, signed_at);
        assert_eq!(
            store.lock().claim(clock.now(), &claim).unwrap(),
            expected,
            "{before} ms"
        );
    }
}

#[test]
fn n05_one_principal_at_its_bound_leaves_the_others_alone() {
    let clock = clock();
    let store = MemoryReplayStore::new(clock.clone(), 2);
    let (web, app) = (id("web"), id("app"));
    let mut state = store.lock();
    let mut claim = |principal: &PrincipalId, nonce: &str| {
        state.claim(
            clock.now(),
            &Claim::new(principal, Once::Nonce(nonce), clock.now()),
        )
    };
    for nonce in ["a", "b"] {
        assert_eq!(claim(&web, nonce).unwrap(), ClaimOutcome::Claimed);
    }
    assert_eq!(claim(&web, "c").unwrap_err().kind, StoreErrorKind::Full);
    assert_eq!(claim(&app, "c").unwrap(), ClaimOutcome::Claimed);
    // What is known is still known: a full store says «replayed», not «full».
    assert_eq!(claim(&web, "a").unwrap(), ClaimOutcome::Replayed);
}

#[test]
fn the_number_of_principals_is_bounded() {
    let clock = clock();
    let store = MemoryReplayStore::new(clock.clone(), 2);
    let mut state = store.lock();
    for number in 0..1024 {
        let one = id(&format!("p{number}"));
        let claim = Claim::new(&one, NONCE, clock.now());
        assert_eq!(
            state.claim(clock.now(), &claim).unwrap(),
            ClaimOutcome::Claimed
        );
    }
    let more = id("one-too-many");
    let claim = Claim::new(&more, NONCE, clock.now());
    assert_eq!(
        state.claim(clock.now(), &claim).unwrap_err().kind,
        StoreErrorKind::Full
    );
}

#[test]
fn n11_expired_generations_are_dropped_whole() {
    let clock = clock();
    let store = MemoryReplayStore::new(clock.clone(), 10_000);
    let web = id("web");
    for number in 0..1000 {
        let nonce = format!("{number:016}");
        let claim = Claim::new(&web, Once::Nonce(&nonce), clock.now())
            .with_mark(Some(V1Mark::from_bytes([1; 32])));
        store.lock().claim(clock.now(), &claim).unwrap();
    }
    assert_eq!(store.lock().len(), 1001, "one mark, set a thousand times");
    clock.advance(Duration::from_secs(3600));
    let claim = Claim::new(&web, NONCE, clock.now());
    store.lock().claim(clock.now(), &claim).unwrap();
    assert_eq!(store.lock().len(), 1);
}

#[test]
fn t04_a_clock_that_steps_forward_and_back_reopens_nothing() {
    let clock = clock();
    let store = MemoryReplayStore::new(clock.clone(), CAPACITY);
    let start = clock.now();
    let (web, later) = (id("web"), Duration::from_secs(7200));
    let claim = Claim::new(&web, NONCE, start);
    assert_eq!(
        store.lock().claim(clock.now(), &claim).unwrap(),
        ClaimOutcome::Claimed
    );
    clock.set_wall(start.plus(later));
    let ahead = Claim::new(&web, Once::Nonce("signed-two-hours-on"), clock.now());
    assert_eq!(
        store.lock().claim(clock.now(), &ahead).unwrap(),
        ClaimOutcome::Claimed
    );
    clock.set_wall(start);
    assert_eq!(
        store.lock().claim(clock.now(), &claim).unwrap(),
        ClaimOutcome::TooOld
    );
}

#[test]
fn debug_shows_no_key_and_no_nonce() {
    let clock = clock();
    let store = MemoryReplayStore::new(clock.clone(), CAPACITY);
    let web = id("web");
    let claim = Claim::new(&web, NONCE, clock.now()).with_mark(Some(V1Mark::from_bytes([7; 32])));
    store.lock().claim(clock.now(), &claim).unwrap();
    assert_eq!(format!("{store:?}"), "MemoryReplayStore { .. }");
    assert!(!format!("{:?}", store.lock()).contains(NONCE.as_str()));
    assert_eq!(format!("{:?}", claim.mark), "Some(V1Mark(redacted))");
}

/// One step of a long life with clocks that go both ways.
#[derive(Debug, Clone)]
enum Step {
    Move(i64),
    Claim {
        principal: u8,
        nonce: u8,
        signed: i64,
        request_id: bool,
        mark: Option<u8>,
    },
    Again(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_i64..400_000).prop_map(Step::Move),
        1 => (-4_000_000_i64..4_000_000).prop_map(Step::Move),
        6 => (0_u8..2, 0_u8..4, -300_000_i64..=300_000, any::<bool>(), any::<Option<u8>>())
            .prop_map(|(principal, nonce, signed, request_id, mark)| Step::Claim {
                principal, nonce, signed, request_id, mark,
            }),
        6 => any::<prop::sample::Index>().prop_map(Step::Again),
    ]
}

proptest! {
    /// N3, N4, N5: whatever the clock does, no signed request is ever claimed twice.
    #[test]
    fn no_request_is_ever_claimed_twice(steps in prop::collection::vec(step(), 1..200)) {
        let clock = clock();
        let store = MemoryReplayStore::new(clock.clone(), CAPACITY);
        let principals = [id("web"), id("app")];
        let mut sent: Vec<(u8, String, bool, Timestamp, Option<u8>)> = Vec::new();
        let mut claimed = std::collections::BTreeSet::new();
        for step in steps {
            let request = match step {
                Step::Move(by) => {
                    clock.set_wall(Timestamp::from_millis(clock.now().as_millis() + by));
                    continue;
                }
                Step::Claim { principal, nonce, signed, request_id, mark } => {
                    let at = Timestamp::from_millis(clock.now().as_millis() + signed);
                    sent.push((principal, format!("nonce-{nonce:016}"), request_id, at, mark));
                    sent[sent.len() - 1].clone()
                }
                Step::Again(_) if sent.is_empty() => continue,
                Step::Again(index) => index.get(&sent).clone(),
            };
            let (principal, nonce, request_id, at, mark) = &request;
            let once = if *request_id { Once::RequestId(nonce) } else { Once::Nonce(nonce) };
            let claim = Claim::new(&principals[usize::from(*principal)], once, *at)
                .with_mark(mark.map(|m| V1Mark::from_bytes([m; 32])));
            let outcome = store.lock().claim(clock.now(), &claim).unwrap();
            if outcome == ClaimOutcome::Claimed {
                let fresh = claimed.insert((*principal, nonce.clone(), *request_id, *at));
                prop_assert!(fresh, "claimed twice: {claim:?}");
            }
        }
    }
}
