//! Stores whose steps fail, are repeated or are done twice: C14.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::model::compare;
use super::{IdempotencyHarness, LAPSE, answer, call, key, mine};
use crate::error::{StoreError, StoreErrorKind};
use crate::idempotency::store::IdempotencyStore;
use crate::idempotency::types::{
    BeginOutcome, ExtendOutcome, Fingerprint, IdempotencyKey, Lease, LeaseOutcome, Scope,
    StoredAnswer,
};
use crate::runtime::BoxFuture;

/// When a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a step was done or not")]
pub enum Fails {
    /// Before it was done: nothing happened.
    Before,
    /// After it was done: its answer was lost.
    After,
}

/// A store whose every n-th step fails with
/// [`OutcomeUnknown`](crate::error::StoreErrorKind::OutcomeUnknown), for tests of what stands on
/// top of one.
#[derive(Debug)]
pub struct FaultyIdempotencyStore(Decorated);

impl FaultyIdempotencyStore {
    /// Fails each `every`-th step of `store`, counted over all of them.
    #[must_use]
    pub fn new(store: Arc<dyn IdempotencyStore>, every: u32, fails: Fails) -> Self {
        Self(Decorated {
            store,
            how: How::Fail(every.max(1), fails),
            steps: AtomicU32::new(0),
        })
    }
}

/// What becomes of each step of a store.
#[derive(Debug)]
enum How {
    Fail(u32, Fails),
    /// Again for as long as it fails, a bounded number of times.
    Repeat,
    /// Once more at once; the first answer counts.
    Twice,
}

#[derive(Debug)]
struct Decorated {
    store: Arc<dyn IdempotencyStore>,
    how: How,
    steps: AtomicU32,
}

impl Decorated {
    fn over(store: Arc<dyn IdempotencyStore>, how: How) -> Arc<dyn IdempotencyStore> {
        let steps = AtomicU32::new(0);
        Arc::new(Self { store, how, steps })
    }

    async fn step<'a, T: Send>(
        &'a self,
        step: impl Fn() -> BoxFuture<'a, Result<T, StoreError>> + Send + Sync,
    ) -> Result<T, StoreError> {
        match self.how {
            How::Fail(every, fails) => {
                let number = self.steps.fetch_add(1, Ordering::SeqCst) + 1;
                if !number.is_multiple_of(every) {
                    return step().await;
                }
                if fails == Fails::After {
                    step().await?;
                }
                Err(StoreError::new(StoreErrorKind::OutcomeUnknown))
            }
            How::Repeat => {
                let mut done = step().await;
                for _ in 0..8 {
                    if done.is_ok() {
                        break;
                    }
                    done = step().await;
                }
                done
            }
            How::Twice => {
                let first = step().await?;
                step().await?;
                Ok(first)
            }
        }
    }
}

