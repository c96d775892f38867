//! What every retention store must show: one test for each clause of
//! [`RetentionStore`](super::RetentionStore).
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sheen_core::entropy::{Entropy, SeededEntropy};
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::time::{Advance, Day};
use sheen_core::token::FencingToken;

use super::store::RetentionStore;
use super::types::{DailyCount, DayCount, RETENTION, Removal};
use crate::log::{Append, AppendOutcome, AuditLog, AuditPlace, Event, EventLog, EventType};
use crate::log::{NewEvent, NewStream, Page, Visibility};

const DAY: Duration = Duration::from_secs(86_400);

/// An empty log under test, what removes from it, and their clock.
#[non_exhaustive]
pub struct RetentionHarness {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The same log, whole.
    pub audit: Arc<dyn AuditLog>,
    /// What removes from it.
    pub retention: Arc<dyn RetentionStore>,
    /// Moves their clock.
    pub advance: Advance,
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl RetentionHarness {
    /// A log, what removes from it, and their clock.
    #[must_use]
    pub fn new<L: EventLog + AuditLog>(
        log: Arc<L>,
        retention: Arc<dyn RetentionStore>,
        advance: Advance,
    ) -> Self {
        Self {
            audit: log.clone(),
            log,
            retention,
            advance,
            guard: None,
        }
    }

    /// Keeps `guard` (a database, a server) until the case is over.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    async fn today(&self) -> Day {
        self.retention.survey().await.unwrap().now.day()
    }

    async fn open(&self, name: &str) -> BuildId {
        let build = BuildId::parse(name).unwrap();
        let (user, session) = (UserId::parse("ann"), BuildSessionId::parse("bs"));
        let stream = NewStream::new(build.clone(), user.unwrap(), session.unwrap());
        self.log.open(stream).await.unwrap();
        build
    }

    async fn append(&self, build: &BuildId, events: Vec<NewEvent>) -> Vec<Event> {
        let append = Append::new(build.clone(), FencingToken::ZERO, events);
        match self.log.append(append).await.unwrap() {
            AppendOutcome::Appended(events) => events,
            other => panic!("{other:?}"),
        }
    }

    async fn page(&self, build: &BuildId, after: u64) -> Page {
        self.log.read(build, after, 10_000).await.unwrap().unwrap()
    }

    async fn remove(&self, last: Day, limit: u32) -> u64 {
        match self.retention.remove(last, RETENTION, limit).await.unwrap() {
            Removal::Removed(events) => events,
            other => panic!("{other:?}"),
        }
    }

    async fn counts(&self) -> Vec<DailyCount> {
        let (first, last) = (Day::from_number(-1000), Day::from_number(1_000_000));
        self.retention.counts(first, last).await.unwrap()
    }
}

impl fmt::Debug for RetentionHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetentionHarness")
            .field("retention", &self.retention)
            .field("guarded", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}

/// One test for each clause of a retention store. The argument is an expression whose value is a
/// future of a [`RetentionHarness`](crate::retention::conformance::RetentionHarness); it is evaluated
/// once a test. The tests want tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! retention_conformance {
    ($harness:expr) => {
        $crate::retention_conformance! { @each ($harness)
            c01_a_survey_counts_the_events_of_each_day
            c02_what_is_counted_and_what_is_kept_is_what_was_written
            c02_removals_at_once_count_each_event_once
            c03_what_is_younger_than_its_age_stays
            c04_the_beginning_of_a_stream_goes_and_its_floor_says_how_far
            c05_a_repeat_of_what_went_writes_nothing
            c06_an_event_of_a_counted_day_is_added
            c07_counts_are_by_day_type_status_and_audience
            audit_pages_have_each_event_once_in_commit_order
        }
    };
    (@each ($harness:expr) $($case:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let harness: $crate::retention::conformance::RetentionHarness = $harness.await;
            $crate::retention::conformance::$case(harness).await;
        }
    )+};
}

fn event(kind: EventType) -> NewEvent {
    NewEvent::new(kind, json!({"message": "x"}).as_object().unwrap()).unwrap()
}

fn logs(count: usize) -> Vec<NewEvent> {
    vec![event(EventType::BUILD_LOG); count]
}

/// `visible` and `hidden` logs in turns.
fn mixed(count: usize) -> Vec<NewEvent> {
    let pair = [
        event(EventType::BUILD_LOG).hidden(),
        event(EventType::BUILD_LOG),
    ];
    pair.into_iter().cycle().take(count).collect()
}

