//! What every store of recommendations must show: one test for each clause of
//! [`RecommendStore`](super::RecommendStore) and [`RecommendQueue`](super::RecommendQueue), and
//! random operations against the memory store.
//!
//! A harness's store must have the [`LIMITS`]: the wire's, but for a short queue.
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

mod model;
mod queue;
mod requests;

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

pub use model::*;
pub use queue::*;
pub use requests::*;
use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId};
use sheen_core::locale::Locale;
use sheen_core::runtime::BoxFuture;
use sheen_core::time::Advance;
use sheen_core::wire::SuggestionItem;

use super::store::{RecommendQueue, RecommendStore};
use super::types::{
    ClaimOutcome, Items, Key, NewRequest, QueueLimits, Record, RequestOutcome, SettleOutcome,
};

/// The limits of a store under test.
pub const LIMITS: QueueLimits = QueueLimits {
    concurrency: 2,
    per_minute: 10,
    try_limit: Duration::from_secs(20),
    repeat_within: Duration::from_secs(300),
    patience: Duration::from_secs(300),
    stream_waits: Duration::from_secs(30),
    max_waiting: 30,
    kept: Duration::from_secs(45 * 24 * 3600),
};

/// A fresh, empty store under test, and its clock.
pub struct RecommendHarness {
    /// The store.
    pub store: Arc<dyn RecommendStore>,
    /// Its queue.
    pub queue: Arc<dyn RecommendQueue>,
    /// Moves the store's clock.
    pub advance: Advance,
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl RecommendHarness {
    /// A store and its clock.
    #[must_use]
    pub fn new<S: RecommendStore + RecommendQueue>(store: Arc<S>, advance: Advance) -> Self {
        Self {
            store: store.clone(),
            queue: store,
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

impl fmt::Debug for RecommendHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecommendHarness")
            .field("store", &self.store)
            .field("guarded", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}

/// One test for each clause of a store of recommendations. The argument is an expression whose
/// value is a future of a
/// [`RecommendHarness`](crate::recommend::conformance::RecommendHarness); it is evaluated once a
/// test. The tests want tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! recommend_store_conformance {
    ($harness:expr) => {
        $crate::recommend_store_conformance! { @each ($harness)
            c01_a_repeat_is_known_until_it_is_settled_and_five_minutes_old
            c01_of_equal_requests_at_once_one_is_taken
            c02_another_users_record_is_not_touched
            c03_a_full_queue_fails_at_once_and_keeps_what_was_suggested
            c04_a_record_is_read_by_its_user_alone
            c05_the_longest_waiting_is_claimed_and_never_twice
            c06_two_run_at_once_whoever_claims
            c06_ten_begin_a_minute_and_the_wait_is_enough
            c07_a_settlement_is_stored_once_by_its_claim
            c08_what_took_or_waited_too_long_has_failed
            c09_what_is_settled_is_due_until_it_was_announced_and_closed
            c09_a_stream_waits_thirty_seconds
            c10_old_records_are_forgotten_in_batches
            model_random_operations_equal_those_of_the_memory_store
        }
    };
    (@each ($harness:expr) $($case:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let harness: $crate::recommend::conformance::RecommendHarness = $harness.await;
            $crate::recommend::conformance::$case(harness).await;
        }
    )+};
}

const SECOND: Duration = Duration::from_secs(1);

fn items(names: &[&str]) -> Items {
    let item = |name: &&str| SuggestionItem {
        id: (*name).to_owned().into(),
        title: r"Add 'one' \ more".into(),
        description: "مرحبا é".into(),
        category: "feature".into(),
        prompt: "Add one.".into(),
        confidence: 0.85,
    };
    Items::new(names.iter().map(item).collect()).unwrap()
}

fn wish(user: &str, project: &str, session: &str) -> NewRequest {
    let request = NewRequest::new(
        UserId::parse(user).unwrap(),
        ProjectId::parse(project).unwrap(),
        BuildId::parse(&format!("b-{session}")).unwrap(),
        BuildSessionId::parse(session).unwrap(),
    );
    request.with_quick(Locale::Ar, items(&["qs-seo", "qs-hours"]))
}

fn key(project: &str, session: &str) -> Key {
    Key::new(
        ProjectId::parse(project).unwrap(),
        BuildSessionId::parse(session).unwrap(),
    )
}

async fn taken(h: &RecommendHarness, new: NewRequest) -> Record {
    match h.store.request(new).await.unwrap() {
        RequestOutcome::Taken(record) => record,
        other => panic!("expected Taken, got {other:?}"),
    }
}

async fn claimed(h: &RecommendHarness) -> Record {
    match h.queue.claim().await.unwrap() {
        ClaimOutcome::Claimed(record) => record,
        other => panic!("expected Claimed, got {other:?}"),
    }
}

async fn read(h: &RecommendHarness, user: &str, session: &str) -> Option<Record> {
    let user = UserId::parse(user).unwrap();
    let key = key("p", session);
    let read = h.store.read(&user, &key.project, Some(&key.session));
    read.await.unwrap()
}

/// Runs futures at once on the calling task, and gives what each gave, in order.
async fn join_all<'a, T: Send + Unpin>(
    futures: impl IntoIterator<Item = BoxFuture<'a, T>>,
) -> Vec<T> {
    let mut slots: Vec<(Option<BoxFuture<'a, T>>, Option<T>)> =
        futures.into_iter().map(|f| (Some(f), None)).collect();
    poll_fn(|cx| {
        for (future, done) in &mut slots {
            if let Some(running) = future
                && let Poll::Ready(value) = running.as_mut().poll(cx)
            {
                *done = Some(value);
                *future = None;
            }
        }
        if slots.iter().all(|(future, _)| future.is_none()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    slots.into_iter().filter_map(|(_, done)| done).collect()
}
