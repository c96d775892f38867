//! Runs builds: claims them, keeps them alive while a [`Builder`] works, and settles them.
//!
//! 1. At most `concurrency` builds at a time in this process; the oldest first.
//! 2. A heartbeat goes out every `heartbeat`; when it is answered `Lost`, the builder is told to
//!    stop and its result is thrown away. Where only the hold was lost, the build ends as
//!    `BUILD_FAILED`.
//! 3. A builder that panics or fails ends its build as `BUILD_FAILED`; the runner goes on.
//! 4. A store that fails is tried again: no error ends the loop.
//! 5. [`RunnerHandle::shutdown`] claims nothing more, tells the builders to stop, settles what runs
//!    as `CANCELLED`, and waits for builders and observers, `grace` at the most.
//! 6. Overdue builds, lapsed holds and forgotten idempotency records are swept, each by a loop of
//!    its own: one store that fails holds up no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_listener::Event;
use futures_util::future::{self, Either, FutureExt};
use sheen_billing::account::CreditSweep;
use sheen_core::build::{BeatOutcome, Claimed, Ending, FailureReason};
use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, WorkerId};
use sheen_core::idempotency::IdempotencyStore;
use sheen_core::runtime::{BoxFuture, Sleep, Spawn};

use crate::admission::SettleOutcome;
use crate::builder::{BuildError, Builder, Built, Job, Progress};
use crate::stop::Stop;
use crate::worker::Worker;

/// How a runner paces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunnerConfig {
    /// Builds at a time (`SHEEN_BUILDS`).
    pub concurrency: usize,
    /// How often a running build says that it lives; well below the 90 s of wire.md §5.
    pub heartbeat: Duration,
    /// How often the queue is looked at when nothing was heard of it.
    pub poll: Duration,
    /// How often overdue builds and lapsed holds are swept.
    pub sweep: Duration,
    /// How long a builder that was told to stop may take.
    pub grace: Duration,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self {
            concurrency: 2,
            heartbeat: Duration::from_secs(15),
            poll: Duration::from_secs(2),
            sweep: Duration::from_secs(5),
            grace: Duration::from_secs(3),
        }
    }
}

/// What a runner works with.
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "wiring: a new part must be noticed"
)]
pub struct RunnerParts {
    /// The worker.
    pub worker: Arc<Worker>,
    /// What builds.
    pub builder: Arc<dyn Builder>,
    /// Lapsed holds, to be swept.
    pub credits: Arc<dyn CreditSweep>,
    /// Idempotency records, to be swept.
    pub records: Arc<dyn IdempotencyStore>,
    /// This process.
    pub id: WorkerId,
    /// Tasks.
    pub spawn: Arc<dyn Spawn>,
    /// Waiting.
    pub sleep: Arc<dyn Sleep>,
    /// Paces.
    pub config: RunnerConfig,
}

#[derive(Debug)]
struct Shared {
    parts: RunnerParts,
    stop: Stop,
    running: AtomicUsize,
    /// Rung when a build ends and when a loop ends.
    changed: Event,
    loops: AtomicUsize,
}

/// A runner at work. Dropping the handle lets it run on.
#[derive(Debug, Clone)]
pub struct RunnerHandle(Arc<Shared>);

/// Starts a runner.
#[must_use]
pub fn start(parts: RunnerParts) -> RunnerHandle {
    let spawn = Arc::clone(&parts.spawn);
    let shared = Arc::new(Shared {
        parts,
        stop: Stop::default(),
        running: AtomicUsize::new(0),
        changed: Event::new(),
        loops: AtomicUsize::new(0),
    });
    let loops = [
        claim_loop(Looping::begin(&shared)).boxed(),
        sweep_loop(Looping::begin(&shared), "overdue builds", |parts| {
            parts.worker.sweep(BATCH).boxed()
        })
        .boxed(),
        sweep_loop(Looping::begin(&shared), "lapsed holds", |parts| {
            parts.credits.expire(BATCH)
        })
        .boxed(),
        sweep_loop(Looping::begin(&shared), "idempotency records", |parts| {
            parts.records.reap(BATCH)
        })
        .boxed(),
    ];
    for task in loops {
        spawn.spawn(task);
    }
    RunnerHandle(shared)
}

