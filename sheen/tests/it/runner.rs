//! The runner: what it does with builders that work, fail, panic, hang or are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sheen::admission::{AdmitOutcome, Admitted, Charge, Settled};
use sheen::builder::{BuildError, Builder, Built, Job, Progress};
use sheen::measuring::MeasureBuilds;
use sheen::runner::{RunnerConfig, RunnerHandle, RunnerParts};
use sheen::worker::{SettledObserver, Start, Worker};
use sheen_billing::estimate::{
    EstimateSettings, Estimator, MemorySampleStore, OperationType, ProjectSize,
};
use sheen_core::build::{Build, BuildInput, BuildKind, FailureReason, Status};
use sheen_core::entropy::SeededEntropy;
use sheen_core::files::{FilePath, FileSet};
use sheen_core::id::{BuildId, ProjectId, UserId, WorkerId};
use sheen_core::idempotency::StoredAnswer;
use sheen_core::mode::permit;
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_events::log::EventLog;
use tokio::sync::Notify;

use crate::support::Rooms;

/// Does what the prompt says.
#[derive(Debug, Default)]
struct Scripted {
    begun: Notify,
    cleaned_up: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

#[async_trait]
impl Builder for Scripted {
    async fn build(&self, job: &Job, progress: &Progress) -> Result<Built, BuildError> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let result = self.play(job, progress).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

impl Scripted {
    async fn play(&self, job: &Job, progress: &Progress) -> Result<Built, BuildError> {
        progress.log("working").await?;
        self.begun.notify_one();
        match &*job.input.prompt {
            "fail" => Err(BuildError::new("no such page: about.html")),
            "panic" => panic!("a builder's fault, on purpose"),
            "wait" => {
                progress.stopped().await;
                self.cleaned_up.fetch_add(1, Ordering::SeqCst);
                Err(BuildError::new("stopped"))
            }
            _ => Ok(Built::new("https://preview.test/", Seconds::from_u32(7))),
        }
    }
}

#[derive(Debug, Default)]
struct Counting {
    fails_first: bool,
    tries: AtomicUsize,
    heard: Notify,
}

#[async_trait]
impl SettledObserver for Counting {
    async fn settled(
        &self,
        _settled: &Settled,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if self.tries.fetch_add(1, Ordering::SeqCst) == 0 && self.fails_first {
            return Err("mail server away".into());
        }
        self.heard.notify_one();
        Ok(())
    }
}

struct Stage {
    rooms: Rooms,
    worker: Arc<Worker>,
    builder: Arc<Scripted>,
    runner: RunnerHandle,
}

impl Stage {
    fn set(observers: Vec<Arc<dyn SettledObserver>>) -> Self {
        let rooms = Rooms::new();
        let worker = rooms.worker(observers);
        Self::of(rooms, worker)
    }

    fn of(rooms: Rooms, worker: Arc<Worker>) -> Self {
        let builder = Arc::new(Scripted::default());
        let mut config = RunnerConfig::default();
        config.poll = Duration::from_millis(20);
        config.heartbeat = Duration::from_millis(20);
        config.sweep = Duration::from_millis(20);
        let runner = sheen::runner::start(RunnerParts {
            worker: Arc::clone(&worker),
            builder: builder.clone(),
            credits: rooms.credits.clone(),
            records: rooms.idempotency.clone(),
            id: WorkerId::generate(&SeededEntropy::new(3)),
            spawn: Arc::new(TokioRuntime),
            sleep: Arc::new(TokioRuntime),
            config,
        });
        Self {
            rooms,
            worker,
            builder,
            runner,
        }
    }

    async fn start(&self, project: &str, prompt: &str) -> BuildId {
        let input = BuildInput::new(BuildKind::Create, prompt, FileSet::default());
        let render = |admitted: &Admitted| {
            let id = admitted.queued.build.id.as_str().as_bytes();
            StoredAnswer::new(202, Vec::new(), id, "req_1")
        };
        let start = Start::new(
            user(project),
            ProjectId::parse(project).unwrap(),
            input,
            Arc::new(render),
        );
        let permit = permit(None, None).unwrap();
        // A purchase, since the gift of the harness is below a build's estimate.
        let payment = sheen_core::id::PaymentId::parse(&format!("pay-{project}")).unwrap();
        let purchase = sheen_billing::account::Purchase::new(
            user(project),
            payment,
            Seconds::from_u32(10_000),
        );
        sheen_billing::account::GrantStore::credit(&*self.rooms.credits, purchase)
            .await
            .unwrap();
        match self.worker.start(permit, start).await.unwrap() {
            AdmitOutcome::Admitted(admitted, _) => admitted.queued.build.id,
            other => panic!("{other:?}"),
        }
    }

