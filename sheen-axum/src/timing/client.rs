//! Waits that clients measured, as metrics (wire.md §13).

use metrics::histogram;
use sheen_events::timing::{Timing, TimingRecorder};

/// Records each wait in the histogram of its metric's name: `ttfb_chat`, `sse_connect`, `ttft`,
/// `tt_preview`, `tt_recs`, in seconds, without any label. Whatever
/// [recorder](https://docs.rs/metrics) is installed gets them.
///
/// Hand it to [`App::timings`](crate::routes::App::timings).
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct TimingMetrics;

impl TimingMetrics {
    /// Records to the recorder that is installed.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl TimingRecorder for TimingMetrics {
    fn record(&self, timing: &Timing) {
        histogram!(timing.metric().as_str()).record(timing.waited());
    }
}
