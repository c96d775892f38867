//! Retention of a log in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::time::{Clock, Day};

use super::decide::first_kept;
use super::store::RetentionStore;
use super::types::{DailyCount, DayCount, Removal, Survey};
use crate::log::{Event, EventType, MemoryEventLog, Visibility};

/// Day, type, and whether users saw it.
type Key = (Day, EventType, bool);

/// Counts and removes events of a [`MemoryEventLog`]. Once it keeps
/// [`MAX_COUNTS`](Self::MAX_COUNTS) counts it refuses with `Full`, and removes and forgets nothing.
#[derive(Debug)]
pub struct MemoryRetention {
    log: Arc<MemoryEventLog>,
    clock: Arc<dyn Clock>,
    counts: Mutex<BTreeMap<Key, u64>>,
}

impl MemoryRetention {
    /// The most counts kept: 100,000, which is 10 types a day for 27 years.
    pub const MAX_COUNTS: usize = 100_000;

    /// Retention of `log`, whose clock is `clock`.
    #[must_use]
    pub const fn new(log: Arc<MemoryEventLog>, clock: Arc<dyn Clock>) -> Self {
        Self {
            log,
            clock,
            counts: Mutex::new(BTreeMap::new()),
        }
    }

    /// Fills the counts with some of days that never were.
    #[cfg(test)]
    pub(super) fn fill_up(&self) {
        let days = (0..Self::MAX_COUNTS as u64).map(|n| {
            let day = Day::from_number(-1 - i64::try_from(n).unwrap_or(0));
            ((day, EventType::BUILD_LOG, true), 1)
        });
        self.counts().extend(days);
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<Key, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of(event: &Event) -> Key {
    let is_visible = event.visibility == Visibility::User;
    (event.created_at.day(), event.kind.clone(), is_visible)
}

#[async_trait]
impl RetentionStore for MemoryRetention {
    async fn survey(&self) -> Result<Survey, StoreError> {
        let log = self.log.lock();
        let days = log.days().into_iter();
        let days = days.map(|(day, events)| DayCount::new(day, events));
        Ok(Survey::new(self.clock.now(), days.collect()))
    }

    async fn remove(&self, last: Day, age: Duration, limit: u32) -> Result<Removal, StoreError> {
        // Under both locks, the log's first, so that nobody sees the one without the other.
        let mut log = self.log.lock();
        let mut counts = self.counts();
        if last >= first_kept(self.clock.now(), age) {
            return Ok(Removal::TooYoung);
        }
        if counts.len() >= Self::MAX_COUNTS {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        let gone = log.remove_before(last.end(), limit);
        for event in &gone {
            *counts.entry(key_of(event)).or_default() += 1;
        }
        Ok(Removal::Removed(gone.len() as u64))
    }

    async fn counts(&self, first: Day, last: Day) -> Result<Vec<DailyCount>, StoreError> {
        let counts = self.counts();
        let wanted = counts
            .iter()
            .filter(|((day, _, _), _)| (first..=last).contains(day));
        let counts = wanted.map(|((day, kind, is_visible), events)| {
            let visibility = if *is_visible {
                Visibility::User
            } else {
                Visibility::Operator
            };
            DailyCount::new(*day, kind.clone(), visibility, *events)
        });
        Ok(counts.collect())
    }
}
