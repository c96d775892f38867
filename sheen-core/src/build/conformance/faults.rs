//! Stores that fail, and steps that are done twice: each must come to what once would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::BuildHarness;
use super::model::{Answer, Operation, model_of, snapshot};
use crate::build::store::BuildStore;
use crate::build::types::{
    BeatOutcome, Build, Claimed, Finish, FinishOutcome, NewBuild, Queued, StartOutcome,
};
use crate::error::{StoreError, StoreErrorKind};
use crate::id::{BuildId, WorkerId};
use crate::token::FencingToken;

const STEPS: u32 = 200;
const SEED: u64 = 0x5EED_0FA1;

/// A store of which every n-th step fails, in turn before it was done and after: its caller cannot
/// tell which, and repeats it.
#[derive(Debug)]
pub struct FaultyBuildStore {
    inner: Arc<dyn BuildStore>,
    every: u32,
    steps: AtomicU32,
}

/// When a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Before,
    After,
}

impl FaultyBuildStore {
    /// `inner`, every `every`-th step of which fails.
    #[must_use]
    pub fn new(inner: Arc<dyn BuildStore>, every: u32) -> Self {
        Self {
            inner,
            every,
            steps: AtomicU32::new(0),
        }
    }

    fn fault(&self) -> Fault {
        let step = self.steps.fetch_add(1, Ordering::SeqCst) + 1;
        match (
            step.is_multiple_of(self.every),
            (step / self.every).is_multiple_of(2),
        ) {
            (false, _) => Fault::None,
            (true, false) => Fault::Before,
            (true, true) => Fault::After,
        }
    }

    async fn step<T>(
        &self,
        step: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let unknown = || StoreError::with_source(StoreErrorKind::OutcomeUnknown, "injected");
        let fault = self.fault();
        if fault == Fault::Before {
            return Err(unknown());
        }
        let answer = step.await?;
        if fault == Fault::After {
            return Err(unknown());
        }
        Ok(answer)
    }
}

#[async_trait]
impl BuildStore for FaultyBuildStore {
    async fn start(&self, new: NewBuild) -> Result<StartOutcome, StoreError> {
        self.step(self.inner.start(new)).await
    }

    async fn start_many(
        &self,
        batch: Vec<NewBuild>,
    ) -> Result<Vec<Result<StartOutcome, StoreError>>, StoreError> {
        self.step(self.inner.start_many(batch)).await
    }

    async fn claim(&self, worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
        self.step(self.inner.claim(worker)).await
    }

    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError> {
        self.step(self.inner.beat(build, token)).await
    }

    async fn finish(&self, finish: Finish) -> Result<FinishOutcome, StoreError> {
        self.step(self.inner.finish(finish)).await
    }

    async fn reap(&self, limit: u32) -> Result<Vec<Build>, StoreError> {
        self.step(self.inner.reap(limit)).await
    }
}

fn started(answer: &Result<StartOutcome, StoreErrorKind>) -> Option<&Queued> {
    match answer {
        Ok(StartOutcome::Started(queued)) => Some(queued),
        _ => None,
    }
}

/// A step whose repeat does no more than it did: a sweep without a bound.
fn whole(operation: Operation) -> Operation {
    match operation {
        Operation::Reap(_) => Operation::Reap(1_000),
        other => other,
    }
}

