//! Random deliveries, the same ones on the outbox under test and on the memory store's.

use std::sync::Arc;
use std::time::Duration;

use super::{OutboxHarness, broken, observer};
use crate::build::conformance::{BuildHarness, new_build, worker};
use crate::build::memory::MemoryBuildStore;
use crate::build::settled::types::{
    DeliveryLease, Hearing, PutBackOutcome, RegisterOutcome, ResolveOutcome, RetireOutcome,
};
use crate::build::types::Deadlines;
use crate::id::{BuildId, ObserverId};
use crate::time::{Advance, ManualClock, Timestamp};

const STEPS: u32 = 600;
const SEED: u64 = 0x5EED_0B5E;
const OBSERVERS: [&str; 3] = ["mail", "stats", "status"];

/// Every outcome is the same as the memory store's, instants left aside.
pub async fn model_random_deliveries_equal_those_of_the_memory_store(h: OutboxHarness) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)));
    let memory = Arc::new(MemoryBuildStore::new(
        clock.clone(),
        Deadlines::default(),
        1_000,
    ));
    let builds = BuildHarness::new(memory.clone(), memory.clone(), Advance::manual(clock));
    let model = OutboxHarness::new(builds, memory.clone(), memory);
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut leases: Vec<(DeliveryLease, DeliveryLease)> = Vec::new();
    for step in 0..STEPS {
        let operation = Operation::random(&mut rng, step, leases.len());
        let wanted = operation.run(&model, leases.iter().map(|(of, _)| of)).await;
        let got = operation.run(&h, leases.iter().map(|(_, of)| of)).await;
        let (said, got_said) = (wanted.said(), got.said());
        assert_eq!(got_said, said, "seed {SEED}, step {step}: {operation:?}");
        if let (Answer::Leased(wanted, _), Answer::Leased(got, _)) = (wanted, got) {
            leases.extend(wanted.into_iter().zip(got));
        }
    }
    assert!(leases.len() > 100, "{}", leases.len());
}

#[derive(Debug)]
enum Operation {
    Register(ObserverId),
    Retire(ObserverId),
    End(u32),
    Lease(ObserverId, u32),
    Resolve(usize, Hearing),
    PutBack(ObserverId, BuildId),
    Parked(ObserverId),
    Advance(Duration),
}

enum Answer {
    Registered(RegisterOutcome),
    Retired(RetireOutcome),
    /// What was leased, and how many were parked.
    Leased(Vec<DeliveryLease>, u32),
    Resolved(ResolveOutcome),
    PutBack(PutBackOutcome),
    Parked(Vec<(BuildId, u32, Arc<str>)>),
    None,
}

impl Answer {
    /// What must be equal. Tokens may differ, since a store may need one to park.
    fn said(&self) -> String {
        match self {
            Self::Registered(outcome) => format!("{outcome:?}"),
            Self::Retired(outcome) => format!("{outcome:?}"),
            Self::Leased(leases, parked) => {
                let mut said: Vec<_> = leases.iter().map(|l| (&l.build, l.attempt)).collect();
                said.sort();
                format!("{said:?}, {parked} parked")
            }
            Self::Resolved(outcome) => format!("{outcome:?}"),
            Self::PutBack(outcome) => format!("{outcome:?}"),
            Self::Parked(parked) => format!("{parked:?}"),
            Self::None => String::new(),
        }
    }
}

impl Operation {
    fn random(rng: &mut fastrand::Rng, step: u32, leases: usize) -> Self {
        let name = observer(OBSERVERS[rng.usize(0..OBSERVERS.len())]);
        match rng.u8(0..32) {
            0 | 1 => Self::Register(name),
            2 if rng.u8(0..6) == 0 => Self::Retire(name),
            3..=6 => Self::End(step),
            // All that is due, so that clocks which differ by less than a step agree on whose turn
            // it is.
            7..=16 => Self::Lease(name, 100),
            17..=24 if leases > 0 => {
                let recent = leases.saturating_sub(8);
                let hearing = match rng.u8(0..4) {
                    0 => Hearing::Heard,
                    _ => broken("it broke"),
                };
                Self::Resolve(rng.usize(recent..leases), hearing)
            }
            25 | 26 => Self::PutBack(name, new_build(rng.u32(0..=step), "u", "p").id),
            27 => Self::Parked(name),
            _ => Self::Advance(Duration::from_secs(60 << rng.u32(0..7))),
        }
    }

    async fn run<'l>(
        &self,
        h: &OutboxHarness,
        mut leases: impl Iterator<Item = &'l DeliveryLease>,
    ) -> Answer {
        match self {
            Self::Register(name) => Answer::Registered(h.registry.register(name).await.unwrap()),
            Self::Retire(name) => Answer::Retired(h.registry.retire(name).await.unwrap()),
            Self::End(n) => {
                h.ended(*n).await;
                Answer::None
            }
            Self::Lease(name, limit) => {
                let leased = h.outbox.lease(name, &worker(), *limit).await.unwrap();
                let parked = leased.parked;
                let mut leases: Vec<_> =
                    leased.deliveries.into_iter().map(|due| due.lease).collect();
                leases.sort_by(|a, b| a.build.cmp(&b.build));
                Answer::Leased(leases, parked)
            }
            Self::Resolve(n, hearing) => {
                let lease = leases.nth(*n).unwrap();
                let resolved = h.outbox.resolve(lease, hearing.clone()).await;
                Answer::Resolved(resolved.unwrap())
            }
            Self::PutBack(name, build) => {
                Answer::PutBack(h.registry.put_back(name, build).await.unwrap())
            }
            Self::Parked(name) => {
                let parked = h.registry.parked(name, 0, 1_000).await.unwrap();
                let of = |parked: super::Parked| (parked.build.id, parked.attempts, parked.error);
                Answer::Parked(parked.into_iter().map(of).collect())
            }
            Self::Advance(duration) => {
                h.builds.advance.by(*duration).await;
                Answer::None
            }
        }
    }
}
