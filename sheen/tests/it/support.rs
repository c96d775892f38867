//! Memory rooms under a clock that the test moves.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use sheen::admission::conformance::{AdmissionHarness, GIFT};
use sheen::memory::{MemoryConfig, MemoryRooms};
use sheen::worker::{Parts, SettledObserver, Worker};
use sheen_core::entropy::SeededEntropy;
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_core::time::{ManualClock, Timestamp};

/// Every room of a worker, and its clock.
#[derive(Debug, Clone)]
pub(crate) struct Rooms {
    pub(crate) clock: Arc<ManualClock>,
    rooms: MemoryRooms,
}

impl Deref for Rooms {
    type Target = MemoryRooms;

    fn deref(&self) -> &MemoryRooms {
        &self.rooms
    }
}

impl Rooms {
    pub(crate) fn new() -> Self {
        let start = Timestamp::parse_rfc3339("2026-11-20T06:00:00Z").unwrap();
        let clock = Arc::new(ManualClock::at(start));
        let mut config = MemoryConfig::default();
        config.credits.daily_gift = Seconds::from_u32(GIFT);
        config.credits.welcome_bonus = Seconds::ZERO;
        config.credits.project_daily_cap = Some(Seconds::from_u32(10_000));
        let rooms = MemoryRooms::new(config, clock.clone(), Arc::new(SeededEntropy::new(7)));
        Self { clock, rooms }
    }

    pub(crate) fn harness(&self) -> AdmissionHarness {
        let clock = Arc::clone(&self.clock);
        AdmissionHarness {
            admission: self.admission.clone(),
            builds: self.builds.clone(),
            credits: self.credits.clone(),
            grants: self.credits.clone(),
            accounts: self.credits.clone(),
            log: self.log.clone(),
            idempotency: self.idempotency.clone(),
            advance: Box::new(move |duration: Duration| {
                clock.advance(duration);
                Box::pin(std::future::ready(()))
            }),
            guard: Box::new(()),
        }
    }

    pub(crate) fn parts(&self, observers: Vec<Arc<dyn SettledObserver>>) -> Parts {
        let runtime = Arc::new(TokioRuntime);
        self.rooms.parts(runtime.clone(), runtime, observers)
    }

    pub(crate) fn worker(&self, observers: Vec<Arc<dyn SettledObserver>>) -> Arc<Worker> {
        Arc::new(Worker::new(self.parts(observers)))
    }
}
