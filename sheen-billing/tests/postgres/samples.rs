//! The samples of estimates.

use std::sync::Arc;

use async_trait::async_trait;
use sheen_billing::estimate::{
    OperationType, PgSampleStore, ProjectSize, RecordOutcome, Sample, SampleStore,
};
use sheen_billing::postgres::migrate;
use sheen_core::error::StoreError;
use testkit::TestDatabase;

/// A store that keeps its database alive.
#[derive(Debug)]
struct OwnDatabase {
    store: PgSampleStore,
    _database: TestDatabase,
}

#[async_trait]
impl SampleStore for OwnDatabase {
    async fn record(&self, sample: Sample) -> Result<RecordOutcome, StoreError> {
        self.store.record(sample).await
    }

    async fn newest(
        &self,
        operation: OperationType,
        size: ProjectSize,
        limit: usize,
    ) -> Result<Vec<Sample>, StoreError> {
        self.store.newest(operation, size, limit).await
    }
}

async fn store() -> Arc<dyn SampleStore> {
    let database = testkit::postgres().await;
    let pool = database.pool(8).await;
    migrate(&pool).await.unwrap();
    Arc::new(OwnDatabase {
        store: PgSampleStore::new(pool),
        _database: database,
    })
}

sheen_billing::sample_store_conformance!(store);
