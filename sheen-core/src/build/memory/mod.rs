//! Builds in memory: one process, gone when it ends.
//!
//! 1. It holds `capacity` builds, ended ones among them, as many owned projects, and a bounded
//!    number of bytes of their files. Full, it refuses with
//!    [`Full`](crate::error::StoreErrorKind::Full) and forgets nothing: a forgotten session would
//!    start its build again.
//! 2. A build's input is dropped once it was claimed or ended; nobody can ask for it again.
//! 3. A start, a claim, a heartbeat, an end and each build of a sweep cost O(log n). Only telling
//!    the place of a build in the queue counts the builds before it.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

pub use state::BuildState;

use super::settled::{
    Delivery, DeliveryLease, Hearing, Leased, ObserverRegistry, Parked, ParkedEntry,
    PutBackOutcome, RegisterOutcome, ResolveOutcome, RetireOutcome, SettledOutbox,
};
use super::store::{BuildReader, BuildStore};
use super::types::{
    BeatOutcome, Build, Claimed, Deadlines, Finish, FinishOutcome, NewBuild, ProjectLatest, Queued,
    StartOutcome,
};
use crate::error::StoreError;
use crate::files::FileSet;
use crate::id::{BuildId, BuildSessionId, ObserverId, ProjectId, UserId, WorkerId};
use crate::time::Clock;
use crate::token::FencingToken;

/// A store of builds in memory.
#[derive(Debug)]
pub struct MemoryBuildStore {
    clock: Arc<dyn Clock>,
    state: Mutex<BuildState>,
}

impl MemoryBuildStore {
    /// An empty store of at most `capacity` builds, and of as many projects.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, deadlines: Deadlines, capacity: usize) -> Self {
        Self {
            clock,
            state: Mutex::new(BuildState::new(deadlines, capacity)),
        }
    }

    /// The same with room for `max_bytes` of projects' files instead of
    /// [`Self::DEFAULT_MAX_BYTES`].
    #[must_use]
    pub fn with_max_bytes(self, max_bytes: usize) -> Self {
        self.lock().max_bytes = max_bytes;
        self
    }

    /// The room for projects' files when nobody says: 1 GiB.
    pub const DEFAULT_MAX_BYTES: usize = 1 << 30;

    /// The state itself, for a step across rooms; take locks in the order idempotency, builds,
    /// credits, log.
    pub fn lock(&self) -> MutexGuard<'_, BuildState> {
        // No step leaves the state half written: every write follows its last check.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BuildStore for MemoryBuildStore {
    async fn start(&self, new: NewBuild) -> Result<StartOutcome, StoreError> {
        let mut state = self.lock();
        state.start(self.clock.now(), new)
    }

    async fn start_many(
        &self,
        batch: Vec<NewBuild>,
    ) -> Result<Vec<Result<StartOutcome, StoreError>>, StoreError> {
        let mut state = self.lock();
        state.start_many(self.clock.now(), batch)
    }

    async fn claim(&self, _worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
        let mut state = self.lock();
        Ok(state.claim(self.clock.now()))
    }

    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError> {
        let mut state = self.lock();
        Ok(state.beat(self.clock.now(), build, token))
    }

    async fn finish(&self, finish: Finish) -> Result<FinishOutcome, StoreError> {
        let mut state = self.lock();
        Ok(state.finish(self.clock.now(), &finish))
    }

    async fn reap(&self, limit: u32) -> Result<Vec<Build>, StoreError> {
        let mut state = self.lock();
        Ok(state.reap(self.clock.now(), limit))
    }
}

#[async_trait]
impl BuildReader for MemoryBuildStore {
    async fn get(&self, build: &BuildId) -> Result<Option<Queued>, StoreError> {
        Ok(self.lock().get(build))
    }

    async fn by_session(
        &self,
        user: &UserId,
        session: &BuildSessionId,
    ) -> Result<Option<Queued>, StoreError> {
        Ok(self.lock().by_session(user, session))
    }

    async fn latest(&self, projects: &[ProjectId]) -> Result<Vec<ProjectLatest>, StoreError> {
        Ok(self.lock().latest(projects))
    }

    async fn owner(&self, project: &ProjectId) -> Result<Option<UserId>, StoreError> {
        Ok(self.lock().owner(project).cloned())
    }

    async fn project_files(&self, project: &ProjectId) -> Result<FileSet, StoreError> {
        Ok(self.lock().project_files(project))
    }

    async fn overdue(&self, limit: u32) -> Result<Vec<Build>, StoreError> {
        let state = self.lock();
        Ok(state.overdue(self.clock.now(), limit))
    }
}

#[async_trait]
impl SettledOutbox for MemoryBuildStore {
    async fn lease(
        &self,
        observer: &ObserverId,
        _worker: &WorkerId,
        limit: u32,
    ) -> Result<Leased, StoreError> {
        let mut state = self.lock();
        let (leases, parked) = state.outbox.lease(self.clock.now(), observer, limit);
        let of = |lease: DeliveryLease| {
            let build = state.get_build(&lease.build)?.clone();
            Some(Delivery::new(build, lease))
        };
        let deliveries = leases.into_iter().filter_map(of).collect();
        Ok(Leased::new(deliveries, parked))
    }

    async fn resolve(
        &self,
        lease: &DeliveryLease,
        hearing: Hearing,
    ) -> Result<ResolveOutcome, StoreError> {
        let mut state = self.lock();
        let now = self.clock.now();
        Ok(state.outbox.resolve(now, lease, &hearing))
    }
}

#[async_trait]
impl ObserverRegistry for MemoryBuildStore {
    async fn register(&self, observer: &ObserverId) -> Result<RegisterOutcome, StoreError> {
        Ok(self.lock().outbox.register(observer))
    }

    async fn retire(&self, observer: &ObserverId) -> Result<RetireOutcome, StoreError> {
        Ok(self.lock().outbox.retire(observer))
    }

    async fn parked(
        &self,
        observer: &ObserverId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Parked>, StoreError> {
        let state = self.lock();
        let parked = state.outbox.parked(observer, after, limit).into_iter();
        let of = |entry: ParkedEntry| {
            let build = state.get_build(&entry.build)?.clone();
            let ParkedEntry {
                position,
                attempts,
                error,
                parked_at,
                ..
            } = entry;
            Some(Parked::new(position, build, attempts, error, parked_at))
        };
        Ok(parked.filter_map(of).collect())
    }

    async fn put_back(
        &self,
        observer: &ObserverId,
        build: &BuildId,
    ) -> Result<PutBackOutcome, StoreError> {
        let mut state = self.lock();
        let now = self.clock.now();
        Ok(state.outbox.put_back(now, observer, build))
    }
}
