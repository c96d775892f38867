//! Memory rooms under a clock that the test moves.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sheen::admission::conformance::{AdmissionHarness, GIFT};
use sheen::admission::{Admission, Admit, AdmitOutcome, ProjectReserveOutcome, SettleOutcome};
use sheen::memory::{MemoryConfig, MemoryRooms};
use sheen::worker::{Parts, SettledObserver, Worker};
use sheen_billing::account::Reserve;
use sheen_core::build::{BeatOutcome, Claimed, Finish};
use sheen_core::entropy::SeededEntropy;
use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, WorkerId};
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_core::time::{ManualClock, Timestamp};
use sheen_core::token::FencingToken;

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
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut MemoryConfig)) -> Self {
        let start = Timestamp::parse_rfc3339("2026-11-20T06:00:00Z").unwrap();
        let clock = Arc::new(ManualClock::at(start));
        let mut config = MemoryConfig::default();
        config.credits.daily_gift = Seconds::from_u32(GIFT);
        config.credits.welcome_bonus = Seconds::ZERO;
        config.credits.project_daily_cap = Some(Seconds::from_u32(10_000));
        change(&mut config);
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

/// Admission with an await before and after each step, where a caller can vanish: before it is
/// done, and after it is done but before the answer is seen.
#[derive(Debug)]
pub(crate) struct Slow(pub(crate) Arc<dyn Admission>);

#[async_trait]
impl Admission for Slow {
    async fn admit(&self, admit: Admit) -> Result<AdmitOutcome, StoreError> {
        tokio::task::yield_now().await;
        let outcome = self.0.admit(admit).await;
        tokio::task::yield_now().await;
        outcome
    }

    async fn claim(&self, worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
        tokio::task::yield_now().await;
        let outcome = self.0.claim(worker).await;
        tokio::task::yield_now().await;
        outcome
    }

    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError> {
        tokio::task::yield_now().await;
        let outcome = self.0.beat(build, token).await;
        tokio::task::yield_now().await;
        outcome
    }

    async fn settle(&self, finish: Finish) -> Result<SettleOutcome, StoreError> {
        tokio::task::yield_now().await;
        let outcome = self.0.settle(finish).await;
        tokio::task::yield_now().await;
        outcome
    }

    async fn reserve(&self, reserve: Reserve) -> Result<ProjectReserveOutcome, StoreError> {
        tokio::task::yield_now().await;
        let outcome = self.0.reserve(reserve).await;
        tokio::task::yield_now().await;
        outcome
    }
}
