//! Callers that vanish and stores that fail: what follows from a step still follows.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sheen::admission::{
    Admission, Admit, AdmitOutcome, Admitted, Charge, ProjectReserveOutcome, SettleOutcome, Settled,
};
use sheen::builder::{BuildError, Builder, Built, Job, Progress};
use sheen::runner::{RunnerConfig, RunnerHandle, RunnerParts};
use sheen::worker::{SettledObserver, Start, Worker};
use sheen_billing::account::{CreditReader, CreditStore, Reserve};
use sheen_core::build::{
    Authority, BeatOutcome, BuildInput, BuildKind, Claimed, Ending, FailureReason, Finish, Status,
};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::files::FileSet;
use sheen_core::id::{BuildId, OperationId, ProjectId, UserId, WorkerId};
use sheen_core::idempotency::StoredAnswer;
use sheen_core::mode::permit;
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_core::token::FencingToken;
use sheen_events::log::{EventType, NewEvent};
use sheen_events::wake::Wake;
use tokio::sync::Notify;

use crate::support::{Rooms, Slow};

#[derive(Debug, Default)]
struct Waiting {
    begun: Notify,
    stopped: Notify,
}

#[async_trait]
impl Builder for Waiting {
    async fn build(&self, job: &Job, progress: &Progress) -> Result<Built, BuildError> {
        self.begun.notify_one();
        if &*job.input.prompt == "wait" {
            progress.stopped().await;
            self.stopped.notify_one();
        }
        Ok(Built::new("https://preview.test/", Seconds::from_u32(1)))
    }
}

#[derive(Debug, Default)]
struct Heard(Notify);

#[async_trait]
impl SettledObserver for Heard {
    async fn settled(&self, _: &Settled) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0.notify_one();
        Ok(())
    }
}

pub(crate) fn rooms() -> Rooms {
    Rooms::with(|config| config.credits.daily_gift = Seconds::from_u32(10_000))
}

/// Nothing happens by polling or beating again within a test: only by being told.
pub(crate) fn patient() -> RunnerConfig {
    let mut config = RunnerConfig::default();
    let never = Duration::from_secs(3600);
    (config.poll, config.heartbeat, config.sweep) = (never, never, never);
    config
}

pub(crate) fn run<B: Builder>(
    rooms: &Rooms,
    worker: &Arc<Worker>,
    builder: &Arc<B>,
    config: RunnerConfig,
) -> RunnerHandle {
    sheen::runner::start(RunnerParts {
        worker: Arc::clone(worker),
        builder: builder.clone(),
        credits: rooms.credits.clone(),
        records: rooms.idempotency.clone(),
        id: WorkerId::parse("w1").unwrap(),
        spawn: Arc::new(TokioRuntime),
        sleep: Arc::new(TokioRuntime),
        config,
    })
}

pub(crate) fn user() -> UserId {
    UserId::parse("u").unwrap()
}

