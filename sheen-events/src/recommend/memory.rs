//! Recommendations in this process's memory, bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildSessionId, ProjectId, UserId};
use sheen_core::time::{Clock, Timestamp};
use sheen_core::token::FencingToken;

use super::decide::{
    Decision, QueueView, after_end, after_step, decide_claim, decide_request, decide_settle,
    may_forget, next_step, overdue,
};
use super::store::{RecommendQueue, RecommendStore};
use super::types::{
    ClaimOutcome, Due, Items, Key, NewRequest, Phase, QueueLimits, Record, RequestOutcome,
    SettleOutcome, Step,
};

/// Records in memory: what it holds is gone with the process. When it is full it refuses with
/// [`StoreErrorKind::Full`]; [`forget`](RecommendQueue::forget) makes room. Steps of the queue
/// read all of it.
#[derive(Debug)]
pub struct MemoryRecommendStore {
    clock: Arc<dyn Clock>,
    limits: QueueLimits,
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Numbered in order of request.
    records: BTreeMap<Key, (u64, Record)>,
    requests: u64,
}

impl MemoryRecommendStore {
    /// An empty store of at most `capacity` records, each about 64 KiB at the most.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, limits: QueueLimits, capacity: usize) -> Self {
        Self {
            clock,
            limits,
            capacity,
            state: Mutex::default(),
        }
    }

    /// The state, and the time once it is locked.
    fn lock(&self) -> (MutexGuard<'_, State>, Timestamp) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state, self.clock.now())
    }
}

impl State {
    fn get(&self, key: &Key) -> Option<&Record> {
        self.records.get(key).map(|(_, record)| record)
    }

    /// Writes a record; its place in the order of requests stays.
    fn put(&mut self, record: Record) {
        let key = record.key();
        let place = self.records.get(&key).map_or(0, |(place, _)| *place);
        self.records.insert(key, (place, record));
    }

    fn in_order(&self) -> Vec<&Record> {
        let mut all: Vec<_> = self.records.values().collect();
        all.sort_unstable_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, record)| record).collect()
    }

    fn count(&self, phase: &Phase) -> u32 {
        let records = self.records.values();
        let count = records.filter(|(_, record)| record.phase == *phase).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

#[async_trait]
impl RecommendStore for MemoryRecommendStore {
    async fn request(&self, new: NewRequest) -> Result<RequestOutcome, StoreError> {
        let (mut state, now) = self.lock();
        let key = Key::new(new.project.clone(), new.session.clone());
        let (known, waiting) = (state.get(&key), state.count(&Phase::Queued));
        let record = match decide_request(known, waiting, now, new, &self.limits) {
            Decision::Refuse(outcome) => return Ok(outcome),
            Decision::Put(record) => record,
        };
        if known.is_none() && state.records.len() >= self.capacity {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        state.requests += 1;
        let place = state.requests;
        state.records.insert(key, (place, record.clone()));
        Ok(RequestOutcome::Taken(record))
    }

    async fn read(
        &self,
        user: &UserId,
        project: &ProjectId,
        session: Option<&BuildSessionId>,
    ) -> Result<Option<Record>, StoreError> {
        let (state, _) = self.lock();
        let found = match session {
            Some(session) => state.get(&Key::new(project.clone(), session.clone())),
            None => state.in_order().into_iter().rev().find(|record| {
                let request = &record.request;
                request.project == *project && request.user == *user
            }),
        };
        Ok(found.filter(|it| it.request.user == *user).cloned())
    }

    async fn build_ended(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let (mut state, now) = self.lock();
        let Some(record) = state.get(key) else {
            return Ok(None);
        };
        if let Some(after) = after_end(record, now) {
            state.put(after);
        }
        Ok(state.get(key).cloned())
    }
}

#[async_trait]
impl RecommendQueue for MemoryRecommendStore {
    async fn claim(&self) -> Result<ClaimOutcome, StoreError> {
        let (mut state, now) = self.lock();
        let records = state.in_order();
        let oldest = records.iter().find(|it| it.phase == Phase::Queued);
        let view = QueueView {
            running: state.count(&Phase::Running),
            starts: records.iter().filter_map(|it| it.started_at).collect(),
            oldest: oldest.map(|it| (*it).clone()),
        };
        match decide_claim(view, now, &self.limits) {
            Decision::Refuse(outcome) => Ok(outcome),
            Decision::Put(record) => {
                state.put(record.clone());
                Ok(ClaimOutcome::Claimed(record))
            }
        }
    }

    async fn settle(
        &self,
        key: &Key,
        attempt: FencingToken,
        result: Result<Items, Arc<str>>,
    ) -> Result<SettleOutcome, StoreError> {
        let (mut state, _) = self.lock();
        match decide_settle(state.get(key), attempt, result) {
            Decision::Refuse(outcome) => Ok(outcome),
            Decision::Put(record) => {
                state.put(record.clone());
                Ok(SettleOutcome::Settled(record))
            }
        }
    }

    async fn due(&self, limit: u32) -> Result<Vec<Due>, StoreError> {
        let (mut state, now) = self.lock();
        let records = state.in_order().into_iter();
        let late: Vec<_> = records
            .filter_map(|it| overdue(it, now, &self.limits))
            .collect();
        late.into_iter().for_each(|failed| state.put(failed));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let due = state.in_order().into_iter().filter_map(|record| {
            let step = next_step(record, now, &self.limits)?;
            Some(Due::new(record.clone(), step))
        });
        Ok(due.take(limit).collect())
    }

    async fn done(&self, key: &Key, attempt: FencingToken, step: Step) -> Result<(), StoreError> {
        let (mut state, _) = self.lock();
        let record = state.get(key).filter(|it| it.attempt == attempt);
        if let Some(after) = record.map(|it| after_step(it, step)) {
            state.put(after);
        }
        Ok(())
    }

    async fn forget(&self, limit: u32) -> Result<u32, StoreError> {
        let (mut state, now) = self.lock();
        let records = state.in_order().into_iter();
        let old = records.filter(|it| may_forget(it, now, &self.limits));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let keys: Vec<Key> = old.take(limit).map(Record::key).collect();
        for key in &keys {
            state.records.remove(key);
        }
        Ok(u32::try_from(keys.len()).unwrap_or(u32::MAX))
    }
}
