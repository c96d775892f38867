//! Samples in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sheen_core::error::StoreError;

use super::samples::{EstimateSettings, Sample};
use super::store::{RecordOutcome, SampleStore};
use super::{OperationType, ProjectSize};

/// The newest samples of each operation and size, for one process: nothing outlives it.
#[derive(Debug, Default)]
pub struct MemorySampleStore {
    /// Newest first.
    classes: Mutex<BTreeMap<(OperationType, ProjectSize), VecDeque<Sample>>>,
}

impl MemorySampleStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(OperationType, ProjectSize), VecDeque<Sample>>> {
        // No change is begun that could stop midway.
        self.classes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SampleStore for MemorySampleStore {
    async fn record(&self, sample: Sample) -> Result<RecordOutcome, StoreError> {
        let mut classes = self.lock();
        let known = classes.values().flatten().any(|kept| kept.id == sample.id);
        if known {
            return Ok(RecordOutcome::AlreadyRecorded);
        }
        let class = classes.entry((sample.operation, sample.size)).or_default();
        class.push_front(sample);
        class.truncate(EstimateSettings::WINDOW);
        Ok(RecordOutcome::Recorded)
    }

    async fn newest(
        &self,
        operation: OperationType,
        size: ProjectSize,
        limit: usize,
    ) -> Result<Vec<Sample>, StoreError> {
        let classes = self.lock();
        let class = classes.get(&(operation, size)).into_iter().flatten();
        Ok(class.take(limit).cloned().collect())
    }
}