    async fn ended(&self, project: &str, id: &BuildId) -> Build {
        loop {
            let build = self
                .worker
                .build(&user(project), id)
                .await
                .unwrap()
                .unwrap()
                .build;
            if !build.status.is_active() {
                return build;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn kinds(&self, id: &BuildId) -> Vec<String> {
        let page = self.rooms.log.read(id, 0, 100).await.unwrap().unwrap();
        page.events
            .iter()
            .map(|event| event.kind.to_string())
            .collect()
    }
}

fn user(project: &str) -> UserId {
    UserId::parse(&format!("u-{project}")).unwrap()
}

#[tokio::test]
async fn a_good_build_is_deployed_and_charged() {
    let stage = Stage::set(Vec::new());
    let id = stage.start("p1", "a salon").await;
    let build = stage.ended("p1", &id).await;
    assert_eq!(build.status, Status::Deployed);
    assert_eq!(build.seconds, Some(Seconds::from_u32(7)));
    let kinds = stage.kinds(&id).await;
    assert_eq!(
        kinds,
        [
            "build_queued",
            "build_started",
            "build_log",
            "deploy_completed"
        ]
    );
    assert!(stage.runner.shutdown().await);
}

#[tokio::test]
async fn a_builder_that_fails_or_panics_ends_its_build_and_not_the_runner() {
    let stage = Stage::set(Vec::new());
    let failed = stage.start("p1", "fail").await;
    let build = stage.ended("p1", &failed).await;
    assert_eq!(build.reason, Some(FailureReason::BuildFailed));
    assert_eq!(build.error.as_deref(), Some("no such page: about.html"));
    let panicked = stage.start("p2", "panic").await;
    assert_eq!(
        stage.ended("p2", &panicked).await.reason,
        Some(FailureReason::BuildFailed)
    );
    let good = stage.start("p3", "good").await;
    assert_eq!(stage.ended("p3", &good).await.status, Status::Deployed);
}

#[tokio::test]
async fn a_cancelled_build_stops_its_builder_at_once() {
    let stage = Stage::set(Vec::new());
    let id = stage.start("p1", "wait").await;
    stage.builder.begun.notified().await;
    stage.worker.cancel(&user("p1"), &id).await.unwrap();
    assert_eq!(
        stage.ended("p1", &id).await.reason,
        Some(FailureReason::Cancelled)
    );
    while stage.runner.running() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.builder.cleaned_up.load(Ordering::SeqCst), 1);
    let kinds = stage.kinds(&id).await;
    assert_eq!(kinds.last().map(String::as_str), Some("deploy_failed"));
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| kind.starts_with("deploy_"))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_shutdown_ends_what_runs_as_cancelled_and_claims_nothing_more() {
    let stage = Stage::set(Vec::new());
    let running = stage.start("p1", "wait").await;
    stage.builder.begun.notified().await;
    assert!(stage.runner.shutdown().await);
    assert_eq!(
        stage.ended("p1", &running).await.reason,
        Some(FailureReason::Cancelled)
    );
    assert_eq!(stage.builder.cleaned_up.load(Ordering::SeqCst), 1);
    let later = stage.start("p2", "good").await;
    let queued = stage
        .worker
        .build(&user("p2"), &later)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((queued.build.status, queued.position), (Status::Queued, 1));
    assert_eq!(stage.runner.running(), 0);
}

#[tokio::test]
async fn no_more_builds_run_at_once_than_configured() {
    let stage = Stage::set(Vec::new());
    let mut builds = Vec::new();
    for n in 0..6 {
        let project = format!("p{n}");
        builds.push((project.clone(), stage.start(&project, "wait").await));
    }
    for (project, id) in &builds {
        while stage
            .worker
            .build(&user(project), id)
            .await
            .unwrap()
            .unwrap()
            .build
            .status
            == Status::Queued
        {
            tokio::task::yield_now().await;
        }
        stage.worker.cancel(&user(project), id).await.unwrap();
    }
    while stage.runner.running() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.builder.most_at_once.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_workers_sweep_ends_what_nobody_claimed() {
    let stage = Stage::set(Vec::new());
    // With the runner shut down nobody claims; its sweep is gone, too, so the worker's is called.
    assert!(stage.runner.shutdown().await);
    let id = stage.start("p1", "good").await;
    assert_eq!(stage.worker.sweep(10).await.unwrap(), 0);
    stage.rooms.clock.advance(Duration::from_secs(600));
    assert_eq!(stage.worker.sweep(10).await.unwrap(), 1);
    assert_eq!(
        stage.ended("p1", &id).await.reason,
        Some(FailureReason::TimedOut)
    );
    assert_eq!(stage.worker.sweep(10).await.unwrap(), 0);
}

#[tokio::test]
async fn updates_cannot_grow_a_project_beyond_its_bound() {
    let stage = Stage::set(Vec::new());
    let files = |from: usize, count: usize| {
        let name = |n| FilePath::parse(&format!("f{n}")).unwrap();
        (from..from + count)
            .map(|n| (name(n), "x".into()))
            .collect::<FileSet>()
    };
    let start = |kind, files| {
        let input = BuildInput::new(kind, "good", files);
        let render = |_: &Admitted| StoredAnswer::new(202, Vec::new(), *b"{}", "req_1");
        let project = ProjectId::parse("p1").unwrap();
        let start = Start::new(user("p1"), project, input, Arc::new(render));
        stage.worker.start(permit(None, None).unwrap(), start)
    };
    let id = stage.start("p1", "good").await;
    stage.ended("p1", &id).await;
    let update = start(BuildKind::Update, files(0, FileSet::MAX_FILES))
        .await
        .unwrap();
    let AdmitOutcome::Admitted(admitted, _) = update else {
        panic!("{update:?}")
    };
    stage.ended("p1", &admitted.queued.build.id).await;
    let more = start(BuildKind::Update, files(FileSet::MAX_FILES, 1))
        .await
        .unwrap();
    assert_eq!(more, AdmitOutcome::ProjectTooLarge);
    let same = start(BuildKind::Update, files(7, 1)).await.unwrap();
    assert!(matches!(same, AdmitOutcome::Admitted(..)));
}

#[tokio::test(start_paused = true)]
async fn observers_hear_of_a_settled_build_and_are_tried_again() {
    let observer = Arc::new(Counting {
        fails_first: true,
        ..Counting::default()
    });
    let stage = Stage::set(vec![observer.clone()]);
    let id = stage.start("p1", "good").await;
    observer.heard.notified().await;
    assert_eq!(stage.ended("p1", &id).await.status, Status::Deployed);
    assert_eq!(observer.tries.load(Ordering::SeqCst), 2);
}

/// M4 and wire.md §6: deployed builds are measured, once each, and the next hold is the estimate
/// by them; what failed says nothing.
#[tokio::test]
async fn deployed_builds_are_measured_and_the_next_hold_is_estimated_by_them() {
    let rooms = Rooms::new();
    let samples = Arc::new(MemorySampleStore::new());
    let settings = EstimateSettings::default();
    let estimator = Arc::new(Estimator::new(samples, rooms.clock.clone(), settings));
    let measure = MeasureBuilds::new(estimator.clone(), rooms.builds.clone());
    let counting = Arc::new(Counting::default());
    let parts = rooms.parts(vec![Arc::new(measure.clone()), counting]);
    let worker = Arc::new(Worker::new(parts).with_estimator(estimator.clone()));
    let stage = Stage::of(rooms, worker);
    let (operation, size) = (OperationType::MainBuild, ProjectSize::Small);
    for n in 0..4 {
        let project = format!("p{n}");
        let id = stage.start(&project, "good").await;
        let build = stage.ended(&project, &id).await;
        assert_eq!(build.hold.as_ref().unwrap().seconds.get(), 180);
        // Told again, as observers are.
        let settled = Settled::new(build, Charge::None);
        measure.settled(&settled).await.unwrap();
    }
    let failed = stage.start("p4", "fail").await;
    stage.ended("p4", &failed).await;
    let still = stage.worker.estimate(operation, size).await.unwrap();
    assert_eq!(still.estimated_seconds.get(), 180);
    let id = stage.start("p5", "good").await;
    let build = stage.ended("p5", &id).await;
    measure
        .settled(&Settled::new(build, Charge::None))
        .await
        .unwrap();
    let told = estimator.calibration(operation, size).await.unwrap();
    assert_eq!((told.samples, told.covered), (5, 5));
    assert_eq!(told.overshoot.get(), 5 * (180 - 7));
    let id = stage.start("p6", "good").await;
    let build = stage.ended("p6", &id).await;
    assert_eq!(build.hold.unwrap().seconds.get(), 7);
    assert!(stage.runner.shutdown().await);
}
