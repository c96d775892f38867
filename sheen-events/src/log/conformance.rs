//! The contract of an event log as tests, for any log.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde_json::json;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::runtime::BoxFuture;
use sheen_core::time::Advance;
use sheen_core::token::FencingToken;

use super::store::EventLog;
use super::types::{Append, AppendOutcome, Event, EventType, NewEvent, NewStream, Page};
use super::types::{StreamHead, Visibility};

/// A log under test. Each test gets one of its own, empty.
#[non_exhaustive]
pub struct LogHarness {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Moves the log's clock forward.
    pub advance: Advance,
    /// Whatever must live as long as the log.
    pub keep: Option<Box<dyn std::any::Any + Send + Sync>>,
}

impl LogHarness {
    /// A log and how to move its clock.
    pub fn new(log: Arc<dyn EventLog>, advance: Advance) -> Self {
        Self {
            log,
            advance,
            keep: None,
        }
    }

    /// Keeps `guard` (a database, a server) as long as the log.
    #[must_use]
    pub fn keeping(mut self, guard: impl std::any::Any + Send + Sync) -> Self {
        self.keep = Some(Box::new(guard));
        self
    }
}

impl fmt::Debug for LogHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHarness")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

/// Tests that a log keeps the contract of [`EventLog`](crate::log::EventLog), one test a clause.
///
/// The expression makes a fresh [`LogHarness`](crate::log::conformance::LogHarness) and may await.
/// The tests are `#[tokio::test]`s, so the caller needs tokio with `macros` and `rt-multi-thread`.
///
/// ```
/// # use sheen_events::log::{MemoryEventLog, conformance::LogHarness};
/// fn memory() -> LogHarness {
/// #   use std::sync::Arc;
/// #   use sheen_core::{entropy::OsEntropy, time::{Advance, ManualClock, Timestamp}};
/// #   let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
/// #   let log = MemoryEventLog::new(clock.clone(), Arc::new(OsEntropy), Default::default());
///     // …
///     LogHarness::new(Arc::new(log), Advance::manual(clock))
/// }
/// sheen_events::event_log_conformance!(memory());
/// ```
#[macro_export]
macro_rules! event_log_conformance {
    ($harness:expr) => {
        $crate::event_log_conformance! { @tests $harness;
            c01_visible_events_are_numbered_without_gaps_by_any_number_of_writers,
            c02_a_reader_never_sees_past_an_event_it_could_not_see,
            c03_an_append_is_all_or_nothing_and_stands_together,
            c04_a_repeat_with_the_same_key_writes_nothing,
            c05_only_the_token_last_raised_may_append,
            c06_nothing_is_appended_to_a_closed_stream,
            c07_instants_grow_by_a_millisecond_at_least,
            c08_a_page_is_bounded_in_order_and_has_the_head,
            c09_hidden_events_are_counted_apart_and_in_no_page,
            c11_streams_of_two_builds_never_meet,
            random_steps_go_as_in_a_plain_model,
        }

        #[tokio::test]
        async fn c10_opening_twice_is_opening_once_and_another_log_has_another_epoch() {
            let other = $harness;
            $crate::log::conformance
                ::c10_opening_twice_is_opening_once_and_another_log_has_another_epoch(
                    $harness, other,
                )
                .await;
        }
    };
    (@tests $harness:expr; $($name:ident,)*) => {$(
        #[tokio::test]
        async fn $name() {
            $crate::log::conformance::$name($harness).await;
        }
    )*};
}

