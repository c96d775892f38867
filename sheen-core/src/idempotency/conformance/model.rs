//! Random operations, the same ones on the store under test and on the memory store.

use std::sync::Arc;

use super::{IdempotencyHarness, SECOND};
use crate::idempotency::memory::MemoryIdempotencyStore;
use crate::idempotency::types::{BeginOutcome, ExtendOutcome, Lease, LeaseOutcome, Lifetimes};
use crate::time::{Advance, ManualClock, Timestamp};

const STEPS: u32 = 1_500;
const SEED: u64 = 0x5EED_1DE3;

/// Every outcome is the same as the memory store's, instants and tokens left aside.
///
/// The clock moves in steps of 30 s, of which the lifetimes are multiples: a store whose own clock
/// runs on meanwhile agrees as long as the run takes less than that.
pub async fn model_random_operations_equal_those_of_the_memory_store(h: IdempotencyHarness) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)));
    let memory = MemoryIdempotencyStore::new(clock.clone(), Lifetimes::default(), 1_000);
    let model = IdempotencyHarness::new(Arc::new(memory), Advance::manual(clock));
    let mut rng = fastrand::Rng::with_seed(SEED);
    // The leases that both gave, pair by pair.
    let (mut wanted_leases, mut got_leases) = (Vec::new(), Vec::new());
    let mut started = 0_u32;
    for step in 0..STEPS {
        let operation = Operation::random(&mut rng, wanted_leases.len());
        let wanted = operation.run(&model, &wanted_leases).await;
        let got = operation.run(&h, &got_leases).await;
        assert_eq!(got.0, wanted.0, "seed {SEED}, step {step}: {operation:?}");
        if let (Some(got), Some(wanted)) = (got.1, wanted.1) {
            got_leases.push(got);
            wanted_leases.push(wanted);
            started += 1;
        }
    }
    // The run was worth its name.
    assert!(started > 50, "{started} calls started");
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

    async fn run(&self, h: &IdempotencyHarness, leases: &[Lease]) -> (Answer, Option<Lease>) {
        let answer = match self {
            Self::Begin(name, call) => match h.begin(&format!("k{name}"), *call).await {
                BeginOutcome::Started(lease) => return (Answer::Started, Some(lease)),
                refused => Answer::Begin(Some(refused)),
            },
            Self::Look(name, call) => Answer::Begin(h.look(&format!("k{name}"), *call).await),
            Self::Extend(lease) => match leases.get(*lease) {
                Some(lease) => {
                    let outcome = h.store.extend(lease).await.unwrap();
                    Answer::Extended(matches!(outcome, ExtendOutcome::Extended(_)))
                }
                None => Answer::Extended(false),
            },
            Self::Complete(lease, n) => match leases.get(*lease) {
                Some(lease) => Answer::Lease(h.complete(lease, &n.to_string()).await),
                None => Answer::Lease(LeaseOutcome::Lost),
            },
            Self::Abandon(lease) => match leases.get(*lease) {
                Some(lease) => Answer::Lease(h.abandon(lease).await),
                None => Answer::Lease(LeaseOutcome::Lost),
            },
            Self::Reap => Answer::Reaped(h.store.reap(1_000).await.unwrap()),
            Self::Advance(seconds) => {
                h.advance.by(SECOND * *seconds).await;
                Answer::Advanced
            }
        };
        (answer, None)
    }
}