/// C1.
pub async fn c01_a_survey_counts_the_events_of_each_day(h: RetentionHarness) {
    assert_eq!(h.retention.survey().await.unwrap().days, []);
    let today = h.today().await;
    let (a, b) = (h.open("a").await, h.open("b").await);
    h.append(&a, mixed(5)).await;
    h.append(&b, logs(2)).await;
    h.advance.by(DAY * 3).await;
    h.append(&b, mixed(4)).await;
    let survey = h.retention.survey().await.unwrap();
    let later = Day::from_number(today.number() + 3);
    assert_eq!(
        survey.days,
        [DayCount::new(today, 7), DayCount::new(later, 4)]
    );
    assert_eq!(survey.now.day(), later);
}

/// C2, and G1 of the failures.
pub async fn c02_what_is_counted_and_what_is_kept_is_what_was_written(h: RetentionHarness) {
    let dice = SeededEntropy::new(5);
    let roll = |sides: u8| {
        let mut byte = [0];
        dice.fill(&mut byte);
        byte[0] % sides
    };
    let first = h.today().await;
    let kinds = [
        EventType::BUILD_LOG,
        EventType::TASK_FAILED,
        EventType::DEPLOY_STARTED,
    ];
    let mut written: BTreeMap<(Day, String, bool), u64> = BTreeMap::new();
    let mut builds = Vec::new();
    for name in ["a", "b", "c", "d"] {
        builds.push(h.open(name).await);
    }
    for _ in 0..60 {
        let events = (0..=roll(6)).map(|_| {
            let event = event(kinds[usize::from(roll(3))].clone());
            if roll(3) == 0 { event.hidden() } else { event }
        });
        let build = &builds[usize::from(roll(4))];
        for event in h.append(build, events.collect()).await {
            let is_visible = event.visibility == Visibility::User;
            let key = (event.created_at.day(), event.kind.to_string(), is_visible);
            *written.entry(key).or_default() += 1;
        }
        h.advance
            .by(Duration::from_secs(3600 * u64::from(roll(10))))
            .await;
    }
    h.advance.by(RETENTION).await;
    let last = Day::from_number(h.today().await.number() - 46);
    assert!(last > first, "the days are apart");
    let mut removed = 0;
    for step in 0.. {
        let limit = 1 + u32::from(roll(9));
        let gone = h.remove(last, limit).await;
        assert!(gone <= u64::from(limit));
        removed += gone;
        let mut found: BTreeMap<(Day, String, bool), u64> = BTreeMap::new();
        for count in h.counts().await {
            let key = (count.day, count.kind.to_string(), count.user_visible);
            *found.entry(key).or_default() += count.events;
        }
        for build in &builds {
            let page = h.audit.read_all(build, AuditPlace::default(), 10_000).await;
            for event in page.unwrap().unwrap().events {
                let is_visible = event.visibility == Visibility::User;
                let key = (event.created_at.day(), event.kind.to_string(), is_visible);
                *found.entry(key).or_default() += 1;
            }
        }
        assert_eq!(found, written, "step {step}");
        if gone < u64::from(limit) {
            break;
        }
    }
    assert!(removed > 50, "{removed}");
}

/// C2.
pub async fn c02_removals_at_once_count_each_event_once(h: RetentionHarness) {
    let today = h.today().await;
    for name in ["a", "b", "c"] {
        let build = h.open(name).await;
        h.append(&build, mixed(100)).await;
    }
    h.advance.by(RETENTION + DAY).await;
    let runs = (0..6).map(|_| {
        let retention = Arc::clone(&h.retention);
        async move {
            let mut removed = 0;
            for _ in 0..100 {
                match retention.remove(today, RETENTION, 7).await.unwrap() {
                    Removal::Removed(events) => removed += events,
                    other => panic!("{other:?}"),
                }
            }
            removed
        }
    });
    let mut removed = 0;
    for each in crate::log::conformance::join_all(runs.map(|run| Box::pin(run) as _)).await {
        let each: u64 = each;
        removed += each;
    }
    assert_eq!(removed, 300);
    let counts = h.counts().await;
    assert_eq!(counts.iter().map(|count| count.events).sum::<u64>(), 300);
}

