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

/// N9: a machine boots five minutes behind, starts the store, then gets the time.
#[test]
fn n09_a_clock_set_forward_after_the_start_moves_the_start_with_it() {
    let clock = clock();
    let web = id("web");
    let signed_at = clock.now().plus(Duration::from_secs(240));
    let claim = Claim::new(&web, NONCE, signed_at);
    let store = MemoryReplayStore::new(clock.clone(), CAPACITY);
    clock.advance(Duration::from_secs(1));
    clock.set_wall(clock.now().plus(Duration::from_secs(300)));
    assert_eq!(store.claim_now(&claim).unwrap(), ClaimOutcome::TooOld);
    // What was signed after the start passes, by the clock as it is now.
    let started = clock.now().minus(Duration::from_secs(1));
    for (nonce, before, expected) in [
        ("nonce-of-just-before", 2001, ClaimOutcome::TooOld),
        ("nonce-of-the-start-0", 2000, ClaimOutcome::Claimed),
    ] {
        let at = started.minus(Duration::from_millis(before));
        let claim = Claim::new(&web, Once::Nonce(nonce), at);
        assert_eq!(store.claim_now(&claim).unwrap(), expected, "{nonce}");
    }
    // Set back, it refuses no less than it did at first.
    clock.set_wall(started.minus(Duration::from_secs(300)));
    let early = clock.now().minus(Duration::from_millis(2001));
    let claim = Claim::new(&web, Once::Nonce("nonce-before-all-0"), early);
    assert_eq!(store.claim_now(&claim).unwrap(), ClaimOutcome::TooOld);
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
    Pass(u64),
    Jump(i64),
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
        3 => (0_u64..400_000).prop_map(Step::Pass),
        1 => (-4_000_000_i64..4_000_000).prop_map(Step::Jump),
        6 => (0_u8..2, 0_u8..16, -300_000_i64..=300_000, any::<bool>(), any::<Option<u8>>())
            .prop_map(|(principal, nonce, signed, request_id, mark)| Step::Claim {
                principal, nonce, signed, request_id, mark,
            }),
        6 => any::<prop::sample::Index>().prop_map(Step::Again),
    ]
}

/// How many claims of a life were made, refused as known or too old, and refused for room.
#[derive(Debug, Default, Clone, Copy)]
struct Lived {
    claimed: usize,
    refused: usize,
    full: usize,
}

/// Lives these steps in a store of `capacity`; an error where a request is claimed twice.
fn live(steps: Vec<Step>, capacity: usize) -> Result<Lived, TestCaseError> {
    let clock = clock();
    let store = MemoryReplayStore::new(clock.clone(), capacity);
    clock.advance(Duration::from_secs(86_400));
    let principals = [id("web"), id("app")];
    let mut sent: Vec<(u8, String, bool, Timestamp, Option<u8>)> = Vec::new();
    let mut claimed = std::collections::BTreeSet::new();
    let mut lived = Lived::default();
    for step in steps {
        let millis = clock.now().as_millis();
        let request = match step {
            Step::Pass(by) => {
                clock.advance(Duration::from_millis(by));
                continue;
            }
            Step::Jump(by) => {
                clock.set_wall(Timestamp::from_millis(millis + by));
                continue;
            }
            Step::Claim {
                principal,
                nonce,
                signed,
                request_id,
                mark,
            } => {
                let at = Timestamp::from_millis(millis + signed);
                sent.push((
                    principal,
                    format!("nonce-{nonce:016}"),
                    request_id,
                    at,
                    mark,
                ));
                sent[sent.len() - 1].clone()
            }
            Step::Again(_) if sent.is_empty() => continue,
            Step::Again(index) => index.get(&sent).clone(),
        };
        let (principal, nonce, request_id, at, mark) = &request;
        let once = if *request_id {
            Once::RequestId(nonce)
        } else {
            Once::Nonce(nonce)
        };
        let claim = Claim::new(&principals[usize::from(*principal)], once, *at)
            .with_mark(mark.map(|m| V1Mark::from_bytes([m; 32])));
        match store.claim_now(&claim) {
            Ok(ClaimOutcome::Claimed) => {
                let fresh = claimed.insert((*principal, nonce.clone(), *request_id, *at));
                prop_assert!(fresh, "claimed twice: {claim:?}");
                lived.claimed += 1;
            }
            Ok(_) => lived.refused += 1,
            Err(error) => {
                prop_assert_eq!(error.kind, StoreErrorKind::Full);
                lived.full += 1;
            }
        }
    }
    Ok(lived)
}

proptest! {
    /// N3, N4, N5: whatever the clock does, no signed request is ever claimed twice.
    #[test]
    fn no_request_is_ever_claimed_twice(steps in prop::collection::vec(step(), 1..200)) {
        prop_assert_eq!(live(steps, CAPACITY)?.full, 0);
    }
}

/// N3, N4, N5: nor where the store is at its bound most of the time.
#[test]
fn n05_no_request_is_claimed_twice_at_the_bound_whatever_the_clock_does() {
    use proptest::test_runner::{Config, TestRunner};
    let all = std::cell::Cell::new(Lived::default());
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    let done = runner.run(&prop::collection::vec(step(), 100..400), |steps| {
        let (life, sum) = (live(steps, 8)?, all.get());
        all.set(Lived {
            claimed: sum.claimed + life.claimed,
            refused: sum.refused + life.refused,
            full: sum.full + life.full,
        });
        Ok(())
    });
    done.unwrap();
    let Lived {
        claimed,
        refused,
        full,
    } = all.get();
    assert!(
        claimed > 100 && refused > 100 && full > 100,
        "{:?}",
        all.get()
    );
}
