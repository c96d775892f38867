//! When the stream of a settled build ends, where recommendations may follow.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sheen::admission::{AdmitOutcome, Admitted};
use sheen::recommending::EndStreams;
use sheen::worker::{Start, Worker};
use sheen_core::build::{Build, BuildInput, BuildKind};
use sheen_core::files::FileSet;
use sheen_core::id::{ProjectId, UserId};
use sheen_core::idempotency::StoredAnswer;
use sheen_core::mode::permit;
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_core::wire::SuggestionItem;
use sheen_events::log::EventLog;
use sheen_events::recommend::{
    self, BuildTokens, BuildsFirst, MemoryRecommendStore, NewRequest, ProviderError, QueueLimits,
    RecommendParts, RecommendProvider, RecommendQueue, RecommendRunnerParts, RecommendStore,
    Recommendations, RequestOutcome,
};
use tokio::sync::Semaphore;

use crate::support::Rooms;

/// Has no recommendations, once it is let.
#[derive(Debug)]
struct Gated(Semaphore);

#[async_trait]
impl RecommendProvider for Gated {
    async fn recommend(&self, _: &NewRequest) -> Result<Vec<SuggestionItem>, ProviderError> {
        self.0.acquire().await.unwrap().forget();
        Ok(Vec::new())
    }
}

/// Whether builds wait, so that no recommendation begins.
#[derive(Debug)]
struct Waiting(bool);

impl BuildsFirst for Waiting {
    fn builds_wait(&self) -> bool {
        self.0
    }
}

struct Stage {
    rooms: Rooms,
    worker: Arc<Worker>,
    store: Arc<MemoryRecommendStore>,
    recommendations: Recommendations,
    provider: Arc<Gated>,
}

impl Stage {
    fn set(builds_wait: bool) -> Self {
        let rooms = Rooms::with(|config| {
            config.leave_streams_open = true;
            config.credits.daily_gift = Seconds::from_u32(10_000);
        });
        let limits = QueueLimits::default();
        let store = MemoryRecommendStore::new(rooms.clock.clone(), limits, 100);
        let store = Arc::new(store);
        let recommendations = Recommendations::new(RecommendParts {
            store: store.clone(),
            queue: store.clone(),
            log: rooms.log.clone(),
            tokens: Arc::new(BuildTokens::new(rooms.builds.clone())),
            wake: rooms.wake.clone(),
            limits,
        });
        let provider = Arc::new(Gated(Semaphore::new(0)));
        let _ = recommend::run(RecommendRunnerParts {
            service: recommendations.clone(),
            provider: provider.clone(),
            builds: Arc::new(Waiting(builds_wait)),
            spawn: Arc::new(TokioRuntime),
            sleep: Arc::new(TokioRuntime),
        });
        let ends = EndStreams::new(recommendations.clone(), Arc::new(TokioRuntime));
        let worker = rooms.worker(vec![Arc::new(ends)]);
        Self {
            rooms,
            worker,
            store,
            recommendations,
            provider,
        }
    }

    async fn start(&self) -> Build {
        let render = |_: &Admitted| StoredAnswer::new(202, Vec::new(), *b"", "req_1");
        let start = Start::new(
            UserId::parse("ann").unwrap(),
            ProjectId::parse("p").unwrap(),
            BuildInput::new(BuildKind::Create, "a salon", FileSet::default()),
            Arc::new(render),
        );
        let permit = permit(None, None).unwrap();
        match self.worker.start(permit, start).await.unwrap() {
            AdmitOutcome::Admitted(admitted, _) => admitted.queued.build,
            other => panic!("{other:?}"),
        }
    }

    async fn ask(&self, build: &Build) {
        let request = NewRequest::new(
            build.user.clone(),
            build.project.clone(),
            build.id.clone(),
            build.session.clone(),
        );
        let outcome = self.recommendations.request(request).await.unwrap();
        assert!(matches!(outcome, RequestOutcome::Taken(_)), "{outcome:?}");
    }

    /// The events' types, and whether more may come.
    async fn stream(&self, build: &Build) -> (Vec<String>, bool) {
        let read = self.rooms.log.read(&build.id, 0, 100);
        let page = read.await.unwrap().unwrap();
        let kinds = page.events.iter().map(|event| event.kind.to_string());
        (kinds.collect(), page.stream.closed)
    }

    /// The observer has heard of the build's end, and left the stream to what is still to come.
    async fn heard_of_the_end(&self, build: &Build) {
        loop {
            let read = self.store.read(&build.user, &build.project, None);
            if read.await.unwrap().unwrap().ended_at.is_some() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn closed(&self, build: &Build) -> Vec<String> {
        loop {
            let (kinds, is_closed) = self.stream(build).await;
            if is_closed {
                return kinds;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_nothing_follows_ends_with_its_build() {
    let stage = Stage::set(false);
    let build = stage.start().await;
    stage.worker.cancel(&build.user, &build.id).await.unwrap();
    let kinds = stage.closed(&build).await;
    assert_eq!(kinds, ["build_queued", "deploy_failed"]);
}

#[tokio::test]
async fn a_stream_ends_once_build_and_recommendations_have_settled() {
    let stage = Stage::set(false);
    let build = stage.start().await;
    stage.ask(&build).await;
    stage.worker.cancel(&build.user, &build.id).await.unwrap();
    stage.heard_of_the_end(&build).await;
    let (kinds, is_closed) = stage.stream(&build).await;
    assert_eq!((kinds.len(), is_closed), (2, false));
    stage.provider.0.add_permits(1);
    let kinds = stage.closed(&build).await;
    assert_eq!(
        kinds,
        ["build_queued", "deploy_failed", "recommendations_ready"]
    );
}

#[tokio::test]
async fn a_stream_waits_half_a_minute_for_recommendations_that_never_begin() {
    let stage = Stage::set(true);
    let build = stage.start().await;
    stage.ask(&build).await;
    stage.worker.cancel(&build.user, &build.id).await.unwrap();
    stage.heard_of_the_end(&build).await;
    let half_a_minute = Duration::from_secs(30);
    stage
        .rooms
        .clock
        .advance(half_a_minute - Duration::from_millis(1));
    let due = stage.store.due(10).await.unwrap();
    assert!(due.is_empty(), "{due:?}");
    assert!(!stage.stream(&build).await.1);
    stage.rooms.clock.advance(Duration::from_millis(1));
    let kinds = stage.closed(&build).await;
    assert_eq!(kinds, ["build_queued", "deploy_failed"]);
}
