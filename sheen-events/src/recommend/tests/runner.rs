//! The runner over memory stores: limits, failures, streams that are told and ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::entropy::SeededEntropy;
use sheen_core::error::StoreError;
use sheen_core::id::BuildId;
use sheen_core::runtime::{ManualSleep, TokioRuntime};
use sheen_core::time::{ManualClock, Timestamp};
use sheen_core::token::FencingToken;
use sheen_core::wire::SuggestionItem;

use super::{item, wish};
use crate::log::{
    Append, Event, EventLog, EventType, MemoryEventLog, MemoryLogConfig, NewEvent, NewStream,
};
use crate::recommend::*;
use crate::wake::MemoryWake;

/// Does what a session is named after, and counts.
#[derive(Debug, Default)]
struct Acting {
    asked: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
    go: AtomicBool,
    gone: event_listener::Event,
}

struct Running<'a>(&'a Acting);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
impl RecommendProvider for Acting {
    async fn recommend(&self, request: &NewRequest) -> Result<Vec<SuggestionItem>, ProviderError> {
        self.asked.fetch_add(1, SeqCst);
        let now = self.running.fetch_add(1, SeqCst) + 1;
        let _running = Running(self);
        self.most.fetch_max(now, SeqCst);
        match request.session.as_str() {
            "fails" => Err(ProviderError::new("The model said\0 no.")),
            "breaks" => panic!("as told"),
            "wild" => Ok(vec![item("a"), item("a")]),
            "hangs" => std::future::pending().await,
            _ => {
                loop {
                    let gone = self.gone.listen();
                    if self.go.load(SeqCst) {
                        break;
                    }
                    gone.await;
                }
                Ok(vec![item("a"), item("b")])
            }
        }
    }
}

impl Acting {
    fn go(&self) {
        self.go.store(true, SeqCst);
        self.gone.notify(usize::MAX);
    }
}

#[derive(Debug, Default)]
struct Waiting(AtomicBool);

impl BuildsFirst for Waiting {
    fn builds_wait(&self) -> bool {
        self.0.load(SeqCst)
    }
}

#[derive(Debug)]
struct FirstToken;

#[async_trait]
impl WriterToken for FirstToken {
    async fn token(&self, _: &BuildId) -> Result<Option<FencingToken>, StoreError> {
        Ok(Some(FencingToken::ZERO))
    }
}

struct Rig {
    store: Arc<MemoryRecommendStore>,
    log: Arc<MemoryEventLog>,
    sleep: Arc<ManualSleep>,
    service: Recommendations,
    provider: Arc<Acting>,
    builds: Arc<Waiting>,
    runner: RecommendRunner,
}

impl Rig {
    fn new() -> Self {
        Self::with(MemoryLogConfig::default())
    }

    fn with(config: MemoryLogConfig) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let limits = QueueLimits::default();
        let store = Arc::new(MemoryRecommendStore::new(clock.clone(), limits, 1000));
        let entropy = Arc::new(SeededEntropy::new(4));
        let log = Arc::new(MemoryEventLog::new(clock.clone(), entropy, config));
        let service = Recommendations::new(RecommendParts {
            store: store.clone(),
            queue: store.clone(),
            log: log.clone(),
            tokens: Arc::new(FirstToken),
            wake: Arc::new(MemoryWake::new()),
            limits,
        });
        let (provider, builds) = (Arc::new(Acting::default()), Arc::new(Waiting::default()));
        let sleep = Arc::new(ManualSleep::new(clock));
        let runner = run(RecommendRunnerParts {
            service: service.clone(),
            provider: provider.clone(),
            builds: builds.clone(),
            spawn: Arc::new(TokioRuntime),
            sleep: sleep.clone(),
        });
        Self {
            store,
            log,
            sleep,
            service,
            provider,
            builds,
            runner,
        }
    }

    async fn ask(&self, session: &str) {
        let new = wish(session, &["qs-seo"]);
        let stream = NewStream::new(new.build.clone(), new.user.clone(), new.session.clone());
        self.log.open(stream).await.unwrap();
        self.service.request(new).await.unwrap();
    }

    async fn record(&self, session: &str) -> Record {
        let new = wish(session, &[]);
        let read = self
            .store
            .read(&new.user, &new.project, Some(&new.session))
            .await;
        read.unwrap().unwrap()
    }

    async fn settled(&self, session: &str) -> Record {
        testkit::until_async("a record to be settled", || async {
            self.record(session).await.phase.is_settled()
        })
        .await;
        self.record(session).await
    }

    async fn stream(&self, session: &str) -> (Vec<Event>, bool) {
        let build = wish(session, &[]).build;
        let page = self.log.read(&build, 0, 100).await.unwrap().unwrap();
        (page.events, page.stream.closed)
    }

    async fn ended(&self, session: &str) {
        let new = wish(session, &[]);
        let ended = self
            .service
            .build_ended(&new.project, &new.session, &new.build);
        ended.await.unwrap();
    }
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

