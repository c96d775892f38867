//! The memory store: its contract, its bound, and two threads on it.

use std::sync::Arc;
use std::time::Duration;

use sheen_core::entropy::{Entropy as _, SeededEntropy};
use sheen_core::error::StoreErrorKind;
use sheen_core::time::{Advance, ManualClock, Timestamp};

use crate::limit::conformance::Harness;
use crate::limit::{LimitKey, MemoryLimitStore, Quota, Quotas, Subject, TakeOutcome};

const CAPACITY: usize = 500;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)))
}

fn harness() -> Harness {
    let clock = clock();
    let store = Arc::new(MemoryLimitStore::new(clock.clone(), CAPACITY));
    Harness::new(store, Advance::manual(clock)).bounded(CAPACITY)
}

mod contract {
    use super::harness;

    crate::limit_store_conformance!(harness());
}

#[test]
fn l06_a_flood_of_keys_is_bounded_and_leaves_known_keys_alone() {
    let capacity = 20_000;
    let store = MemoryLimitStore::with_entropy(clock(), capacity, &SeededEntropy::new(1));
    let quotas = Quotas::from(Quota::per_minute(3).unwrap());
    let ann = LimitKey::new("chat", Subject::Other("ann"));
    assert!(matches!(
        store.take_at(0, &ann, &quotas, 2),
        Ok(TakeOutcome::Admitted(_))
    ));

    let (random, mut refused) = (SeededEntropy::new(2), 0);
    let flood = testkit::Proof::size().pick(200_000, 10_000_000);
    for _ in 0..flood {
        let mut name = [0; 8];
        random.fill(&mut name);
        let name = const_hex::encode(name);
        let taken = store.take_at(0, &LimitKey::new("chat", Subject::Other(&name)), &quotas, 1);
        match taken {
            Ok(outcome) => assert!(matches!(outcome, TakeOutcome::Admitted(_))),
            Err(error) => {
                assert_eq!(error.kind, StoreErrorKind::Full);
                refused += 1;
            }
        }
    }
    assert_eq!(store.len(), capacity);
    assert_eq!(
        refused,
        flood - (capacity - 1),
        "every key that was let in is held"
    );

    // Known keys: neither forgotten nor refused.
    assert!(matches!(
        store.take_at(0, &ann, &quotas, 1),
        Ok(TakeOutcome::Admitted(_))
    ));
    assert!(matches!(
        store.take_at(0, &ann, &quotas, 1),
        Ok(TakeOutcome::Limited(_))
    ));
    // Once what the flood used has come back, each new key finds room.
    let later = 60_000_000;
    // Hashes are uneven: some shards are full before the others.
    for number in 0..capacity * 9 / 10 {
        let name = format!("later-{number}");
        let key = LimitKey::new("chat", Subject::Other(&name));
        assert!(store.take_at(later, &key, &quotas, 1).is_ok(), "{number}");
    }
    assert!(store.len() <= capacity);
}

#[test]
fn l06_keys_that_are_whole_again_are_let_go_as_others_come() {
    let store = MemoryLimitStore::with_entropy(clock(), 1_000_000, &SeededEntropy::new(1));
    let quotas = Quotas::from(Quota::new(10, Duration::from_secs(10)).unwrap());
    // A thousand new keys a second, each of which is whole a second after its call.
    let mut most = 0;
    for number in 0..100_000_u64 {
        let name = number.to_string();
        let key = LimitKey::new("user", Subject::Other(&name));
        store.take_at(number * 1000, &key, &quotas, 1).unwrap();
        if number % 1000 == 0 {
            most = most.max(store.len());
        }
    }
    assert!(most <= 4000, "about twice those alive: {most}");
}

#[test]
fn a_key_that_only_looks_is_not_kept() {
    let store = MemoryLimitStore::new(clock(), 10);
    let quotas = Quotas::from(Quota::per_minute(3).unwrap());
    for number in 0..100 {
        let name = number.to_string();
        let key = LimitKey::new("user", Subject::Other(&name));
        let _ = store.peek_at(0, &key, &quotas, 1);
        let _ = store.refund_at(0, &key, &quotas, 1);
        store.take_at(0, &key, &quotas, 0).unwrap();
    }
    assert!(store.is_empty());
}

#[test]
fn debug_shows_no_key() {
    let store = MemoryLimitStore::new(clock(), 10);
    let key = LimitKey::new("user", Subject::Other("ann"));
    let quotas = Quotas::from(Quota::per_minute(3).unwrap());
    store.take_at(0, &key, &quotas, 1).unwrap();
    assert_eq!(format!("{store:?}"), "MemoryLimitStore { len: 1, .. }");
}

/// Each set of quotas counts for itself, so that going from one to another gives no more than both.
#[test]
fn l05_a_change_makes_no_key_worse_off_and_gives_no_more_than_either_set() {
    let store = MemoryLimitStore::new(clock(), 100);
    let key = LimitKey::new("user", Subject::Other("ann"));
    let set =
        |burst, seconds| Quotas::from(Quota::new(burst, Duration::from_secs(seconds)).unwrap());
    let old = set(10, 100);
    let admitted = |now, set: &Quotas| {
        let passes = |_: &u32| {
            matches!(
                store.take_at(now, &key, set, 1),
                Ok(TakeOutcome::Admitted(_))
            )
        };
        (0..1000).filter(passes).count()
    };
    assert_eq!(admitted(0, &old), 10);
    // Raised in burst, in pace and in both (redis-cell#54 made a key wait out the old debt).
    let raised = [set(20, 200), set(10, 10), set(100, 10)];
    for (set, burst) in raised.iter().zip([20, 10, 100]) {
        assert_eq!(admitted(0, set), burst);
    }
    // Lowered: it holds from the next call on.
    let lowered = set(2, 200);
    assert_eq!(admitted(0, &lowered), 2);
    assert_eq!(admitted(99_999_999, &lowered), 0);
    assert_eq!(admitted(100_000_000, &lowered), 1);
    // Two processes with two sets: never more than either gives, in whatever order they are asked.
    assert_eq!(admitted(110_000_000, &old), 10);
    let both: usize = (0..50)
        .map(|_| admitted(110_000_000, &lowered) + admitted(110_000_000, &old))
        .sum();
    assert_eq!(both, 0);
}
