//! Idempotency records in memory: one process, gone when it ends.
//!
//! 1. It holds `capacity` records. Full, it removes what is past its life, and when nothing is it
//!    refuses with [`StoreErrorKind::Full`]: a record evicted early would run its call twice.
//! 2. Every step costs O(log n), reaping O(log n) a record.
//! 3. A record takes at most [`StoredAnswer::MAX_BODY`] and [`StoredAnswer::MAX_HEADERS`] bytes
//!    beside its key.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::decide::{
    BeginDecision, CompleteDecision, Progress, Record, decide_abandon, decide_begin,
    decide_complete, decide_extend, decide_look,
};
use super::store::IdempotencyStore;
use super::types::{
    BeginOutcome, ExtendOutcome, Fingerprint, IdempotencyKey, Lease, LeaseOutcome, Lifetimes,
    Scope, StoredAnswer,
};
use crate::error::{StoreError, StoreErrorKind};
use crate::time::{Clock, Timestamp};
use crate::token::FencingToken;

/// A store of idempotency records in memory.
#[derive(Debug)]
pub struct MemoryIdempotencyStore {
    clock: Arc<dyn Clock>,
    state: Mutex<IdempotencyState>,
}

impl MemoryIdempotencyStore {
    /// An empty store of at most `capacity` records.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, lifetimes: Lifetimes, capacity: usize) -> Self {
        Self {
            clock,
            state: Mutex::new(IdempotencyState::new(lifetimes, capacity)),
        }
    }

    /// The state itself, for a step across rooms; take locks in the order idempotency, builds,
    /// credits, log.
    pub fn lock(&self) -> MutexGuard<'_, IdempotencyState> {
        // No step leaves the state half written: every write follows its last check.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Name = (Scope, IdempotencyKey);

/// What a [`MemoryIdempotencyStore`] holds. Every method is one step of [`IdempotencyStore`] at an
/// instant the caller names.
#[derive(Debug)]
pub struct IdempotencyState {
    lifetimes: Lifetimes,
    capacity: usize,
    last_token: FencingToken,
    records: HashMap<Name, Record>,
    /// A token is one lease's alone, so end and token name one record.
    ends: BTreeMap<(Timestamp, FencingToken), Name>,
}

impl IdempotencyState {
    /// How many records past their life a beginning removes at most to make room.
    const REAPED_FOR_ROOM: u32 = 64;

    fn new(lifetimes: Lifetimes, capacity: usize) -> Self {
        Self {
            lifetimes,
            capacity,
            last_token: FencingToken::ZERO,
            records: HashMap::new(),
            ends: BTreeMap::new(),
        }
    }

