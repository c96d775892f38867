//! Where samples are kept.

use std::fmt::Debug;

use async_trait::async_trait;
use sheen_core::error::StoreError;

use super::samples::Sample;
use super::{OperationType, ProjectSize};

/// What came of recording a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordOutcome {
    /// It was recorded before. The first one stands.
    AlreadyRecorded,
    /// It counts from now on.
    Recorded,
}

/// Samples by operation and size.
///
/// 1. **C1** A sample is recorded once by its id, however often and by however many at once; of
///    one with other figures the first stands.
/// 2. **C2** Samples come newest first, at most as many as asked for, and no others than of that
///    operation and size.
/// 3. **C3** Of each operation and size the newest
///    [`EstimateSettings::WINDOW`](super::EstimateSettings::WINDOW) are kept at least; what is
///    older is forgotten, so that a class stays bounded.
#[async_trait]
pub trait SampleStore: Debug + Send + Sync + 'static {
    /// Records a sample (C1, C3).
    ///
    /// # Errors
    /// When the store fails; repeat it with the same id.
    async fn record(&self, sample: Sample) -> Result<RecordOutcome, StoreError>;

    /// The newest samples (C2).
    ///
    /// # Errors
    /// When the store fails.
    async fn newest(
        &self,
        operation: OperationType,
        size: ProjectSize,
        limit: usize,
    ) -> Result<Vec<Sample>, StoreError>;
}