#[async_trait]
impl IdempotencyStore for Decorated {
    async fn begin(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<BeginOutcome, StoreError> {
        let (scope, key) = (scope.clone(), key.clone());
        self.step(|| {
            let (scope, key) = (scope.clone(), key.clone());
            Box::pin(async move { self.store.begin(&scope, &key, fingerprint).await })
        })
        .await
    }

    async fn extend(&self, lease: &Lease) -> Result<ExtendOutcome, StoreError> {
        let lease = lease.clone();
        self.step(|| {
            let lease = lease.clone();
            Box::pin(async move { self.store.extend(&lease).await })
        })
        .await
    }

    async fn complete(
        &self,
        lease: &Lease,
        answer: StoredAnswer,
    ) -> Result<LeaseOutcome, StoreError> {
        let lease = lease.clone();
        self.step(|| {
            let (lease, answer) = (lease.clone(), answer.clone());
            Box::pin(async move { self.store.complete(&lease, answer).await })
        })
        .await
    }

    async fn abandon(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        let lease = lease.clone();
        self.step(|| {
            let lease = lease.clone();
            Box::pin(async move { self.store.abandon(&lease).await })
        })
        .await
    }

    async fn look(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<Option<BeginOutcome>, StoreError> {
        let (scope, key) = (scope.clone(), key.clone());
        self.step(|| {
            let (scope, key) = (scope.clone(), key.clone());
            Box::pin(async move { self.store.look(&scope, &key, fingerprint).await })
        })
        .await
    }

    async fn reap(&self, limit: u32) -> Result<u32, StoreError> {
        self.step(|| Box::pin(self.store.reap(limit))).await
    }
}

#[async_trait]
impl IdempotencyStore for FaultyIdempotencyStore {
    async fn begin(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<BeginOutcome, StoreError> {
        self.0.begin(scope, key, fingerprint).await
    }

    async fn extend(&self, lease: &Lease) -> Result<ExtendOutcome, StoreError> {
        self.0.extend(lease).await
    }

    async fn complete(
        &self,
        lease: &Lease,
        answer: StoredAnswer,
    ) -> Result<LeaseOutcome, StoreError> {
        self.0.complete(lease, answer).await
    }

    async fn abandon(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        self.0.abandon(lease).await
    }

    async fn look(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<Option<BeginOutcome>, StoreError> {
        self.0.look(scope, key, fingerprint).await
    }

    async fn reap(&self, limit: u32) -> Result<u32, StoreError> {
        self.0.reap(limit).await
    }
}

/// The store with steps that fail, each repeated until it does not.
fn failing(
    store: Arc<dyn IdempotencyStore>,
    every: u32,
    fails: Fails,
) -> Arc<dyn IdempotencyStore> {
    let faulty = FaultyIdempotencyStore::new(store, every, fails);
    Decorated::over(Arc::new(faulty), How::Repeat)
}

/// C14, X5, S6: every second, then every third step fails, before it was done or after; repeated,
/// it comes to what it does in the memory store under the same failures.
pub async fn c14_a_step_that_failed_can_be_repeated(h: IdempotencyHarness) {
    for fails in [Fails::Before, Fails::After] {
        for every in [2, 3] {
            compare(&h, 300, |store| failing(store, every, fails)).await;
        }
    }
}

/// C14: as a message that is delivered twice.
pub async fn c14_a_write_done_twice_counts_once(h: IdempotencyHarness) {
    compare(&h, 400, |store| Decorated::over(store, How::Twice)).await;
}

/// C14, I9: a call that is repeated until it has an answer has its effect once, whatever failed.
pub async fn c14_calls_over_failing_steps_have_one_effect(h: IdempotencyHarness) {
    for fails in [Fails::Before, Fails::After] {
        // Not every second: of a beginning and the look after it the first would fail for ever.
        for every in [3, 4, 5] {
            let faulty = FaultyIdempotencyStore::new(Arc::clone(&h.store), every, fails);
            for n in 0..6 {
                let name = format!("{fails:?}-{every}-{n}");
                let mut effects = 0;
                for _ in 0..2 {
                    let got = call_until_answered(&h, &faulty, &name, &mut effects).await;
                    assert_eq!(got, answer(&name));
                }
                assert_eq!(effects, 1, "{name}");
            }
        }
    }
}

/// What a caller does: asks until it has an answer.
async fn call_until_answered(
    h: &IdempotencyHarness,
    faulty: &FaultyIdempotencyStore,
    name: &str,
    effects: &mut u32,
) -> StoredAnswer {
    for _ in 0..20 {
        let begun = faulty.begin(&mine(), &key(name), call(1)).await;
        match begun {
            Ok(BeginOutcome::Replay(answer)) => return answer,
            Ok(BeginOutcome::Started(lease)) => {
                *effects += 1;
                for _ in 0..3 {
                    let done = faulty.complete(&lease, answer(name)).await;
                    if done.is_ok_and(|done| done == LeaseOutcome::Done) {
                        break;
                    }
                }
            }
            // The lease whose answer was lost lapses.
            Ok(_) => h.advance.by(LAPSE).await,
            Err(error) => assert!(error.is_transient()),
        }
    }
    panic!("no answer in twenty tries");
}
