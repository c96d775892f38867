//! Counting waits without keeping any.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::types::{Metric, Timing, TimingRecorder};

/// Upper bounds of the buckets in milliseconds, each bound included; one more holds the rest.
const BOUNDS: [u64; 16] = [
    50, 100, 200, 300, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000,
    300_000, 600_000,
];

#[derive(Debug, Default)]
struct Counters {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// Of at most an hour each: it takes ages to overflow.
    sum_ms: AtomicU64,
}

/// A histogram for each [`Metric`], of fixed size, shared by any number of threads.
#[derive(Debug, Default)]
pub struct Histograms([Counters; Metric::ALL.len()]);

impl Histograms {
    /// Empty histograms.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What `metric` has counted. Each number is right by itself; taken while others record, they
    /// may be some measures apart.
    #[must_use]
    pub fn snapshot(&self, metric: Metric) -> Histogram {
        let counters = &self.0[metric.index()];
        let mut buckets = [0; BOUNDS.len() + 1];
        for (bucket, counter) in buckets.iter_mut().zip(&counters.buckets) {
            *bucket = counter.load(Ordering::Relaxed);
        }
        Histogram {
            buckets,
            sum: Duration::from_millis(counters.sum_ms.load(Ordering::Relaxed)),
        }
    }
}

impl TimingRecorder for Histograms {
    fn record(&self, timing: &Timing) {
        let counters = &self.0[timing.metric().index()];
        let millis = u64::try_from(timing.waited().as_millis()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < millis);
        counters.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        counters.sum_ms.fetch_add(millis, Ordering::Relaxed);
    }
}

/// What a metric has counted at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Histogram {
    buckets: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// How many measures.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All measures together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// How many measures are at most each bound, as Prometheus counts; the last bound is `None`,
    /// for all of them.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = BOUNDS.iter().map(|ms| Some(Duration::from_millis(*ms)));
        let mut count = 0;
        bounds
            .chain([None])
            .zip(&self.buckets)
            .map(move |(bound, bucket)| {
                count += bucket;
                (bound, count)
            })
    }
}
