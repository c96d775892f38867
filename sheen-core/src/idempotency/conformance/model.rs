//! Random operations, the same ones on the store under test and on the memory store.

use std::sync::Arc;

use super::{DAY, IdempotencyHarness, SECOND, answer, call, key, mine};
use crate::idempotency::memory::MemoryIdempotencyStore;
use crate::idempotency::store::IdempotencyStore;
use crate::idempotency::types::{BeginOutcome, ExtendOutcome, Lease, LeaseOutcome, Lifetimes};
use crate::time::{Advance, ManualClock, Timestamp};

const STEPS: u32 = 1_500;
const SEED: u64 = 0x5EED_1DE3;

/// Every outcome is the same as the memory store's, instants and tokens left aside.
pub async fn model_random_operations_equal_those_of_the_memory_store(h: IdempotencyHarness) {
    let started = compare(&h, STEPS, |store| store).await;
    // The run was worth its name.
    assert!(started > 50, "{started} calls started");
}

/// Runs the same random operations on a memory store and on the store under test, both as `seen`
/// makes them look, and compares all outcomes. Says how many calls started.
///
/// The clock moves in steps of 30 s, of which the lifetimes are multiples: a store whose own clock
/// runs on meanwhile agrees as long as the run takes less than that.
pub(super) async fn compare(
    h: &IdempotencyHarness,
    steps: u32,
    seen: impl Fn(Arc<dyn IdempotencyStore>) -> Arc<dyn IdempotencyStore>,
) -> u32 {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)));
    let memory = MemoryIdempotencyStore::new(clock.clone(), Lifetimes::default(), 1_000);
    let memory: Arc<dyn IdempotencyStore> = Arc::new(memory);
    let model = IdempotencyHarness::new(seen(Arc::clone(&memory)), Advance::manual(clock));
    let tested = seen(Arc::clone(&h.store));
    let mut rng = fastrand::Rng::with_seed(SEED);
    // The leases that both gave, pair by pair.
    let (mut wanted_leases, mut got_leases) = (Vec::new(), Vec::new());
    let mut started = 0;
    for step in 0..steps {
        let operation = Operation::random(&mut rng, wanted_leases.len());
        if h.reaps_in_part && matches!(operation, Operation::Reap) {
            // Asked again until the parts come to the whole; no failing step may lose a count.
            h.reaps(1_000, memory.reap(1_000).await.unwrap()).await;
            continue;
        }
        let wanted = operation
            .run(&*model.store, &model.advance, &wanted_leases)
            .await;
        let got = operation.run(&*tested, &h.advance, &got_leases).await;
        assert_eq!(got.0, wanted.0, "seed {SEED}, step {step}: {operation:?}");
        if let (Some(got), Some(wanted)) = (got.1, wanted.1) {
            got_leases.push(got);
            wanted_leases.push(wanted);
            started += 1;
        }
    }
    // Nothing is left for the next run to find.
    model.advance.by(DAY).await;
    h.advance.by(DAY).await;
    h.reaps(1_000, memory.reap(1_000).await.unwrap()).await;
    started
}

#[derive(Debug)]
enum Operation {
    Begin(u8, u8),
    Look(u8, u8),
    Extend(usize),
    Complete(usize, u8),
    Abandon(usize),
    Reap,
    Advance(u32),
}

#[derive(Debug, PartialEq)]
enum Answer {
    Begin(Option<BeginOutcome>),
    Started,
    Extended(bool),
    Lease(LeaseOutcome),
    Reaped(u32),
    Advanced,
}

impl Operation {
    fn random(rng: &mut fastrand::Rng, leases: usize) -> Self {
        let (name, call) = (rng.u8(0..6), rng.u8(0..8) / 7);
        // Mostly a recent lease: those are the ones that may still be held.
        let lease = rng.usize(leases.saturating_sub(6)..=leases);
        match rng.u8(0..20) {
            0..=6 => Self::Begin(name, call),
            7..=8 => Self::Look(name, call),
            9..=10 => Self::Extend(lease),
            11..=13 => Self::Complete(lease, rng.u8(0..2)),
            14..=15 => Self::Abandon(lease),
            16 => Self::Reap,
            _ => Self::Advance(*rng.choice(&[30, 30, 60, 90, 43_200, 86_400]).unwrap_or(&30)),
        }
    }

    async fn run(
        &self,
        store: &dyn IdempotencyStore,
        advance: &Advance,
        leases: &[Lease],
    ) -> (Answer, Option<Lease>) {
        let name = |name: &u8| key(&format!("k{name}"));
        let answer = match self {
            Self::Begin(n, of) => match store.begin(&mine(), &name(n), call(*of)).await.unwrap() {
                BeginOutcome::Started(lease) => return (Answer::Started, Some(lease)),
                refused => Answer::Begin(Some(refused)),
            },
            Self::Look(n, of) => {
                Answer::Begin(store.look(&mine(), &name(n), call(*of)).await.unwrap())
            }
            Self::Extend(lease) => match leases.get(*lease) {
                Some(lease) => {
                    let outcome = store.extend(lease).await.unwrap();
                    Answer::Extended(matches!(outcome, ExtendOutcome::Extended(_)))
                }
                None => Answer::Extended(false),
            },
            Self::Complete(lease, n) => match leases.get(*lease) {
                Some(lease) => {
                    let done = store.complete(lease, answer(&n.to_string())).await;
                    Answer::Lease(done.unwrap())
                }
                None => Answer::Lease(LeaseOutcome::Lost),
            },
            Self::Abandon(lease) => match leases.get(*lease) {
                Some(lease) => Answer::Lease(store.abandon(lease).await.unwrap()),
                None => Answer::Lease(LeaseOutcome::Lost),
            },
            Self::Reap => Answer::Reaped(store.reap(1_000).await.unwrap()),
            Self::Advance(seconds) => {
                advance.by(SECOND * *seconds).await;
                Answer::Advanced
            }
        };
        (answer, None)
    }
}