    /// How many records there are, those past their life and not reaped among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What a beginning would find; `None` when it would start ([`IdempotencyStore::look`]).
    #[must_use]
    pub fn look(
        &self,
        now: Timestamp,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Option<BeginOutcome> {
        let record = self.records.get(&(scope.clone(), key.clone()));
        decide_look(record, fingerprint, now)
    }

    /// Whether a key that a look found free could be written.
    ///
    /// # Errors
    /// When the store is full of records within their life.
    pub fn check_room(&self, now: Timestamp) -> Result<(), StoreError> {
        // A key whose lease can be taken over is past its end, so it counts as reapable itself.
        let reapable = || self.ends.keys().next().is_some_and(|(end, _)| *end <= now);
        if self.records.len() < self.capacity || reapable() {
            Ok(())
        } else {
            Err(StoreError::new(StoreErrorKind::Full))
        }
    }

    /// Takes the lease of a key ([`IdempotencyStore::begin`]).
    ///
    /// # Errors
    /// When the store is full of records within their life.
    pub fn begin(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<BeginOutcome, StoreError> {
        let name = (scope.clone(), key.clone());
        let fresh = self.last_token.next();
        let record = self.records.get(&name);
        match decide_begin(record, fingerprint, fresh, now, &self.lifetimes) {
            BeginDecision::Refuse(outcome) => Ok(outcome),
            BeginDecision::Take(record) => {
                self.make_room(now)?;
                self.last_token = fresh;
                let lease = Lease::new(scope.clone(), key.clone(), fresh, record.ends_at());
                self.put(name, record);
                Ok(BeginOutcome::Started(lease))
            }
        }
    }

    /// Stores the answer of a call that was done under this very lock, without a lease in between:
    /// for a step across rooms, which looked first.
    ///
    /// # Errors
    /// When the store is full of records within their life; `Rejected` when the key is not free.
    pub fn record(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
        answer: StoredAnswer,
    ) -> Result<(), StoreError> {
        if self.look(now, scope, key, fingerprint).is_some() {
            return Err(StoreError::with_source(
                StoreErrorKind::Rejected,
                "the key is not free",
            ));
        }
        self.make_room(now)?;
        self.last_token = self.last_token.next();
        let forget_at = now.plus(self.lifetimes.record);
        let progress = Progress::Done { answer, forget_at };
        let record = Record::new(fingerprint, self.last_token, progress);
        self.put((scope.clone(), key.clone()), record);
        Ok(())
    }

    fn make_room(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.check_room(now)?;
        if self.records.len() >= self.capacity {
            self.reap(now, Self::REAPED_FOR_ROOM);
        }
        Ok(())
    }

    /// Keeps a lease alive ([`IdempotencyStore::extend`]).
    pub fn extend(&mut self, now: Timestamp, lease: &Lease) -> ExtendOutcome {
        let name = (lease.scope.clone(), lease.key.clone());
        let record = self.records.get(&name);
        match decide_extend(record, lease.token, now, &self.lifetimes) {
            None => ExtendOutcome::Lost,
            Some(record) => {
                let expires_at = record.ends_at();
                self.put(name, record);
                ExtendOutcome::Extended(Lease {
                    expires_at,
                    ..lease.clone()
                })
            }
        }
    }

    /// Stores the answer of a call ([`IdempotencyStore::complete`]).
    pub fn complete(
        &mut self,
        now: Timestamp,
        lease: &Lease,
        answer: StoredAnswer,
    ) -> LeaseOutcome {
        let name = (lease.scope.clone(), lease.key.clone());
        let record = self.records.get(&name);
        match decide_complete(record, lease.token, answer, now, &self.lifetimes) {
            CompleteDecision::Lost => LeaseOutcome::Lost,
            CompleteDecision::Repeat => LeaseOutcome::Done,
            CompleteDecision::Keep(record) => {
                self.put(name, record);
                LeaseOutcome::Done
            }
        }
    }

    /// Frees the key of a call that changed nothing ([`IdempotencyStore::abandon`]).
    pub fn abandon(&mut self, lease: &Lease) -> LeaseOutcome {
        let name = (lease.scope.clone(), lease.key.clone());
        if !decide_abandon(self.records.get(&name), lease.token) {
            return LeaseOutcome::Lost;
        }
        self.remove(&name);
        LeaseOutcome::Done
    }

    /// Removes at most `limit` records past their life, the oldest end first
    /// ([`IdempotencyStore::reap`]).
    pub fn reap(&mut self, now: Timestamp, limit: u32) -> u32 {
        let mut reaped = 0;
        while reaped < limit {
            match self.ends.first_entry() {
                Some(first) if first.key().0 <= now => {
                    let name = first.remove();
                    self.records.remove(&name);
                    reaped += 1;
                }
                _ => break,
            }
        }
        reaped
    }

    fn put(&mut self, name: Name, record: Record) {
        let end = (record.ends_at(), record.token);
        if let Some(before) = self.records.insert(name.clone(), record) {
            self.ends.remove(&(before.ends_at(), before.token));
        }
        self.ends.insert(end, name);
    }

    fn remove(&mut self, name: &Name) {
        if let Some(before) = self.records.remove(name) {
            self.ends.remove(&(before.ends_at(), before.token));
        }
    }
}

#[async_trait]
impl IdempotencyStore for MemoryIdempotencyStore {
    async fn begin(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<BeginOutcome, StoreError> {
        let mut state = self.lock();
        state.begin(self.clock.now(), scope, key, fingerprint)
    }

    async fn extend(&self, lease: &Lease) -> Result<ExtendOutcome, StoreError> {
        let mut state = self.lock();
        Ok(state.extend(self.clock.now(), lease))
    }

    async fn complete(
        &self,
        lease: &Lease,
        answer: StoredAnswer,
    ) -> Result<LeaseOutcome, StoreError> {
        let mut state = self.lock();
        Ok(state.complete(self.clock.now(), lease, answer))
    }

    async fn abandon(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        Ok(self.lock().abandon(lease))
    }

    async fn look(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<Option<BeginOutcome>, StoreError> {
        let state = self.lock();
        Ok(state.look(self.clock.now(), scope, key, fingerprint))
    }

    async fn reap(&self, limit: u32) -> Result<u32, StoreError> {
        let mut state = self.lock();
        Ok(state.reap(self.clock.now(), limit))
    }
}
