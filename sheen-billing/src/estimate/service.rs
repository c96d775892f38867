//! Estimates from what was measured.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sheen_core::error::StoreError;
use sheen_core::time::Clock;

use super::samples::{Calibration, EstimateSettings, Sample, from_samples};
use super::store::{RecordOutcome, SampleStore};
use super::{Estimate, OperationType, ProjectSize};

type Class = (OperationType, ProjectSize);

/// Samples as they were read, and when; `None` where newer ones are known to be there.
type Read = BTreeMap<Class, (Option<Duration>, Arc<[Sample]>)>;

/// Makes estimates of the samples in a store. What it read it relies on for
/// [`EstimateSettings::fresh_for`], and for longer where the store fails; so an estimate usually
/// asks nobody.
///
/// ```
/// use std::sync::Arc;
/// use sheen_billing::estimate::{
///     EstimateSettings, Estimator, MemorySampleStore, OperationType, ProjectSize, Sample,
/// };
/// use sheen_core::{id::OperationId, seconds::Seconds, time::SystemClock};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemorySampleStore::new());
/// let estimator = Estimator::new(store, Arc::new(SystemClock::new()), EstimateSettings::default());
/// let (update, small) = (OperationType::Update, ProjectSize::Small);
/// assert_eq!(estimator.estimate(update, small).await?.estimated_seconds.get(), 60);
///
/// for (n, used) in [31, 44, 25, 38, 40].into_iter().enumerate() {
///     let id = OperationId::parse(&format!("build-{n}"))?;
///     let [estimated, used] = [60, used].map(Seconds::from_u32);
///     estimator.record(Sample::new(id, update, small, estimated, used)).await?;
/// }
/// let told = estimator.estimate(update, small).await?;
/// assert_eq!((told.estimated_seconds.get(), told.based_on_samples), (44, 5));
/// let calibration = estimator.calibration(update, small).await?;
/// assert_eq!((calibration.covered, calibration.overshoot.get()), (5, 122));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Estimator {
    store: Arc<dyn SampleStore>,
    clock: Arc<dyn Clock>,
    settings: EstimateSettings,
    read: Mutex<Read>,
}

impl Estimator {
    /// An estimator over `store`. The clock is for time that passes only.
    #[must_use]
    pub fn new(
        store: Arc<dyn SampleStore>,
        clock: Arc<dyn Clock>,
        settings: EstimateSettings,
    ) -> Self {
        Self {
            store,
            clock,
            settings,
            read: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn samples(&self, class: Class) -> Result<Arc<[Sample]>, StoreError> {
        let now = self.clock.monotonic();
        let known = self.lock().get(&class).cloned();
        if let Some((Some(at), samples)) = &known
            && now.saturating_sub(*at) < self.settings.fresh_for
        {
            return Ok(Arc::clone(samples));
        }
        let window = EstimateSettings::WINDOW;
        match (self.store.newest(class.0, class.1, window).await, known) {
            (Ok(samples), _) => {
                let samples: Arc<[Sample]> = samples.into();
                self.lock().insert(class, (Some(now), Arc::clone(&samples)));
                Ok(samples)
            }
            // What an operation takes changes slowly; what it took is better than nothing.
            (Err(_), Some((_, samples))) => Ok(samples),
            (Err(error), None) => Err(error),
        }
    }

    /// What `operation` on a project of `size` takes.
    ///
    /// # Errors
    /// When the store fails and never answered before.
    pub async fn estimate(
        &self,
        operation: OperationType,
        size: ProjectSize,
    ) -> Result<Estimate, StoreError> {
        let samples = self.samples((operation, size)).await?;
        Ok(from_samples(operation, size, &samples, &self.settings))
    }

    /// Records what an operation used. Its next estimate counts it.
    ///
    /// # Errors
    /// When the store fails; repeat it with the same id.
    pub async fn record(&self, sample: Sample) -> Result<RecordOutcome, StoreError> {
        let class = (sample.operation, sample.size);
        let outcome = self.store.record(sample).await?;
        if let Some((at, _)) = self.lock().get_mut(&class) {
            // Read anew, but kept for a store that fails.
            *at = None;
        }
        Ok(outcome)
    }

    /// How good the estimates of `operation` on projects of `size` were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn calibration(
        &self,
        operation: OperationType,
        size: ProjectSize,
    ) -> Result<Calibration, StoreError> {
        let window = EstimateSettings::WINDOW;
        let samples = self.store.newest(operation, size, window).await?;
        Ok(Calibration::of(&samples, self.settings.cap))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    use async_trait::async_trait;
    use sheen_core::error::StoreErrorKind;
    use sheen_core::id::OperationId;
    use sheen_core::seconds::Seconds;
    use sheen_core::time::{ManualClock, Timestamp};

    use super::super::MemorySampleStore;
    use super::*;

    const CLASS: Class = (OperationType::Update, ProjectSize::Medium);

    #[derive(Debug, Default)]
    struct Counted {
        inner: MemorySampleStore,
        reads: AtomicUsize,
        down: AtomicBool,
    }

    #[async_trait]
    impl SampleStore for Counted {
        async fn record(&self, sample: Sample) -> Result<RecordOutcome, StoreError> {
            self.inner.record(sample).await
        }

        async fn newest(
            &self,
            operation: OperationType,
            size: ProjectSize,
            limit: usize,
        ) -> Result<Vec<Sample>, StoreError> {
            self.reads.fetch_add(1, SeqCst);
            if self.down.load(SeqCst) {
                return Err(StoreError::new(StoreErrorKind::Unavailable));
            }
            self.inner.newest(operation, size, limit).await
        }
    }

    fn sample(n: u32, used: u32) -> Sample {
        let id = OperationId::parse(&format!("s{n}")).unwrap();
        let [estimated, used] = [120, used].map(Seconds::from_u32);
        Sample::new(id, CLASS.0, CLASS.1, estimated, used)
    }

    #[tokio::test]
    async fn samples_are_read_once_a_minute_and_kept_while_the_store_is_down() {
        let store = Arc::new(Counted::default());
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let settings = EstimateSettings::default();
        let estimator = Estimator::new(store.clone(), clock.clone(), settings);
        let seconds = async || {
            let told = estimator.estimate(CLASS.0, CLASS.1).await;
            told.map(|told| told.estimated_seconds.get())
        };
        store.down.store(true, SeqCst);
        assert_eq!(
            seconds().await.unwrap_err().kind,
            StoreErrorKind::Unavailable
        );
        store.down.store(false, SeqCst);
        for _ in 0..3 {
            assert_eq!(seconds().await.unwrap(), 120);
        }
        assert_eq!(store.reads.load(SeqCst), 2);
        // What another process records is seen a minute later, what this one does at once.
        for n in 0..5 {
            store.inner.record(sample(n, 50)).await.unwrap();
        }
        assert_eq!(seconds().await.unwrap(), 120);
        clock.advance(Duration::from_secs(60));
        assert_eq!(seconds().await.unwrap(), 50);
        let outcome = estimator.record(sample(5, 90)).await.unwrap();
        assert_eq!(outcome, RecordOutcome::Recorded);
        assert_eq!(seconds().await.unwrap(), 90);
        store.down.store(true, SeqCst);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(seconds().await.unwrap(), 90);
    }
}
