//! Samples in PostgreSQL: one statement a step.

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::OperationId;
use sheen_core::postgres::{row, rows, step_error};
use sheen_core::seconds::Seconds;
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};

use super::samples::{EstimateSettings, Sample};
use super::store::{RecordOutcome, SampleStore};
use super::{OperationType, ProjectSize};

/// Samples in PostgreSQL, over the caller's pool. The database must have been
/// [migrated](crate::postgres::migrate).
#[derive(Debug)]
pub struct PgSampleStore {
    pool: PgPool,
}

impl PgSampleStore {
    /// The samples in the database behind `pool`.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

#[async_trait]
impl SampleStore for PgSampleStore {
    async fn record(&self, sample: Sample) -> Result<RecordOutcome, StoreError> {
        let window = i32::try_from(EstimateSettings::WINDOW).unwrap_or(i32::MAX);
        let told = row(&self.pool, || {
            sqlx::query(include_str!("sql/record.sql"))
                .bind(sample.id.as_str().to_owned())
                .bind(sample.operation.as_str())
                .bind(sample.size.as_str())
                .bind(sample.estimated.as_i64())
                .bind(sample.used.as_i64())
                .bind(window)
        })
        .await?;
        let told = told.ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt))?;
        let recorded: bool = told.try_get("recorded").map_err(step_error)?;
        Ok(if recorded {
            RecordOutcome::Recorded
        } else {
            RecordOutcome::AlreadyRecorded
        })
    }

    async fn newest(
        &self,
        operation: OperationType,
        size: ProjectSize,
        limit: usize,
    ) -> Result<Vec<Sample>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/newest.sql"))
                .bind(operation.as_str())
                .bind(size.as_str())
                .bind(limit)
        })
        .await?;
        let samples = found.iter();
        samples.map(|row| sample_of(row, operation, size)).collect()
    }
}

fn sample_of(
    row: &PgRow,
    operation: OperationType,
    size: ProjectSize,
) -> Result<Sample, StoreError> {
    let id: String = row.try_get("sample_id").map_err(step_error)?;
    let id = OperationId::parse(&id).map_err(corrupt)?;
    let seconds = |column: &str| -> Result<Seconds, StoreError> {
        let seconds: i64 = row.try_get(column).map_err(step_error)?;
        let seconds = u64::try_from(seconds).map_err(corrupt)?;
        Seconds::new(seconds).map_err(corrupt)
    };
    let (estimated, used) = (seconds("estimated")?, seconds("used")?);
    Ok(Sample::new(id, operation, size, estimated, used))
}

fn corrupt(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, error)
}