pub(crate) async fn start(worker: &Worker, prompt: &str) -> BuildId {
    let input = BuildInput::new(BuildKind::Create, prompt, FileSet::default());
    let render = |_: &Admitted| StoredAnswer::new(202, Vec::new(), *b"{}", "req_1");
    let project = ProjectId::parse("p").unwrap();
    let start = Start::new(user(), project, input, Arc::new(render));
    match worker
        .start(permit(None, None).unwrap(), start)
        .await
        .unwrap()
    {
        AdmitOutcome::Admitted(admitted, _) => admitted.queued.build.id,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn ended(worker: &Worker, id: &BuildId) -> sheen_core::build::Build {
    loop {
        let build = worker.build(&user(), id).await.unwrap().unwrap().build;
        if !build.status.is_active() {
            return build;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_start_wakes_the_runner_and_an_end_rings_the_readers() {
    let rooms = rooms();
    let worker = rooms.worker(Vec::new());
    let builder = Arc::new(Waiting::default());
    let _runner = run(&rooms, &worker, &builder, patient());
    tokio::task::yield_now().await;
    let id = start(&worker, "wait").await;
    builder.begun.notified().await;
    let mut listener = rooms.wake.listen(&id);
    worker.cancel(&user(), &id).await.unwrap();
    listener.rung().await;
    builder.stopped.notified().await;
}

#[tokio::test]
async fn a_canceller_that_vanishes_takes_nothing_along() {
    let rooms = rooms();
    let heard = Arc::new(Heard::default());
    let mut parts = rooms.parts(vec![heard.clone()]);
    parts.admission = Arc::new(Slow(rooms.admission.clone()));
    let worker = Arc::new(Worker::new(parts));
    let builder = Arc::new(Waiting::default());
    let _runner = run(&rooms, &worker, &builder, patient());
    let id = start(&worker, "wait").await;
    builder.begun.notified().await;
    let user = user();
    let mut cancel = Box::pin(worker.cancel(&user, &id));
    assert!(futures_util::poll!(cancel.as_mut()).is_pending());
    drop(cancel);
    builder.stopped.notified().await;
    heard.0.notified().await;
    assert_eq!(
        ended(&worker, &id).await.reason,
        Some(FailureReason::Cancelled)
    );
}

/// Fails so many settlements, and ends each build just after it was claimed when told to.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Admission>,
    /// Whether a settlement fails after it was done.
    loses_answers: bool,
    failures: AtomicU32,
    cancels_claims: bool,
    settlements: AtomicUsize,
}

impl Faulty {
    fn new(rooms: &Rooms, failures: u32, cancels_claims: bool) -> Arc<Self> {
        Arc::new(Self {
            inner: rooms.admission.clone(),
            loses_answers: false,
            failures: AtomicU32::new(failures),
            cancels_claims,
            settlements: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Admission for Faulty {
    async fn admit(&self, admit: Admit) -> Result<AdmitOutcome, StoreError> {
        self.inner.admit(admit).await
    }

    async fn claim(&self, worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
        let claimed = self.inner.claim(worker).await?;
        if let (Some(claimed), true) = (&claimed, self.cancels_claims) {
            let reason = FailureReason::Cancelled;
            let ending = Ending::Failed {
                reason,
                error: "Elsewhere.".into(),
            };
            let by = Authority::Owner(claimed.build.user.clone());
            self.inner
                .settle(Finish::new(claimed.build.id.clone(), by, ending))
                .await?;
        }
        Ok(claimed)
    }

    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError> {
        self.inner.beat(build, token).await
    }

    async fn settle(&self, finish: Finish) -> Result<SettleOutcome, StoreError> {
        self.settlements.fetch_add(1, Ordering::SeqCst);
        let left = self
            .failures
            .try_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_err() {
            return self.inner.settle(finish).await;
        }
        if self.loses_answers {
            self.inner.settle(finish).await?;
            return Err(StoreError::new(StoreErrorKind::OutcomeUnknown));
        }
        Err(StoreError::new(StoreErrorKind::Unavailable))
    }

    async fn reserve(&self, reserve: Reserve) -> Result<ProjectReserveOutcome, StoreError> {
        self.inner.reserve(reserve).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_settlement_is_tried_until_the_store_answers() {
    let rooms = rooms();
    let faulty = Faulty::new(&rooms, 5, false);
    let mut parts = rooms.parts(Vec::new());
    parts.admission = faulty.clone();
    let worker = Arc::new(Worker::new(parts));
    let builder = Arc::new(Waiting::default());
    let runner = run(&rooms, &worker, &builder, RunnerConfig::default());
    let id = start(&worker, "good").await;
    while runner.running() > 0 || faulty.settlements.load(Ordering::SeqCst) < 6 {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert_eq!(ended(&worker, &id).await.status, Status::Deployed);
}

/// Counts what it hears.
#[derive(Debug, Default)]
struct Counting(Mutex<Vec<Settled>>);

impl Counting {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[async_trait]
impl SettledObserver for Counting {
    async fn settled(
        &self,
        settled: &Settled,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0.lock().unwrap().push(settled.clone());
        Ok(())
    }
}

#[tokio::test]
async fn a_settlement_whose_answer_was_lost_is_heard_of_once() {
    for (is_done, is_repeated) in [(true, true), (true, false), (false, false)] {
        let rooms = rooms();
        let mut faulty = Faulty::new(&rooms, 1, false);
        Arc::get_mut(&mut faulty).unwrap().loses_answers = is_done;
        let heard = Arc::new(Counting::default());
        let mut parts = rooms.parts(vec![heard.clone()]);
        parts.admission = faulty;
        let worker = Worker::new(parts);
        let id = start(&worker, "good").await;
        worker.cancel(&user(), &id).await.unwrap_err();
        if is_repeated {
            worker.cancel(&user(), &id).await.unwrap();
        }
        worker.sweep(10).await.unwrap();
        worker.sweep(10).await.unwrap();
        if is_done {
            worker.cancel(&user(), &id).await.unwrap();
            testkit::until_async("the observer to hear", || async { heard.count() > 0 }).await;
        }
        tokio::task::yield_now().await;
        assert_eq!(heard.count(), usize::from(is_done));
        for settled in heard.0.lock().unwrap().iter() {
            assert_eq!(settled.build.reason, Some(FailureReason::Cancelled));
            assert_eq!(settled.charge, Charge::Unknown);
        }
    }
}

#[tokio::test]
async fn a_build_that_ended_between_claim_and_run_is_noticed_at_once() {
    let rooms = rooms();
    let mut parts = rooms.parts(Vec::new());
    parts.admission = Faulty::new(&rooms, 0, true);
    let worker = Arc::new(Worker::new(parts));
    let builder = Arc::new(Waiting::default());
    let _runner = run(&rooms, &worker, &builder, patient());
    let id = start(&worker, "wait").await;
    builder.stopped.notified().await;
    assert_eq!(
        ended(&worker, &id).await.reason,
        Some(FailureReason::Cancelled)
    );
}

#[tokio::test]
async fn a_build_ended_by_another_process_stops_by_its_heartbeat() {
    let rooms = rooms();
    let worker = rooms.worker(Vec::new());
    let elsewhere = rooms.worker(Vec::new());
    let builder = Arc::new(Waiting::default());
    let mut config = patient();
    config.heartbeat = Duration::from_millis(20);
    let _runner = run(&rooms, &worker, &builder, config);
    let id = start(&worker, "wait").await;
    builder.begun.notified().await;
    elsewhere.cancel(&user(), &id).await.unwrap();
    builder.stopped.notified().await;
}

#[tokio::test]
async fn a_build_whose_hold_was_taken_back_ends_at_its_next_heartbeat() {
    let rooms = rooms();
    let worker = rooms.worker(Vec::new());
    let builder = Arc::new(Waiting::default());
    let mut config = patient();
    config.heartbeat = Duration::from_millis(20);
    let _runner = run(&rooms, &worker, &builder, config);
    let id = start(&worker, "wait").await;
    builder.begun.notified().await;
    let build = worker.build(&user(), &id).await.unwrap().unwrap().build;
    let operation = OperationId::parse("mine").unwrap();
    let release = sheen_billing::account::Release::new(build.hold.unwrap().id, operation);
    rooms.credits.release(release).await.unwrap();
    builder.stopped.notified().await;
    assert_eq!(
        ended(&worker, &id).await.reason,
        Some(FailureReason::BuildFailed)
    );
}

#[tokio::test]
async fn a_builder_cannot_say_how_its_build_ended() {
    let rooms = rooms();
    let worker = rooms.worker(Vec::new());
    let id = start(&worker, "good").await;
    let claimed = worker
        .claim(&WorkerId::parse("w1").unwrap())
        .await
        .unwrap()
        .unwrap();
    let mut data = serde_json::Map::new();
    data.insert("message".to_owned(), "done".into());
    for kind in [EventType::DEPLOY_COMPLETED, EventType::DEPLOY_FAILED] {
        let event = NewEvent::new(kind, &data).unwrap();
        let refused = worker
            .step(&id, claimed.build.token, vec![event])
            .await
            .unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::Rejected);
    }
}

#[tokio::test]
async fn the_runner_sweeps_overdue_builds_and_lapsed_holds() {
    let rooms = rooms();
    let worker = rooms.worker(Vec::new());
    let builder = Arc::new(Waiting::default());
    let mut config = patient();
    config.sweep = Duration::from_millis(20);
    // One build runs; it never beats within the test, so its deadline passes when the clock moves.
    let _runner = run(&rooms, &worker, &builder, config);
    let id = start(&worker, "wait").await;
    builder.begun.notified().await;
    let operation = OperationId::parse("loose").unwrap();
    let reserve = Reserve::new(user(), operation, Seconds::from_u32(5));
    rooms.credits.reserve(reserve).await.unwrap();
    rooms.clock.advance(Duration::from_secs(3601));
    builder.stopped.notified().await;
    assert_eq!(
        ended(&worker, &id).await.reason,
        Some(FailureReason::TimedOut)
    );
    while rooms.credits.ledger_totals().await.unwrap().held > 0 {
        tokio::task::yield_now().await;
    }
}

#[derive(Debug, Default)]
struct Panicking(AtomicUsize, Notify);

#[async_trait]
impl SettledObserver for Panicking {
    async fn settled(&self, _: &Settled) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        assert!(
            self.0.fetch_add(1, Ordering::SeqCst) > 0,
            "an observer's fault, on purpose"
        );
        self.1.notify_one();
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_is_tried_again() {
    let rooms = rooms();
    let observer = Arc::new(Panicking::default());
    let worker = rooms.worker(vec![observer.clone()]);
    let id = start(&worker, "good").await;
    worker.cancel(&user(), &id).await.unwrap();
    observer.1.notified().await;
    assert_eq!(observer.0.load(Ordering::SeqCst), 2);
}
