//! Epochs in memory, and the cache before them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildId, UserId};
use sheen_core::time::{Advance, Clock, ManualClock, Timestamp};

use super::conformance::Harness;
use super::{Epoch, MemoryRevocationStore, RevocationStore, Revocations};
use crate::token::Viewer;

const SECOND: Duration = Duration::from_secs(1);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)))
}

fn harness() -> Harness {
    let clock = clock();
    let store = Arc::new(MemoryRevocationStore::new(clock.clone(), 50));
    let advance = Advance::manual(clock.clone());
    Harness::new(store, move || clock.now(), advance).bounded(50)
}

mod memory {
    use super::harness;

    crate::revocation_store_conformance!(harness());
}

fn viewer(user: &str, issued_at: Timestamp) -> Viewer {
    let user = UserId::parse(user).unwrap();
    let build = BuildId::parse("b_1").unwrap();
    Viewer::new(user, build, issued_at, issued_at.plus(600 * SECOND))
}

#[tokio::test]
async fn a_restart_revokes_what_was_issued_before_it() {
    let clock = clock();
    let store = MemoryRevocationStore::new(clock.clone(), 10);
    let user = UserId::parse("u_1").unwrap();
    let epoch = store.epoch(&user).await.unwrap().unwrap();
    assert!(epoch.revokes(clock.now().minus(SECOND)));
    assert!(!epoch.revokes(clock.now()));
}

#[test]
fn what_was_forgotten_stays_revoked_when_the_clock_steps_back() {
    let clock = clock();
    let store = MemoryRevocationStore::new(clock.clone(), 10);
    let mut state = store.lock();
    let start = clock.now().plus(10 * SECOND);
    let (one, two) = (UserId::parse("u_1").unwrap(), UserId::parse("u_2").unwrap());
    state.revoke(start, &one).unwrap();
    let epoch = state
        .revoke(start.plus(Epoch::KEEP + 2 * SECOND), &two)
        .unwrap();
    assert_eq!(state.len(), 1, "the first was forgotten");
    assert!(!state.is_empty());
    assert!(state.epoch(&one).revokes(start));
    // And a clock that stepped back moves no epoch back.
    assert_eq!(state.revoke(start, &two).unwrap(), epoch);
}

/// Counts questions, and fails when told to.
#[derive(Debug)]
struct Watched {
    store: MemoryRevocationStore,
    asked: AtomicUsize,
    fails: AtomicBool,
}

#[async_trait]
impl RevocationStore for Watched {
    async fn revoke(&self, user: &UserId) -> Result<Epoch, StoreError> {
        self.store.revoke(user).await
    }

    async fn epoch(&self, user: &UserId) -> Result<Option<Epoch>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable));
        }
        self.store.epoch(user).await
    }
}

fn watched(clock: &Arc<ManualClock>) -> (Arc<Watched>, Revocations) {
    let store = Arc::new(Watched {
        store: MemoryRevocationStore::new(clock.clone(), 100_000),
        asked: AtomicUsize::new(0),
        fails: AtomicBool::new(false),
    });
    let revocations = Revocations::new(store.clone(), clock.clone());
    (store, revocations)
}

#[tokio::test]
async fn v05_the_store_is_asked_every_few_seconds_and_what_was_revoked_here_is_known_at_once() {
    let clock = clock();
    let (store, revocations) = watched(&clock);
    let viewer = viewer("u_1", clock.now());
    for _ in 0..3 {
        assert!(!revocations.is_revoked(&viewer).await.unwrap());
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), 1);
    // Another process's revocation is seen once the cached word is old, and not before.
    store.store.revoke(&viewer.user).await.unwrap();
    clock.advance(Revocations::MAX_AGE - Duration::from_millis(1));
    assert!(!revocations.is_revoked(&viewer).await.unwrap());
    clock.advance(Duration::from_millis(1));
    assert!(revocations.is_revoked(&viewer).await.unwrap());
    assert_eq!(store.asked.load(Ordering::SeqCst), 2);
    // Revoked once is revoked for good: nothing more is asked.
    clock.advance(60 * SECOND);
    assert!(revocations.is_revoked(&viewer).await.unwrap());
    assert_eq!(store.asked.load(Ordering::SeqCst), 2);

    let other = self::viewer("u_2", clock.now());
    assert!(!revocations.is_revoked(&other).await.unwrap());
    revocations.revoke(&other.user).await.unwrap();
    assert!(revocations.is_revoked(&other).await.unwrap());
    assert_eq!(store.asked.load(Ordering::SeqCst), 3);
    // A token of the next second counts.
    clock.advance(SECOND);
    let renewed = self::viewer("u_2", clock.now());
    assert!(!revocations.is_revoked(&renewed).await.unwrap());
}

#[tokio::test]
async fn a_store_that_fails_lets_nobody_on() {
    let clock = clock();
    let (store, revocations) = watched(&clock);
    let revocations = revocations.believed_for(Duration::ZERO);
    let viewer = viewer("u_1", clock.now());
    assert!(!revocations.is_revoked(&viewer).await.unwrap());
    store.fails.store(true, Ordering::SeqCst);
    let failed = revocations.is_revoked(&viewer).await.unwrap_err();
    assert_eq!(failed.kind, StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn the_cache_is_bounded_and_still_right_when_it_turns_over() {
    let clock = clock();
    let (store, revocations) = watched(&clock);
    let first = viewer("first", clock.now());
    revocations.revoke(&first.user).await.unwrap();
    for number in 0..2 * Revocations::CACHED + 1 {
        let viewer = viewer(&format!("u_{number}"), clock.now());
        assert!(!revocations.is_revoked(&viewer).await.unwrap());
    }
    let asked = store.asked.load(Ordering::SeqCst);
    assert!(revocations.is_revoked(&first).await.unwrap());
    assert_eq!(
        store.asked.load(Ordering::SeqCst),
        asked + 1,
        "it had been pushed out"
    );
}

/// Answers questions late, with what was known when they were asked.
#[derive(Debug)]
struct Late {
    clock: Arc<ManualClock>,
    answer: tokio::sync::Notify,
}

#[async_trait]
impl RevocationStore for Late {
    async fn revoke(&self, _: &UserId) -> Result<Epoch, StoreError> {
        Ok(Epoch::after(self.clock.now()))
    }

    async fn epoch(&self, _: &UserId) -> Result<Option<Epoch>, StoreError> {
        self.answer.notified().await;
        Ok(None)
    }
}

#[tokio::test]
async fn a_late_answer_undoes_no_revocation() {
    let clock = clock();
    let store = Arc::new(Late {
        clock: clock.clone(),
        answer: tokio::sync::Notify::new(),
    });
    let revocations = Revocations::new(store.clone(), clock.clone());
    let viewer = viewer("u_1", clock.now());
    let revoked_meanwhile = async {
        revocations.revoke(&viewer.user).await.unwrap();
        store.answer.notify_one();
    };
    let (revoked, ()) = tokio::join!(revocations.is_revoked(&viewer), revoked_meanwhile);
    assert!(revoked.unwrap());
    assert!(revocations.is_revoked(&viewer).await.unwrap());
}