impl RunnerHandle {
    /// How many builds run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }

    /// Stops claiming, ends what runs as `CANCELLED`, and waits until all of it has stopped and
    /// observers have heard, for [`RunnerConfig::grace`] and a second at the most. Says whether
    /// all of it has.
    pub async fn shutdown(&self) -> bool {
        let shared = &self.0;
        shared.stop.stop();
        let limit = shared.parts.config.grace + Duration::from_secs(1);
        let timeout = shared.parts.sleep.sleep(limit);
        let idle = Box::pin(async {
            loop {
                let changed = shared.changed.listen();
                // In this order: a loop that has ended begins no build any more.
                if shared.loops.load(Ordering::SeqCst) == 0 && self.running() == 0 {
                    break;
                }
                changed.await;
            }
            shared.parts.worker.observers_heard().await;
        });
        matches!(future::select(idle, timeout).await, Either::Left(_))
    }
}

impl Shared {
    async fn sleep_unless_stopped(&self, duration: Duration) {
        let sleep = self.parts.sleep.sleep(duration);
        future::select(sleep, Box::pin(self.stop.stopped())).await;
    }
}

/// Counts a loop as running until it is dropped, however it ends.
struct Looping(Arc<Shared>);

impl Looping {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.loops.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Looping {
    fn drop(&mut self) {
        self.0.loops.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify(usize::MAX);
    }
}

async fn claim_loop(looping: Looping) {
    let shared = &looping.0;
    let parts = &shared.parts;
    while !shared.stop.is_stopped() {
        let queue = parts.worker.listen_to_queue();
        let changed = shared.changed.listen();
        let free = shared.running.load(Ordering::SeqCst) < parts.config.concurrency;
        if free {
            match parts.worker.claim(&parts.id).await {
                Ok(Some(claimed)) => {
                    begin(shared, claimed);
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "claim failed, trying again"),
            }
        }
        let heard = future::select(queue, changed);
        future::select(
            heard,
            Box::pin(shared.sleep_unless_stopped(parts.config.poll)),
        )
        .await;
    }
}

/// The most that one step of a sweep ends.
const BATCH: u32 = 100;

/// Sweeps until told to stop: at once again while a batch was full, else after a pause.
async fn sweep_loop(
    looping: Looping,
    what: &'static str,
    step: impl Fn(&RunnerParts) -> BoxFuture<'_, Result<u32, StoreError>> + Send,
) {
    let shared = &looping.0;
    while !shared.stop.is_stopped() {
        match step(&shared.parts).await {
            Ok(BATCH..) => continue,
            Ok(0) => {}
            Ok(count) => tracing::info!(what, count, "swept"),
            Err(error) => tracing::warn!(what, %error, "sweep failed, trying again"),
        }
        shared.sleep_unless_stopped(shared.parts.config.sweep).await;
    }
}

fn begin(shared: &Arc<Shared>, claimed: Claimed) {
    let stop = Stop::default();
    shared.running.fetch_add(1, Ordering::SeqCst);
    shared
        .parts
        .worker
        .run_begins(&claimed.build.id, stop.clone());
    let running = Running {
        shared: Arc::clone(shared),
        build: claimed.build.id.clone(),
    };
    let task = run(running, claimed, stop);
    shared.parts.spawn.spawn(Box::pin(task));
}

/// How the builder's future ended.
enum End {
    Builder(Result<Built, BuildError>),
    Stopped,
    ShuttingDown,
}

async fn run(running: Running, claimed: Claimed, stop: Stop) {
    let shared = &running.shared;
    let build = claimed.build.clone();
    let worker = &shared.parts.worker;
    let job = Job::new(claimed.build, claimed.input);
    let progress = Progress {
        sleep: Arc::clone(&shared.parts.sleep),
        appends: Arc::default(),
        worker: Arc::clone(worker),
        build: build.clone(),
        token: build.token,
        stop: stop.clone(),
    };
    let builder = Arc::clone(&shared.parts.builder);
    let work = std::panic::AssertUnwindSafe(async { builder.build(&job, &progress).await });
    let mut work =
        Box::pin(work.catch_unwind().map(|result| {
            result.unwrap_or_else(|_| Err(BuildError::new("The builder broke down.")))
        }));
    let end = {
        let beating = Box::pin(beat(shared, &progress));
        let stopping = Box::pin(shared.stop.stopped());
        let over = future::select(beating, stopping);
        match future::select(&mut work, over).await {
            Either::Left((result, _)) => End::Builder(result),
            Either::Right((Either::Left(_), _)) => End::Stopped,
            Either::Right((Either::Right(_), _)) => End::ShuttingDown,
        }
    };
    match end {
        End::Builder(result) => settle(shared, &progress, ending_of(result)).await,
        End::Stopped => {
            wind_down(shared, work).await;
            settle_if_still_ours(shared, &progress).await;
        }
        End::ShuttingDown => {
            let ending = Ending::Failed {
                reason: FailureReason::Cancelled,
                error: "The worker shut down.".into(),
            };
            stop.stop();
            let settled = Box::pin(settle(shared, &progress, ending));
            future::join(settled, wind_down(shared, work)).await;
        }
    }
}

/// Counts a build as running until it is dropped, however the run ends.
struct Running {
    shared: Arc<Shared>,
    build: BuildId,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.parts.worker.run_ends(&self.build);
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
        self.shared.changed.notify(usize::MAX);
    }
}

