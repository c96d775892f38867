//! A store of one's own: builds and idempotency records in one [redb] file, as a crate outside the
//! family would write it.
//!
//! 1. A step is one transaction: load what sheen-core's `decide_…` functions want to see, let them
//!    decide, write what they say. No rule is written a second time.
//! 2. Time is read inside the transaction, after its lock: redb lets one write at a time.
//! 3. What a step may look for has a table of its own, so that no step reads a whole one.
//! 4. redb blocks, so a step runs on tokio's threads for that.
//!
//! `tests/conformance.rs` runs sheen-core's suites over it: that is the definition of done.

mod builds;
mod keys;
mod rows;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableTable as _, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sheen_core::build::Deadlines;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::idempotency::Lifetimes;
use sheen_core::time::{Clock, Timestamp};

/// What was counted so far: admissions and tokens.
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");

/// Builds and idempotency records in one file. They are as many as the disk holds; records of keys
/// go when they are reaped.
#[derive(Clone)]
pub struct RedbStore {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    deadlines: Deadlines,
    lifetimes: Lifetimes,
}

impl RedbStore {
    /// Opens the store in the file at `path`, or makes it.
    ///
    /// # Errors
    /// When the file cannot be opened, or is none of redb's.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let database = Database::create(path).map_err(unavailable)?;
        Ok(Self::over(database, clock))
    }

    /// A store that is gone with the value.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new());
        Ok(Self::over(database.map_err(unavailable)?, clock))
    }

    fn over(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self {
            database: Arc::new(database),
            clock,
            deadlines: Deadlines::default(),
            lifetimes: Lifetimes::default(),
        }
    }

    /// Runs one step: all of it happens, or nothing when it gives an error.
    async fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Step<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let running = tokio::task::spawn_blocking(move || {
            let transaction = store.database.begin_write().map_err(unavailable)?;
            let done = step(&Step {
                now: store.clock.now(),
                transaction: &transaction,
                deadlines: store.deadlines,
                lifetimes: store.lifetimes,
            })?;
            // It may be on the disk or not.
            let unknown = |error| StoreError::with_source(StoreErrorKind::OutcomeUnknown, error);
            transaction.commit().map_err(unknown)?;
            Ok(done)
        });
        let unknown = |error| StoreError::with_source(StoreErrorKind::OutcomeUnknown, error);
        running.await.map_err(unknown)?
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore")
            .field("deadlines", &self.deadlines)
            .field("lifetimes", &self.lifetimes)
            .finish_non_exhaustive()
    }
}

/// A transaction, at an instant after it has its lock.
struct Step<'t> {
    transaction: &'t WriteTransaction,
    now: Timestamp,
    deadlines: Deadlines,
    lifetimes: Lifetimes,
}

impl Step<'_> {
    /// The next number of `counter`, from 1; given once.
    fn count(&self, counter: &str) -> Result<u64, StoreError> {
        let mut counters = self.transaction.open_table(COUNTERS).map_err(unavailable)?;
        let last = counters.get(counter).map_err(unavailable)?;
        let next = last.map(|last| last.value()).unwrap_or_default() + 1;
        counters.insert(counter, next).map_err(unavailable)?;
        Ok(next)
    }
}

/// Nothing was done: the transaction is not committed.
fn unavailable(error: impl Into<redb::Error>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, error.into())
}

fn corrupt(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, error)
}

fn written(row: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let refused = |error| StoreError::with_source(StoreErrorKind::Rejected, error);
    serde_json::to_vec(row).map_err(refused)
}

fn read<T: DeserializeOwned>(row: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(row).map_err(corrupt)
}