fn error_of(record: &Record) -> &str {
    match &record.phase {
        Phase::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_stored_is_announced_once_and_the_stream_ends_after_the_build() {
    let rig = Rig::new();
    rig.provider.go();
    rig.ask("s").await;
    rig.settled("s").await;
    testkit::until_async("the announcement", || async {
        rig.record("s").await.is_told
    })
    .await;
    let (events, closed) = rig.stream("s").await;
    assert_eq!(kinds(&events), ["recommendations_ready"]);
    assert!(!closed, "the build goes on");
    let data: serde_json::Value = serde_json::from_str(&events[0].data).unwrap();
    assert_eq!(
        (&data["count"], &data["readySource"]),
        (&2.into(), &"ai".into())
    );
    assert!(data["message"].is_string());
    rig.ended("s").await;
    rig.ended("s").await;
    let (events, closed) = rig.stream("s").await;
    assert_eq!((events.len(), closed), (1, true));
    // A build nobody asked anything for: its stream ends with it.
    let other = wish("other", &[]);
    let stream = NewStream::new(other.build, other.user, other.session);
    rig.log.open(stream).await.unwrap();
    rig.ended("other").await;
    assert!(rig.stream("other").await.1);
    assert!(rig.runner.shutdown(Duration::from_secs(60)).await);
}

#[tokio::test]
async fn a_log_without_room_for_the_announcement_ends_all_the_same() {
    let config = MemoryLogConfig {
        max_events_per_stream: MemoryLogConfig::RESERVED,
        ..Default::default()
    };
    let rig = Rig::with(config);
    rig.ask("s").await;
    let data = serde_json::Map::from_iter([("message".to_owned(), "x".into())]);
    let events =
        vec![NewEvent::new(EventType::BUILD_LOG, &data).unwrap(); config.max_events_per_stream];
    let append = Append::new(wish("s", &[]).build, FencingToken::ZERO, events);
    rig.log.append(append).await.unwrap();
    rig.ended("s").await;
    rig.provider.go();
    testkit::until_async("the stream to end", || async { rig.stream("s").await.1 }).await;
    assert!(
        rig.record("s").await.phase.is_settled(),
        "whoever asks has them"
    );
}

#[tokio::test]
async fn the_stream_waits_for_them_after_the_build_and_ends_with_them() {
    let rig = Rig::new();
    rig.ask("s").await;
    testkit::until_async("the work to begin", || async {
        rig.provider.asked.load(SeqCst) == 1
    })
    .await;
    rig.ended("s").await;
    assert!(!rig.stream("s").await.1);
    rig.provider.go();
    testkit::until_async("the stream to end", || async { rig.stream("s").await.1 }).await;
    assert_eq!(kinds(&rig.stream("s").await.0), ["recommendations_ready"]);
}

#[tokio::test]
async fn failures_panics_and_nonsense_are_told_and_quick_ones_stay() {
    let rig = Rig::new();
    for (session, error) in [
        ("fails", "The model said no."),
        ("breaks", "The recommendations broke down."),
        ("wild", "The recommendations could not be used."),
    ] {
        rig.ask(session).await;
        let record = rig.settled(session).await;
        assert_eq!(error_of(&record), error);
        let state = state_of(&record);
        assert_eq!(state.source, Some(Source::Quick));
        testkit::until_async("the announcement", || async {
            rig.record(session).await.is_told
        })
        .await;
        let (events, _) = rig.stream(session).await;
        assert_eq!(kinds(&events), ["recommendations_failed"]);
        let data: serde_json::Value = serde_json::from_str(&events[0].data).unwrap();
        assert_eq!(data["error"], error);
        assert_eq!(data["readySource"], "quick");
        assert!(data["reason"].is_string() && data["message"].is_string());
    }
    assert_eq!(rig.provider.asked.load(SeqCst), 3, "one try each");
}

#[tokio::test]
async fn a_try_has_twenty_seconds() {
    let rig = Rig::new();
    rig.ask("hangs").await;
    testkit::until_async("the work to begin", || async {
        rig.provider.running.load(SeqCst) == 1
    })
    .await;
    rig.sleep.advance(Duration::from_secs(19));
    assert!(!rig.record("hangs").await.phase.is_settled());
    rig.sleep.advance(Duration::from_secs(1));
    let record = rig.settled("hangs").await;
    assert_eq!(error_of(&record), "The recommendations took too long.");
    testkit::until_async("the work to be dropped", || async {
        rig.provider.running.load(SeqCst) == 0
    })
    .await;
}

#[tokio::test]
async fn nothing_begins_while_builds_wait_and_two_run_at_once() {
    let rig = Rig::new();
    rig.builds.0.store(true, SeqCst);
    for n in 0..5 {
        rig.ask(&format!("s{n}")).await;
    }
    // Several looks later nothing has begun.
    for _ in 0..5 {
        testkit::until_async("the runner to sleep", || async { rig.sleep.sleepers() > 0 }).await;
        rig.sleep.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.provider.asked.load(SeqCst), 0);
    rig.builds.0.store(false, SeqCst);
    rig.sleep.advance(Duration::from_secs(1));
    testkit::until_async("two to run", || async {
        rig.provider.running.load(SeqCst) == 2
    })
    .await;
    rig.provider.go();
    for n in 0..5 {
        rig.settled(&format!("s{n}")).await;
    }
    assert_eq!(rig.provider.most.load(SeqCst), 2);
}

#[tokio::test]
async fn shutting_down_fails_what_runs_and_begins_nothing_more() {
    let rig = Rig::new();
    rig.ask("hangs").await;
    testkit::until_async("the work to begin", || async {
        rig.provider.running.load(SeqCst) == 1
    })
    .await;
    assert!(rig.runner.shutdown(Duration::from_secs(60)).await);
    assert_eq!(
        error_of(&rig.record("hangs").await),
        "The worker shut down."
    );
    rig.ask("later").await;
    assert_eq!(rig.record("later").await.phase, Phase::Queued);
}