fn ending_of(result: Result<Built, BuildError>) -> Ending {
    match result {
        Ok(built) => Ending::Deployed {
            preview_url: built.preview_url,
            seconds: built.seconds,
        },
        Err(error) => Ending::Failed {
            reason: FailureReason::BuildFailed,
            error: error.message,
        },
    }
}

/// Sends heartbeats until the build is over for this claim.
async fn beat(shared: &Shared, progress: &Progress) {
    let parts = &shared.parts;
    // The first one goes out at once: a build that was cancelled between its claim and its run is
    // noticed here.
    while !progress.stop.is_stopped() {
        match parts
            .worker
            .heartbeat(&progress.build.id, progress.token)
            .await
        {
            Ok(BeatOutcome::Lost) => {
                progress.stop.stop();
                return;
            }
            Ok(_) => {}
            // The deadline is several heartbeats away; should it pass, the store will say so.
            Err(error) => {
                tracing::warn!(build_id = %progress.build.id, %error, "heartbeat failed");
            }
        }
        let sleep = parts.sleep.sleep(parts.config.heartbeat);
        future::select(sleep, Box::pin(progress.stop.stopped())).await;
    }
}

/// Lets a builder whose build is over clean up, for the grace it has.
async fn wind_down(shared: &Shared, work: impl Future<Output = Result<Built, BuildError>> + Unpin) {
    let grace = shared.parts.sleep.sleep(shared.parts.config.grace);
    future::select(work, grace).await;
}

/// A claim that lost its hold alone still has the build: it ends here, not at its deadline. For
/// one that was ended or taken over this changes nothing.
async fn settle_if_still_ours(shared: &Shared, progress: &Progress) {
    let ending = Ending::Failed {
        reason: FailureReason::BuildFailed,
        error: "The credits held for the build were taken back.".into(),
    };
    let build = &progress.build.id;
    if let Err(error) = shared
        .parts
        .worker
        .finish(build, progress.token, ending)
        .await
    {
        tracing::warn!(build_id = %build, %error, "a lost build was not settled");
    }
}

/// Settles until a store answers, or so many tries failed that the sweep will do it.
async fn settle(shared: &Shared, progress: &Progress, ending: Ending) {
    // Together they stay below the 90 s after which the sweep ends the build.
    const TRIES: u32 = 150;
    const WAIT: Duration = Duration::from_millis(500);
    let build = &progress.build.id;
    for attempt in 1..=TRIES {
        match shared
            .parts
            .worker
            .finish(build, progress.token, ending.clone())
            .await
        {
            Ok(SettleOutcome::Settled(_)) => return,
            Ok(SettleOutcome::Unchanged(outcome)) => {
                tracing::info!(build_id = %build, ?outcome, "the build had ended before");
                return;
            }
            Err(error) => {
                tracing::warn!(build_id = %build, %error, attempt, "settlement failed");
                shared.parts.sleep.sleep(WAIT).await;
            }
        }
    }
    tracing::error!(build_id = %build, "settlement given up; the sweep will end the build");
}
