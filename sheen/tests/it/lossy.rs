//! A log that fails while a builder writes to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sheen::builder::{BuildError, Builder, Built, Job, Progress};
use sheen::worker::Worker;
use sheen_core::build::Status;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::BuildId;
use sheen_core::runtime::{Sleep as _, TokioRuntime};
use sheen_core::seconds::Seconds;
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, AppendOutcome, EventLog, EventType, NewStream, Page, StreamHead};

use crate::faults::{ended, patient, rooms, run, start, user};

/// A log whose first answers to a builder are lost, after or before the events were appended.
#[derive(Debug)]
struct Lossy {
    inner: Arc<dyn EventLog>,
    losses: AtomicU32,
}

#[async_trait]
impl EventLog for Lossy {
    async fn open(&self, stream: NewStream) -> Result<StreamHead, StoreError> {
        self.inner.open(stream).await
    }

    async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError> {
        let minus_one = |n: u32| n.checked_sub(1);
        let left = self
            .losses
            .try_update(Ordering::SeqCst, Ordering::SeqCst, minus_one);
        match left {
            Ok(left) if left % 2 == 0 => Err(StoreError::new(StoreErrorKind::Unavailable)),
            Ok(_) => {
                self.inner.append(append).await?;
                Err(StoreError::new(StoreErrorKind::OutcomeUnknown))
            }
            Err(_) => self.inner.append(append).await,
        }
    }

    async fn raise(&self, build: &BuildId, token: FencingToken) -> Result<bool, StoreError> {
        self.inner.raise(build, token).await
    }

    async fn close(&self, build: &BuildId) -> Result<bool, StoreError> {
        self.inner.close(build).await
    }

    async fn read(&self, id: &BuildId, after: u64, limit: u32) -> Result<Option<Page>, StoreError> {
        self.inner.read(id, after, limit).await
    }
}

/// Logs two lines that are the same, and is done.
#[derive(Debug)]
struct Logging;

#[async_trait]
impl Builder for Logging {
    async fn build(&self, _: &Job, progress: &Progress) -> Result<Built, BuildError> {
        progress.log("a line").await?;
        progress.clone().log("a line").await?;
        Ok(Built::new("https://preview.test/", Seconds::from_u32(1)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_fails_for_a_moment_costs_no_build_and_doubles_no_line() {
    for (losses, status, lines) in [(5, Status::Deployed, 2), (1000, Status::Failed, 1)] {
        let rooms = rooms();
        let mut parts = rooms.parts(Vec::new());
        parts.log = Arc::new(Lossy {
            inner: rooms.log.clone(),
            losses: AtomicU32::new(losses),
        });
        let worker = Arc::new(Worker::new(parts));
        let runner = run(&rooms, &worker, &Arc::new(Logging), patient());
        let id = start(&worker, "good").await;
        while runner.running() > 0
            || worker
                .build(&user(), &id)
                .await
                .unwrap()
                .unwrap()
                .build
                .status
                .is_active()
        {
            TokioRuntime.sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(ended(&worker, &id).await.status, status);
        let page = rooms.log.read(&id, 0, 100).await.unwrap().unwrap();
        let logged = page
            .events
            .iter()
            .filter(|event| event.kind == EventType::BUILD_LOG);
        assert_eq!(logged.count(), lines);
        assert!(runner.shutdown().await);
    }
}