/// C3.
pub async fn c03_what_is_younger_than_its_age_stays(h: RetentionHarness) {
    let today = h.today().await;
    let build = h.open("a").await;
    h.append(&build, logs(3)).await;
    let remove = async || h.retention.remove(today, RETENTION, 10).await.unwrap();
    assert_eq!(remove().await, Removal::TooYoung);
    // The last instant at which the end of its day is younger than its age, and the next one.
    let now = h.retention.survey().await.unwrap().now;
    let old = today.end().plus(RETENTION).since(now);
    h.advance.by(old - Duration::from_millis(1)).await;
    assert_eq!(remove().await, Removal::TooYoung);
    assert_eq!(h.page(&build, 0).await.events.len(), 3);
    assert_eq!(h.counts().await, []);
    h.advance.by(Duration::from_millis(1)).await;
    assert_eq!(remove().await, Removal::Removed(3));
}

/// C4, and A12.
pub async fn c04_the_beginning_of_a_stream_goes_and_its_floor_says_how_far(h: RetentionHarness) {
    let today = h.today().await;
    let (a, b) = (h.open("a").await, h.open("b").await);
    h.append(&a, mixed(20)).await;
    h.advance.by(DAY).await;
    h.append(&a, mixed(6)).await;
    h.append(&b, logs(2)).await;
    let before = h.page(&a, 0).await.stream;
    h.advance.by(RETENTION).await;
    // 7 of 20: hidden 1 to 4, visible 1 to 3.
    assert_eq!(h.remove(today, 7).await, 7);
    let page = h.page(&a, 0).await;
    assert_eq!(
        (page.stream.floor, page.events[0].seq, page.stream.head),
        (3, 4, 13)
    );
    assert_eq!(h.page(&a, 2).await.events, page.events);
    assert_eq!(h.page(&a, 3).await.events, page.events);
    assert_eq!(h.page(&a, 4).await.events, page.events[1..]);
    assert_eq!(h.remove(today, 1000).await, 13);
    let page = h.page(&a, 0).await;
    assert_eq!((page.stream.floor, page.events.len()), (10, 3));
    let same = |mut stream: crate::log::StreamHead| {
        stream.floor = 0;
        stream
    };
    assert_eq!(same(page.stream), same(before));
    assert_eq!(
        h.page(&b, 0).await.stream.floor,
        0,
        "another stream's floor is its own"
    );
    // Numbering goes on, and so does the floor when nothing is left.
    assert_eq!(h.append(&a, logs(1)).await[0].seq, 14);
    h.advance.by(RETENTION + DAY * 2).await;
    let yesterday = Day::from_number(h.today().await.number() - 46);
    assert_eq!(h.remove(yesterday, 1000).await, 9);
    let page = h.page(&a, 0).await;
    assert_eq!(
        (page.stream.floor, page.stream.head, page.events.len()),
        (14, 14, 0)
    );
    assert_eq!(h.append(&a, logs(2)).await[1].seq, 16);
    assert_eq!(h.page(&a, 0).await.events[0].seq, 15);
}

/// C5, and A5.
pub async fn c05_a_repeat_of_what_went_writes_nothing(h: RetentionHarness) {
    let (open, closed) = (h.open("open").await, h.open("closed").await);
    let named = |build: &BuildId| {
        Append::new(build.clone(), FencingToken::ZERO, mixed(4)).with_key("step 1")
    };
    let mut first = Vec::new();
    for build in [&open, &closed] {
        match h.log.append(named(build)).await.unwrap() {
            AppendOutcome::Appended(events) => first = events,
            other => panic!("{other:?}"),
        }
    }
    h.log.close(&closed).await.unwrap();
    let today = h.today().await;
    h.advance.by(RETENTION + DAY).await;
    // Half of both: the events that are left are still told.
    assert_eq!(h.remove(today, 4).await, 4);
    let told = h.log.append(named(&closed)).await.unwrap();
    let AppendOutcome::Duplicate(told) = told else {
        panic!("{told:?}");
    };
    let numbers = |events: &[Event]| events.iter().map(|e| e.seq).collect::<Vec<_>>();
    assert_eq!(numbers(&told), numbers(&first[2..]));
    assert_eq!(h.remove(today, 100).await, 4);
    let again = h.log.append(named(&open)).await.unwrap();
    assert_eq!(again, AppendOutcome::Duplicate(Vec::new()));
    let again = h.log.append(named(&closed)).await.unwrap();
    assert!(!matches!(again, AppendOutcome::Appended(_)), "{again:?}");
    for build in [&open, &closed] {
        assert_eq!(h.page(build, 0).await.stream.head, 2);
    }
}

