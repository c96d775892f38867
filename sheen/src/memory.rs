//! Every room in memory, wired: for tests, demonstrations, and services that need no more.
//!
//! What one process keeps in memory is gone when it ends.

use std::sync::Arc;

use sheen_billing::account::{CreditPolicy, MemoryCreditStore};
use sheen_core::build::{Deadlines, MemoryBuildStore};
use sheen_core::entropy::Entropy;
use sheen_core::idempotency::{Lifetimes, MemoryIdempotencyStore};
use sheen_core::runtime::{Sleep, Spawn};
use sheen_core::time::Clock;
use sheen_events::log::{MemoryEventLog, MemoryLogConfig};
use sheen_events::wake::MemoryWake;

use crate::admission::memory::MemoryAdmission;
use crate::worker::{Parts, SettledObserver};

/// Rules and bounds of the memory rooms. Each room refuses when it is full and forgets nothing
/// that is alive.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MemoryConfig {
    /// How accounts are fed and capped.
    pub credits: CreditPolicy,
    /// When silent builds count as lost.
    pub deadlines: Deadlines,
    /// How long kept answers and leases live.
    pub lifetimes: Lifetimes,
    /// The most builds, ended ones among them.
    pub builds: usize,
    /// The most bytes of all projects' files.
    pub project_bytes: usize,
    /// The most accounts.
    pub accounts: usize,
    /// The most idempotency records.
    pub records: usize,
    /// The bounds of the event log.
    pub log: MemoryLogConfig,
    /// Whether the streams of settled builds stay open until recommendations have settled too:
    /// then [`EndStreams`](crate::recommending::EndStreams) must be among the observers.
    pub leave_streams_open: bool,
}

impl Default for MemoryConfig {
    /// The wire's rules, and room for 100,000 of everything.
    fn default() -> Self {
        Self {
            credits: CreditPolicy::default(),
            deadlines: Deadlines::default(),
            lifetimes: Lifetimes::default(),
            builds: 100_000,
            project_bytes: MemoryBuildStore::DEFAULT_MAX_BYTES,
            accounts: 100_000,
            records: 100_000,
            log: MemoryLogConfig::default(),
            leave_streams_open: false,
        }
    }
}

/// The memory stores of one worker, on one clock, and the steps across them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MemoryRooms {
    /// Kept answers.
    pub idempotency: Arc<MemoryIdempotencyStore>,
    /// Builds and projects.
    pub builds: Arc<MemoryBuildStore>,
    /// Accounts.
    pub credits: Arc<MemoryCreditStore>,
    /// Events.
    pub log: Arc<MemoryEventLog>,
    /// Wake-ups.
    pub wake: Arc<MemoryWake>,
    /// The steps across the rooms.
    pub admission: Arc<MemoryAdmission>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl MemoryRooms {
    /// Empty rooms.
    #[must_use]
    pub fn new(config: MemoryConfig, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let idempotency = Arc::new(MemoryIdempotencyStore::new(
            Arc::clone(&clock),
            config.lifetimes,
            config.records,
        ));
        let builds = MemoryBuildStore::new(Arc::clone(&clock), config.deadlines, config.builds);
        let builds = Arc::new(builds.with_max_bytes(config.project_bytes));
        let credits = Arc::new(MemoryCreditStore::new(
            Arc::clone(&clock),
            config.credits,
            config.accounts,
        ));
        let log = Arc::new(MemoryEventLog::new(
            Arc::clone(&clock),
            Arc::clone(&entropy),
            config.log,
        ));
        let mut admission = MemoryAdmission::new(
            Arc::clone(&clock),
            Arc::clone(&idempotency),
            Arc::clone(&builds),
            Arc::clone(&credits),
            Arc::clone(&log),
        );
        if config.leave_streams_open {
            admission = admission.leave_streams_open();
        }
        let admission = Arc::new(admission);
        let wake = Arc::new(MemoryWake::new());
        Self {
            idempotency,
            builds,
            credits,
            log,
            wake,
            admission,
            clock,
            entropy,
        }
    }

    /// What a [`Worker`](crate::worker::Worker) over these rooms is made of.
    #[must_use]
    pub fn parts(
        &self,
        spawn: Arc<dyn Spawn>,
        sleep: Arc<dyn Sleep>,
        observers: Vec<Arc<dyn SettledObserver>>,
    ) -> Parts {
        Parts {
            admission: self.admission.clone(),
            builds: self.builds.clone(),
            log: self.log.clone(),
            wake: self.wake.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            spawn,
            sleep,
            observers,
        }
    }
}
