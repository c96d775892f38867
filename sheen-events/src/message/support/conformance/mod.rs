//! What every log for support must show: one test for each clause of [`ChatLog`](super::ChatLog),
//! and random operations against the memory log.
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

mod cases;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

pub use cases::*;
use sheen_core::time::Advance;

use super::store::ChatLog;

/// A fresh, empty log under test, and its clock.
pub struct ChatLogHarness {
    /// The log.
    pub log: Arc<dyn ChatLog>,
    /// Moves the log's clock.
    pub advance: Advance,
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl ChatLogHarness {
    /// A log and its clock.
    #[must_use]
    pub fn new(log: Arc<dyn ChatLog>, advance: Advance) -> Self {
        Self {
            log,
            advance,
            guard: None,
        }
    }

    /// Keeps `guard` (a database, a server) until the case is over.
    #[must_use]
    pub fn with_guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }
}

impl fmt::Debug for ChatLogHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatLogHarness")
            .field("log", &self.log)
            .field("guarded", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}

/// One test for each clause of a log for support. The argument is an expression whose value is a
/// future of a [`ChatLogHarness`](crate::message::support::conformance::ChatLogHarness); it is
/// evaluated once a test. The tests want tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! chat_log_conformance {
    ($harness:expr) => {
        $crate::chat_log_conformance! { @each ($harness)
            c01_an_entry_is_found_by_its_three_look_ups_and_no_other
            c02_pages_go_from_the_newest_back_and_leave_nothing_out
            c03_a_repeat_gets_the_first_entry
            c04_after_thirty_days_nothing_is_found
            c05_expiry_removes_what_is_past_its_time_in_batches
            c06_what_is_read_is_what_was_recorded
            model_random_operations_equal_those_of_the_memory_log
        }
    };
    (@each ($harness:expr) $($case:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let harness: $crate::message::support::conformance::ChatLogHarness = $harness.await;
            $crate::message::support::conformance::$case(harness).await;
        }
    )+};
}
