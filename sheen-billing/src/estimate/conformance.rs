//! The suite that every store of samples must pass: [`sample_store_conformance!`].
//!
//! [`sample_store_conformance!`]: crate::sample_store_conformance
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a suite fails by panicking"
)]

use std::sync::Arc;

use sheen_core::id::OperationId;
use sheen_core::seconds::Seconds;
use tokio::task::JoinSet;

use super::{EstimateSettings, OperationType, ProjectSize, RecordOutcome, Sample, SampleStore};

type Store = Arc<dyn SampleStore>;

fn sample(name: &str, size: ProjectSize, used: u32) -> Sample {
    let id = OperationId::parse(name).unwrap();
    let [estimated, used] = [60, used].map(Seconds::from_u32);
    Sample::new(id, OperationType::Update, size, estimated, used)
}

async fn used(store: &Store, size: ProjectSize, limit: usize) -> Vec<u64> {
    let found = store.newest(OperationType::Update, size, limit).await;
    let found = found.unwrap().into_iter();
    found.map(|sample| sample.used.get()).collect()
}

/// C1.
pub async fn c01_a_sample_counts_once(new: impl AsyncFn() -> Store) {
    let store = new().await;
    let mut set = JoinSet::new();
    for n in 0..16 {
        let store = Arc::clone(&store);
        set.spawn(async move {
            store
                .record(sample("s", ProjectSize::Small, n))
                .await
                .unwrap()
        });
    }
    let told = set.join_all().await;
    let first = told.iter().filter(|it| **it == RecordOutcome::Recorded);
    assert_eq!(first.count(), 1);
    let other = Sample {
        operation: OperationType::MainBuild,
        ..sample("s", ProjectSize::Large, 5)
    };
    assert_eq!(
        store.record(other).await.unwrap(),
        RecordOutcome::AlreadyRecorded
    );
    assert_eq!(used(&store, ProjectSize::Small, 10).await.len(), 1);
    let elsewhere = store
        .newest(OperationType::MainBuild, ProjectSize::Large, 10)
        .await;
    assert_eq!(elsewhere.unwrap(), []);
}

/// C2.
pub async fn c02_the_newest_of_a_class_come_first(new: impl AsyncFn() -> Store) {
    let store = new().await;
    let mut wanted = Vec::new();
    for n in 0..6 {
        let size = ProjectSize::ALL[n as usize % 2];
        let made = sample(&format!("s{n}"), size, n * 10);
        store.record(made.clone()).await.unwrap();
        wanted.push(made);
    }
    assert_eq!(used(&store, ProjectSize::Small, 10).await, [40, 20, 0]);
    assert_eq!(used(&store, ProjectSize::Medium, 2).await, [50, 30]);
    assert_eq!(used(&store, ProjectSize::Large, 2).await, [0u64; 0]);
    assert_eq!(used(&store, ProjectSize::Small, 0).await, [0u64; 0]);
    let whole = store
        .newest(OperationType::Update, ProjectSize::Medium, 1)
        .await;
    assert_eq!(whole.unwrap(), [wanted.pop().unwrap()]);
}

/// C3.
pub async fn c03_a_class_is_bounded(new: impl AsyncFn() -> Store) {
    let store = new().await;
    let count = u32::try_from(EstimateSettings::WINDOW).unwrap() + 40;
    for n in 0..count {
        let made = sample(&format!("s{n}"), ProjectSize::Small, n);
        assert_eq!(store.record(made).await.unwrap(), RecordOutcome::Recorded);
    }
    let kept = used(&store, ProjectSize::Small, usize::MAX).await;
    let newest: Vec<u64> = (0..count).rev().map(u64::from).take(200).collect();
    assert_eq!(kept, newest);
}

/// One `#[tokio::test]` per clause of [`SampleStore`](crate::estimate::SampleStore), over the
/// store that an `async fn() -> Arc<dyn SampleStore>` makes.
#[macro_export]
macro_rules! sample_store_conformance {
    ($new:expr) => {
        $crate::sample_store_conformance! { @each $new;
            c01_a_sample_counts_once
            c02_the_newest_of_a_class_come_first
            c03_a_class_is_bounded
        }
    };
    (@each $new:expr; $($case:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::estimate::conformance::$case($new).await;
        }
    )*};
}
