//! What every store of conversations must show: one test for each clause of
//! [`MessageStore`](super::MessageStore), and random operations against the memory store.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_core::time::{Advance, ManualClock, Timestamp};
//! use sheen_events::message::{MemoryMessageStore, conformance::MessageHarness};
//!
//! async fn harness() -> MessageHarness {
//!     let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
//!     let store = MemoryMessageStore::new(clock.clone(), Default::default());
//!     MessageHarness::new(Arc::new(store), Advance::manual(clock))
//! }
//!
//! sheen_events::message_store_conformance!(harness());
//! ```
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

mod cases;
mod model;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

pub use cases::*;
pub use model::*;
use sheen_core::time::Advance;

use super::store::MessageStore;

/// A fresh, empty store under test, and its clock.
pub struct MessageHarness {
    /// The store.
    pub store: Arc<dyn MessageStore>,
    /// Moves the store's clock.
    pub advance: Advance,
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl MessageHarness {
    /// A store and its clock.
    #[must_use]
    pub fn new(store: Arc<dyn MessageStore>, advance: Advance) -> Self {
        Self {
            store,
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

impl fmt::Debug for MessageHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageHarness")
            .field("store", &self.store)
            .field("guarded", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}

/// One test for each clause of a store of conversations. The argument is an expression whose value
/// is a future of a [`MessageHarness`](crate::message::conformance::MessageHarness); it is
/// evaluated once a test. The tests want tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! message_store_conformance {
    ($harness:expr) => {
        $crate::message_store_conformance! { @each ($harness)
            c01_messages_are_numbered_without_gaps_by_any_number_of_writers
            c02_a_reader_never_sees_past_a_message_it_could_not_see
            c03_a_repeat_writes_nothing_and_another_text_is_a_conflict
            c03_of_equal_appends_at_once_one_is_appended
            c04_a_conversation_is_its_first_users
            c05_instants_are_the_stores_and_never_go_back
            c06_a_page_is_bounded_in_order_and_has_the_head
            c07_conversations_never_meet
            c08_what_is_read_is_what_was_appended
            model_random_operations_equal_those_of_the_memory_store
        }
    };
    (@each ($harness:expr) $($case:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let harness: $crate::message::conformance::MessageHarness = $harness.await;
            $crate::message::conformance::$case(harness).await;
        }
    )+};
}