/// Runs futures at once on the calling task, and gives what each gave, in order.
pub(crate) async fn join_all<'a, T: Send + Unpin>(
    futures: impl IntoIterator<Item = BoxFuture<'a, T>>,
) -> Vec<T> {
    let mut slots: Vec<(Option<BoxFuture<'a, T>>, Option<T>)> =
        futures.into_iter().map(|f| (Some(f), None)).collect();
    poll_fn(|cx| {
        for (future, done) in &mut slots {
            if let Some(running) = future
                && let Poll::Ready(value) = Future::poll(running.as_mut(), cx)
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

#[expect(clippy::unwrap_used, reason = "an assertion of the suite")]
fn ok<T>(result: Result<T, StoreError>) -> T {
    result.unwrap()
}

#[expect(clippy::unwrap_used, reason = "an id written here")]
fn build(name: &str) -> BuildId {
    BuildId::parse(name).unwrap()
}

#[expect(clippy::unwrap_used, reason = "an event written here")]
fn event(message: &str) -> NewEvent {
    let data = json!({ "message": message });
    NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap()).unwrap()
}

fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|n| event(&n.to_string())).collect()
}

#[expect(clippy::unwrap_used, reason = "ids written here")]
async fn opened(harness: &LogHarness, name: &str) -> BuildId {
    let user = UserId::parse("ann").unwrap();
    let session = BuildSessionId::parse(&format!("bs_{name}")).unwrap();
    ok(harness
        .log
        .open(NewStream::new(build(name), user, session))
        .await);
    build(name)
}

fn append(build: &BuildId, token: u64, events: Vec<NewEvent>) -> Append {
    Append::new(build.clone(), FencingToken::from_u64(token), events)
}

async fn appended(harness: &LogHarness, append: Append) -> Vec<Event> {
    match ok(harness.log.append(append).await) {
        AppendOutcome::Appended(events) => events,
        other => panic!("expected Appended, got {other:?}"),
    }
}

async fn page(harness: &LogHarness, build: &BuildId, after: u64, limit: u32) -> Page {
    match ok(harness.log.read(build, after, limit).await) {
        Some(page) => page,
        None => panic!("the stream {build} is not there"),
    }
}

async fn all(harness: &LogHarness, build: &BuildId) -> Vec<Event> {
    page(harness, build, 0, 100_000).await.events
}

fn seqs(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

fn message(event: &Event) -> String {
    let data: serde_json::Value = serde_json::from_str(&event.data).unwrap_or_default();
    data["message"].as_str().unwrap_or_default().to_owned()
}

/// C1, and A1, A3 and A4 of the failures.
pub async fn c01_visible_events_are_numbered_without_gaps_by_any_number_of_writers(h: LogHarness) {
    let build = opened(&h, "a").await;
    let writers = (0..8u64).map(|writer| {
        let (h, build) = (&h, &build);
        Box::pin(async move {
            let mut own = Vec::new();
            for n in 0..25 {
                // A late writer fails in between; it must leave no hole.
                let late = ok(h.log.append(append(build, 9, events(2))).await);
                assert_eq!(late, AppendOutcome::Fenced);
                let count = usize::from(n % 3 == 0) + 1;
                own.extend(seqs(&appended(h, append(build, 0, events(count))).await));
            }
            assert!(own.is_sorted(), "writer {writer} saw {own:?}");
            own
        }) as BoxFuture<'_, Vec<u64>>
    });
    let mut given: Vec<u64> = join_all(writers).await.concat();
    given.sort_unstable();
    let dense: Vec<u64> = (1..=8 * (25 + 9)).collect();
    assert_eq!(given, dense);
    assert_eq!(seqs(&all(&h, &build).await), dense);
}

/// C2, and A1.
pub async fn c02_a_reader_never_sees_past_an_event_it_could_not_see(h: LogHarness) {
    const EACH: u64 = 60;
    let build = opened(&h, "a").await;
    let writer = || {
        let (h, build) = (&h, &build);
        Box::pin(async move {
            for _ in 0..EACH {
                appended(h, append(build, 0, events(1))).await;
            }
        }) as BoxFuture<'_, ()>
    };
    let reader = Box::pin(async {
        let mut seen = 0;
        while seen < 4 * EACH {
            let page = page(&h, &build, seen, 7).await;
            assert!(page.stream.head >= seen, "the head went back");
            for event in page.events {
                assert_eq!(event.seq, seen + 1, "an event was skipped");
                seen = event.seq;
            }
            yield_once().await;
        }
    }) as BoxFuture<'_, ()>;
    join_all([writer(), writer(), writer(), writer(), reader]).await;
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// C3.
pub async fn c03_an_append_is_all_or_nothing_and_stands_together(h: LogHarness) {
    let build = opened(&h, "a").await;
    let malformed = [
        append(&build, 0, Vec::new()),
        append(&build, 0, events(Append::MAX_EVENTS + 1)),
        append(&build, 0, events(1)).with_key(""),
        append(&build, 0, events(1)).with_key("k".repeat(Append::MAX_KEY + 1)),
    ];
    for append in malformed {
        let refused = h.log.append(append).await;
        assert!(
            matches!(&refused, Err(error) if error.kind == StoreErrorKind::Rejected),
            "{refused:?}"
        );
    }
    assert_eq!(page(&h, &build, 0, 1).await.stream.head, 0);

    let most = appended(&h, append(&build, 0, events(Append::MAX_EVENTS))).await;
    assert_eq!(most.len(), Append::MAX_EVENTS);
    let writers = (0..6).map(|writer: u32| {
        let (h, build) = (&h, &build);
        Box::pin(async move {
            for _ in 0..10 {
                let five = vec![event(&format!("w{writer}")); 5];
                appended(h, append(build, 0, five)).await;
            }
        }) as BoxFuture<'_, ()>
    });
    join_all(writers).await;
    let after = Append::MAX_EVENTS as u64;
    let kept = page(&h, &build, after, 1000).await.events;
    assert_eq!(kept.len(), 6 * 10 * 5);
    for five in kept.chunks(5) {
        assert!(
            five.iter().all(|e| message(e) == message(&five[0])),
            "an append was torn apart"
        );
    }
}

/// C4, and A5.
pub async fn c04_a_repeat_with_the_same_key_writes_nothing(h: LogHarness) {
    let (build, other) = (opened(&h, "a").await, opened(&h, "b").await);
    let mixed = vec![event("x"), event("y").hidden(), event("z")];
    let first = append(&build, 0, mixed).with_key("step 1");
    let written = appended(&h, first.clone()).await;
    assert_eq!(seqs(&written), [1, 1, 2]);
    let again = AppendOutcome::Duplicate(written);

    assert_eq!(ok(h.log.append(first.clone()).await), again);
    // Another text under the same name is still the same append.
    let changed = append(&build, 0, events(5)).with_key("step 1");
    assert_eq!(ok(h.log.append(changed).await), again);
    // The name belongs to the build.
    appended(&h, append(&other, 0, events(1)).with_key("step 1")).await;
    assert!(ok(h.log.raise(&build, FencingToken::from_u64(4)).await));
    assert_eq!(ok(h.log.append(first.clone()).await), again);
    assert!(ok(h.log.close(&build).await));
    assert_eq!(ok(h.log.append(first).await), again);
    assert_eq!(page(&h, &build, 0, 1).await.stream.head, 2);

    let race = opened(&h, "race").await;
    let same = || append(&race, 0, events(3)).with_key("once");
    let outcomes = join_all((0..8).map(|_| h.log.append(same()) as BoxFuture<'_, _>)).await;
    let fresh = outcomes.into_iter().map(ok);
    let fresh = fresh.filter(|outcome| matches!(outcome, AppendOutcome::Appended(_)));
    assert_eq!(fresh.count(), 1);
    assert_eq!(page(&h, &race, 0, 1).await.stream.head, 3);
}

/// C5.
pub async fn c05_only_the_token_last_raised_may_append(h: LogHarness) {
    let build = opened(&h, "a").await;
    appended(&h, append(&build, 0, events(1))).await;
    assert!(ok(h.log.raise(&build, FencingToken::from_u64(5)).await));
    // Lowering is not raising.
    assert!(ok(h.log.raise(&build, FencingToken::from_u64(3)).await));
    for token in [0, 3, 4, 6] {
        let outcome = ok(h.log.append(append(&build, token, events(1))).await);
        assert_eq!(outcome, AppendOutcome::Fenced, "token {token}");
    }
    assert_eq!(seqs(&appended(&h, append(&build, 5, events(1))).await), [2]);
    let nobody = self::build("nobody");
    assert!(!ok(h.log.raise(&nobody, FencingToken::ZERO).await));
    let outcome = ok(h.log.append(append(&nobody, 0, events(1))).await);
    assert_eq!(outcome, AppendOutcome::NotFound);
}

/// C6.
pub async fn c06_nothing_is_appended_to_a_closed_stream(h: LogHarness) {
    let build = opened(&h, "a").await;
    appended(&h, append(&build, 0, events(1))).await;
    assert!(!page(&h, &build, 0, 9).await.stream.closed);
    assert!(ok(h.log.close(&build).await));
    assert!(ok(h.log.close(&build).await));
    let outcome = ok(h.log.append(append(&build, 0, events(1))).await);
    assert_eq!(outcome, AppendOutcome::Closed);
    // A late writer is told that it is late, whether the stream is closed or not.
    let outcome = ok(h.log.append(append(&build, 1, events(1))).await);
    assert_eq!(outcome, AppendOutcome::Fenced);
    let page = page(&h, &build, 0, 9).await;
    assert!(page.stream.closed);
    assert_eq!(seqs(&page.events), [1]);
    assert!(!ok(h.log.close(&self::build("nobody")).await));
}

/// C7, and A2.
pub async fn c07_instants_grow_by_a_millisecond_at_least(h: LogHarness) {
    let build = opened(&h, "a").await;
    let mut kept = appended(&h, append(&build, 0, events(20))).await;
    kept.extend(appended(&h, append(&build, 0, vec![event("x").hidden(), event("y")])).await);
    let before = kept[kept.len() - 1].created_at;
    h.advance.by(Duration::from_secs(3600)).await;
    kept.extend(appended(&h, append(&build, 0, events(2))).await);
    let least = Duration::from_millis(1);
    for pair in kept.windows(2) {
        assert!(
            pair[1].created_at.since(pair[0].created_at) >= least,
            "{pair:?}"
        );
    }
    let later = kept[kept.len() - 2].created_at.since(before);
    assert!(
        later >= Duration::from_secs(3599),
        "the log's clock did not move"
    );
    let read: Vec<Event> = all(&h, &build).await;
    kept.retain(|event| event.visibility == Visibility::User);
    assert_eq!(read, kept, "what is read is what was answered");
}

/// C8.
pub async fn c08_a_page_is_bounded_in_order_and_has_the_head(h: LogHarness) {
    assert_eq!(ok(h.log.read(&build("nobody"), 0, 10).await), None);
    let build = opened(&h, "a").await;
    appended(&h, append(&build, 0, events(10))).await;
    for (after, limit, expected) in [
        (0, 3, vec![1, 2, 3]),
        (3, 3, vec![4, 5, 6]),
        (8, 50, vec![9, 10]),
        (10, 50, vec![]),
        (11, 50, vec![]),
        (u64::MAX, 50, vec![]),
        (0, 0, vec![]),
    ] {
        let page = page(&h, &build, after, limit).await;
        assert_eq!(seqs(&page.events), expected, "after {after} limit {limit}");
        assert_eq!((page.stream.head, page.stream.floor), (10, 0));
        assert_eq!(page.stream.user.as_str(), "ann");
        assert!(
            page.events
                .iter()
                .all(|e| e.session.as_str() == "bs_a" && e.build == build)
        );
    }
}

/// C9.
pub async fn c09_hidden_events_are_counted_apart_and_in_no_page(h: LogHarness) {
    let build = opened(&h, "a").await;
    let mixed = vec![
        event("1h").hidden(),
        event("1"),
        event("2h").hidden(),
        event("2"),
    ];
    assert_eq!(
        seqs(&appended(&h, append(&build, 0, mixed)).await),
        [1, 1, 2, 2]
    );
    let hidden = vec![event("3h").hidden()];
    assert_eq!(seqs(&appended(&h, append(&build, 0, hidden)).await), [3]);
    assert_eq!(seqs(&appended(&h, append(&build, 0, events(1))).await), [3]);
    let page = page(&h, &build, 0, 100).await;
    assert_eq!(seqs(&page.events), [1, 2, 3]);
    assert!(page.events.iter().all(|e| e.visibility == Visibility::User));
    assert_eq!(page.stream.head, 3);
}

/// C10, and A8.
pub async fn c10_opening_twice_is_opening_once_and_another_log_has_another_epoch(
    h: LogHarness,
    other: LogHarness,
) {
    let build = opened(&h, "a").await;
    let first = page(&h, &build, 0, 1).await.stream;
    assert!((1..=StreamHead::MAX_EPOCH).contains(&first.epoch));
    appended(&h, append(&build, 0, events(2))).await;
    opened(&h, "a").await;
    let again = page(&h, &build, 0, 9).await.stream;
    assert_eq!((again.epoch, again.head), (first.epoch, 2));
    opened(&other, "a").await;
    assert_ne!(page(&other, &build, 0, 1).await.stream.epoch, first.epoch);

    let end = |kind: EventType| {
        let mut end = event("end");
        end.kind = kind;
        end
    };
    let mut hidden = end(EventType::DEPLOY_FAILED);
    hidden.visibility = Visibility::Operator;
    for (next, ended_by) in [
        (hidden, None),
        (end(EventType::TASK_FAILED), Some(EventType::TASK_FAILED)),
        (end(EventType::BUILD_LOG), Some(EventType::TASK_FAILED)),
        (
            end(EventType::DEPLOY_COMPLETED),
            Some(EventType::DEPLOY_COMPLETED),
        ),
        (
            end(EventType::DEPLOY_FAILED),
            Some(EventType::DEPLOY_COMPLETED),
        ),
    ] {
        appended(&h, append(&build, 0, vec![next])).await;
        assert_eq!(page(&h, &build, 0, 1).await.stream.ended_by, ended_by);
    }
}

/// C11.
pub async fn c11_streams_of_two_builds_never_meet(h: LogHarness) {
    let (a, b) = (opened(&h, "a").await, opened(&h, "b").await);
    for n in 0..3 {
        assert_eq!(seqs(&appended(&h, append(&a, 0, events(1))).await), [n + 1]);
        assert_eq!(seqs(&appended(&h, append(&b, 0, events(2))).await).len(), 2);
    }
    ok(h.log.raise(&a, FencingToken::from_u64(7)).await);
    ok(h.log.close(&a).await);
    assert_eq!(seqs(&appended(&h, append(&b, 0, events(1))).await), [7]);
    assert!(all(&h, &a).await.iter().all(|event| event.build == a));
    assert!(all(&h, &b).await.iter().all(|event| event.build == b));
    assert!(!page(&h, &b, 0, 1).await.stream.closed);
}

pub use super::conformance_random::random_steps_go_as_in_a_plain_model;