/// C6, and G2.
pub async fn c06_an_event_of_a_counted_day_is_added(h: RetentionHarness) {
    let today = h.today().await;
    let build = h.open("a").await;
    h.append(&build, logs(5)).await;
    h.advance.by(RETENTION + DAY).await;
    for (limit, sum) in [(2, 2), (2, 4), (2, 5), (2, 5)] {
        h.remove(today, limit).await;
        let counts = h.counts().await;
        assert_eq!(counts.len(), 1);
        assert_eq!((counts[0].day, counts[0].events), (today, sum));
    }
}

/// C7.
pub async fn c07_counts_are_by_day_type_status_and_audience(h: RetentionHarness) {
    let first = h.today().await;
    let second = Day::from_number(first.number() + 1);
    let build = h.open("a").await;
    let own = EventType::parse("zebra_seen").unwrap();
    let mut events = logs(2);
    events.extend(mixed(2));
    events.push(event(own.clone()));
    events.push(event(EventType::DEPLOY_COMPLETED));
    h.append(&build, events).await;
    h.advance.by(DAY).await;
    let ends = [EventType::DEPLOY_FAILED, EventType::TASK_FAILED];
    h.append(&build, ends.iter().cloned().map(event).collect())
        .await;
    h.advance.by(RETENTION + DAY).await;
    assert_eq!(h.remove(second, 100).await, 8);
    let count = |day, kind: &EventType, visibility, events| {
        DailyCount::new(day, kind.clone(), visibility, events)
    };
    let (user, operator) = (Visibility::User, Visibility::Operator);
    let expected = [
        count(first, &EventType::BUILD_LOG, operator, 1),
        count(first, &EventType::BUILD_LOG, user, 3),
        count(first, &EventType::DEPLOY_COMPLETED, user, 1),
        count(first, &own, user, 1),
        count(second, &EventType::DEPLOY_FAILED, user, 1),
        count(second, &EventType::TASK_FAILED, user, 1),
    ];
    assert_eq!(h.counts().await, expected);
    let statuses: Vec<_> = expected.iter().map(|count| count.status).collect();
    assert_eq!(
        statuses,
        [
            "building",
            "building",
            "completed",
            "building",
            "failed",
            "failed"
        ]
    );
    assert_eq!(h.remove(second, 100).await, 0);
    assert_eq!(h.counts().await, expected);
    assert_eq!(
        h.retention.counts(second, second).await.unwrap(),
        expected[4..]
    );
    let (before, after) = (
        Day::from_number(i64::MIN / 2),
        Day::from_number(i64::MAX / 2),
    );
    assert_eq!(h.retention.counts(before, after).await.unwrap(), expected);
    assert_eq!(h.retention.counts(after, after).await.unwrap(), []);
}

/// C1 and C2 of [`AuditLog`].
pub async fn audit_pages_have_each_event_once_in_commit_order(h: RetentionHarness) {
    let nobodys = BuildId::parse("nobodys").unwrap();
    let none = h.audit.read_all(&nobodys, AuditPlace::default(), 10).await;
    assert_eq!(none.unwrap(), None);
    let build = h.open("a").await;
    let mut written = h.append(&build, mixed(9)).await;
    written.extend(h.append(&build, logs(7)).await);
    written.extend(h.append(&build, mixed(12)).await);
    for limit in [1, 3, 100] {
        let (mut place, mut read) = (AuditPlace::default(), Vec::new());
        loop {
            let page = h
                .audit
                .read_all(&build, place, limit)
                .await
                .unwrap()
                .unwrap();
            assert!(page.events.len() <= limit as usize);
            assert_eq!((page.stream.head, page.hidden_head), (17, 11));
            let Some(last) = page.events.last() else {
                break;
            };
            assert!(
                last.created_at
                    > read
                        .last()
                        .map_or(last.created_at.minus(DAY), |e: &Event| e.created_at)
            );
            place = page.events.iter().fold(place, AuditPlace::after);
            read.extend(page.events);
        }
        assert_eq!(read, written, "limit {limit}");
        read.retain(|event| event.visibility == Visibility::User);
        assert_eq!(h.page(&build, 0).await.events, read);
    }
}
