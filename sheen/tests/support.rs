//! Memory rooms under a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use sheen::admission::conformance::{AdmissionHarness, GIFT};
use sheen::admission::memory::MemoryAdmission;
use sheen::worker::{Parts, SettledObserver, Worker};
use sheen_billing::account::{CreditPolicy, MemoryCreditStore};
use sheen_core::build::{Deadlines, MemoryBuildStore};
use sheen_core::entropy::SeededEntropy;
use sheen_core::idempotency::{Lifetimes, MemoryIdempotencyStore};
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_core::time::{Clock, ManualClock, Timestamp};
use sheen_events::log::{MemoryEventLog, MemoryLogConfig};
use sheen_events::wake::MemoryWake;

/// Every room of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Rooms {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) idempotency: Arc<MemoryIdempotencyStore>,
    pub(crate) builds: Arc<MemoryBuildStore>,
    pub(crate) credits: Arc<MemoryCreditStore>,
    pub(crate) log: Arc<MemoryEventLog>,
    pub(crate) wake: Arc<MemoryWake>,
    pub(crate) admission: Arc<MemoryAdmission>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        let start = Timestamp::parse_rfc3339("2026-11-20T06:00:00Z").unwrap();
        let manual = Arc::new(ManualClock::at(start));
        let clock: Arc<dyn Clock> = manual.clone();
        let mut policy = CreditPolicy::default();
        policy.daily_gift = Seconds::from_u32(GIFT);
        policy.welcome_bonus = Seconds::ZERO;
        policy.project_daily_cap = Some(Seconds::from_u32(10_000));
        let entropy = Arc::new(SeededEntropy::new(7));
        let idempotency = Arc::new(MemoryIdempotencyStore::new(
            Arc::clone(&clock),
            Lifetimes::default(),
            100_000,
        ));
        let builds =
            Arc::new(MemoryBuildStore::new(Arc::clone(&clock), Deadlines::default(), 100_000));
        let credits = Arc::new(MemoryCreditStore::new(Arc::clone(&clock), policy, 100_000));
        let log = Arc::new(MemoryEventLog::new(
            Arc::clone(&clock),
            entropy,
            MemoryLogConfig::default(),
        ));
        let admission = Arc::new(MemoryAdmission::new(
            clock,
            Arc::clone(&idempotency),
            Arc::clone(&builds),
            Arc::clone(&credits),
            Arc::clone(&log),
        ));
        let wake = Arc::new(MemoryWake::default());
        Self { clock: manual, idempotency, builds, credits, log, wake, admission }
    }

    pub(crate) fn harness(self) -> AdmissionHarness {
        let clock = Arc::clone(&self.clock);
        AdmissionHarness {
            admission: self.admission,
            builds: self.builds,
            credits: self.credits.clone(),
            grants: self.credits.clone(),
            accounts: self.credits,
            log: self.log,
            idempotency: self.idempotency,
            advance: Box::new(move |duration: Duration| {
                clock.advance(duration);
                Box::pin(std::future::ready(()))
            }),
            guard: Box::new(()),
        }
    }

    pub(crate) fn parts(&self, observers: Vec<Arc<dyn SettledObserver>>) -> Parts {
        Parts {
            admission: self.admission.clone(),
            builds: self.builds.clone(),
            log: self.log.clone(),
            wake: self.wake.clone(),
            clock: self.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(11)),
            spawn: Arc::new(TokioRuntime::default()),
            sleep: Arc::new(TokioRuntime::default()),
            observers,
        }
    }

    pub(crate) fn worker(&self, observers: Vec<Arc<dyn SettledObserver>>) -> Arc<Worker> {
        Arc::new(Worker::new(self.parts(observers)))
    }
}