/// Whether `later`, the answer to a repeat, is what a caller that lost `first` may be told.
fn is_repeat_of(first: &Answer, later: &Answer) -> bool {
    let start = |first: &StartOutcome, later: &StartOutcome| match (first, later) {
        (StartOutcome::Started(first), StartOutcome::SessionKnown(later)) => first == later,
        _ => first == later,
    };
    match (first, later) {
        (Answer::Start(first), Answer::Start(later)) => start(first, later),
        (Answer::Many(first), Answer::Many(later)) => {
            let begun: Vec<_> = first.iter().filter_map(started).collect();
            // A member that was refused may find its session started by one behind it.
            let known = |later: &StartOutcome| matches!(later, StartOutcome::SessionKnown(known) if begun.contains(&known));
            first.len() == later.len()
                && first.iter().zip(later).all(|pair| match pair {
                    (Ok(first), Ok(later)) => start(first, later) || known(later),
                    (first, later) => first == later,
                })
        }
        (
            Answer::Finish(FinishOutcome::Finished(first)),
            Answer::Finish(FinishOutcome::AlreadySo(later)),
        ) => first == later,
        // What a lost answer reaped is reaped; a lost claim is left to the sweep.
        (Answer::Reap(_), Answer::Reap(later)) => later.is_empty(),
        _ => first == later,
    }
}

/// C14: every second, third, fourth step fails, before or after it was done, and is repeated until
/// it answers: outcomes and rows come to what they would have in a store that never fails.
pub async fn c14_a_store_that_fails_comes_to_the_same(h: BuildHarness) {
    let model = model_of();
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut ids = Vec::new();
    for step in 0..STEPS {
        let faulty = FaultyBuildStore::new(Arc::clone(&h.store), 2 + step / 40);
        faulty.steps.store(step, Ordering::SeqCst);
        let operation = whole(Operation::random(&mut rng, step, &ids));
        operation.note_ids(&mut ids);
        let wanted = operation.run(&*model.store, &model.advance).await.unwrap();
        let mut failed = false;
        let got = loop {
            match operation.run(&faulty, &h.advance).await {
                Ok(answer) => break Some(answer),
                Err(error) => assert_eq!(error.kind, StoreErrorKind::OutcomeUnknown),
            }
            failed = true;
            // A repeated claim would take the next build.
            if matches!(operation, Operation::Claim) {
                break None;
            }
        };
        match got {
            Some(got) => {
                let fits = got == wanted || (failed && is_repeat_of(&wanted, &got));
                assert!(
                    fits,
                    "seed {SEED}, step {step}: {operation:?}: {got:?}, not {wanted:?}"
                );
            }
            None if was_claimed(&h, &wanted).await => {}
            None => {
                h.store.claim(&super::worker()).await.unwrap();
            }
        }
        let wanted = snapshot(&model, &ids).await;
        let got = snapshot(&h, &ids).await;
        assert_eq!(got, wanted, "seed {SEED}, after step {step}: {operation:?}");
    }
}

/// Whether the store claimed what the model did, though its answer was lost.
async fn was_claimed(h: &BuildHarness, wanted: &Answer) -> bool {
    let Answer::Claim(Some(claimed)) = wanted else {
        return true;
    };
    h.row(&claimed.build.id).await.token == claimed.build.token
}

/// C14: every step is done twice, a claim but once; the second is told that it was a repeat, and
/// changes nothing.
pub async fn c14_every_write_done_twice_is_done_once(h: BuildHarness) {
    let model = model_of();
    let mut rng = fastrand::Rng::with_seed(SEED + 1);
    let mut ids = Vec::new();
    for step in 0..STEPS {
        let operation = whole(Operation::random(&mut rng, step, &ids));
        operation.note_ids(&mut ids);
        let wanted = operation.run(&*model.store, &model.advance).await.unwrap();
        let first = operation.run(&*h.store, &h.advance).await.unwrap();
        assert_eq!(first, wanted, "seed {SEED}, step {step}: {operation:?}");
        if !matches!(operation, Operation::Claim | Operation::Advance(_)) {
            let second = operation.run(&*h.store, &h.advance).await.unwrap();
            let told = is_repeat_of(&first, &second);
            assert!(
                told,
                "step {step}: {operation:?}: {second:?} after {first:?}"
            );
        }
        let wanted = snapshot(&model, &ids).await;
        let got = snapshot(&h, &ids).await;
        assert_eq!(got, wanted, "seed {SEED}, after step {step}: {operation:?}");
    }
}
