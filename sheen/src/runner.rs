//! Runs builds: claims them, keeps them alive while a [`Builder`] works, and settles them.
//!
//! 1. At most `concurrency` builds at a time in this process; the oldest first.
//! 2. A heartbeat goes out every `heartbeat`; when it is answered `Lost`, the builder is told to
//!    stop and its result is thrown away.
//! 3. A builder that panics or fails ends its build as `BUILD_FAILED`; the runner goes on.
//! 4. A store that fails is tried again: no error ends the loop.
//! 5. [`RunnerHandle::shutdown`] claims nothing more, settles what runs as `CANCELLED`, tells the
//!    builders to stop and waits for them, `grace` at the most.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_listener::Event;
use futures_util::future::{self, Either, FutureExt};
use sheen_billing::account::CreditSweep;
use sheen_core::build::{BeatOutcome, Claimed, Ending, FailureReason};
use sheen_core::id::{BuildId, WorkerId};
use sheen_core::runtime::{Sleep, Spawn};

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
#[expect(clippy::exhaustive_structs, reason = "wiring: a new part must be noticed")]
pub struct RunnerParts {
    /// The worker.
    pub worker: Arc<Worker>,
    /// What builds.
    pub builder: Arc<dyn Builder>,
    /// Lapsed holds, swept beside overdue builds.
    pub credits: Arc<dyn CreditSweep>,
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
        loops: AtomicUsize::new(2),
    });
    spawn.spawn(Box::pin(claim_loop(Arc::clone(&shared))));
    spawn.spawn(Box::pin(sweep_loop(Arc::clone(&shared))));
    RunnerHandle(shared)
}

impl RunnerHandle {
    /// How many builds run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }

    /// Stops claiming, ends what runs as `CANCELLED`, and waits until all of it has stopped, for
    /// [`RunnerConfig::grace`] and a second at the most. Says whether all of it has.
    pub async fn shutdown(&self) -> bool {
        let shared = &self.0;
        shared.stop.stop();
        let limit = shared.parts.config.grace + Duration::from_secs(1);
        let timeout = shared.parts.sleep.sleep(limit);
        let idle = Box::pin(async {
            loop {
                let changed = shared.changed.listen();
                if self.running() == 0 && shared.loops.load(Ordering::SeqCst) == 0 {
                    return;
                }
                changed.await;
            }
        });
        matches!(future::select(idle, timeout).await, Either::Left(_))
    }
}

impl Shared {
    async fn sleep_unless_stopped(&self, duration: Duration) {
        let sleep = self.parts.sleep.sleep(duration);
        future::select(sleep, Box::pin(self.stop.stopped())).await;
    }

    fn loop_ended(&self) {
        self.loops.fetch_sub(1, Ordering::SeqCst);
        self.changed.notify(usize::MAX);
    }
}

async fn claim_loop(shared: Arc<Shared>) {
    let parts = &shared.parts;
    while !shared.stop.is_stopped() {
        let queue = parts.worker.listen_to_queue();
        let changed = shared.changed.listen();
        let free = shared.running.load(Ordering::SeqCst) < parts.config.concurrency;
        if free {
            match parts.worker.claim(&parts.id).await {
                Ok(Some(claimed)) => {
                    begin(&shared, claimed);
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "claim failed, trying again"),
            }
        }
        let heard = future::select(queue, changed);
        future::select(heard, Box::pin(shared.sleep_unless_stopped(parts.config.poll))).await;
    }
    shared.loop_ended();
}

async fn sweep_loop(shared: Arc<Shared>) {
    const BATCH: u32 = 100;
    let parts = &shared.parts;
    while !shared.stop.is_stopped() {
        match parts.worker.sweep(BATCH).await {
            Ok(0) => {}
            Ok(builds) => tracing::info!(builds, "overdue builds ended"),
            Err(error) => tracing::warn!(%error, "sweep of builds failed, trying again"),
        }
        match parts.credits.expire(BATCH).await {
            Ok(0) => {}
            Ok(holds) => tracing::info!(holds, "lapsed holds released"),
            Err(error) => tracing::warn!(%error, "sweep of holds failed, trying again"),
        }
        shared.sleep_unless_stopped(parts.config.sweep).await;
    }
    shared.loop_ended();
}

fn begin(shared: &Arc<Shared>, claimed: Claimed) {
    let stop = Stop::default();
    shared.running.fetch_add(1, Ordering::SeqCst);
    shared.parts.worker.run_begins(&claimed.build.id, stop.clone());
    let running = Running { shared: Arc::clone(shared), build: claimed.build.id.clone() };
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
        worker: Arc::clone(worker),
        build: build.clone(),
        token: build.token,
        stop: stop.clone(),
    };
    let builder = Arc::clone(&shared.parts.builder);
    let work = std::panic::AssertUnwindSafe(async { builder.build(&job, &progress).await });
    let mut work = Box::pin(work.catch_unwind().map(|result| {
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
        End::Stopped => wind_down(shared, work).await,
        End::ShuttingDown => {
            let ending = Ending::Failed {
                reason: FailureReason::Cancelled,
                error: "The worker shut down.".into(),
            };
            settle(shared, &progress, ending).await;
            stop.stop();
            wind_down(shared, work).await;
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
        Ok(built) => Ending::Deployed { preview_url: built.preview_url, seconds: built.seconds },
        Err(error) => {
            Ending::Failed { reason: FailureReason::BuildFailed, error: error.message }
        }
    }
}

/// Sends heartbeats until the build is over for this claim.
async fn beat(shared: &Shared, progress: &Progress) {
    let parts = &shared.parts;
    // The first one goes out at once: a build that was cancelled between its claim and its run is
    // noticed here.
    while !progress.stop.is_stopped() {
        match parts.worker.heartbeat(&progress.build.id, progress.token).await {
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

/// Settles until a store answers, or so many tries failed that the sweep will do it.
async fn settle(shared: &Shared, progress: &Progress, ending: Ending) {
    const TRIES: u32 = 20;
    const WAIT: Duration = Duration::from_millis(500);
    let build = &progress.build.id;
    for attempt in 1..=TRIES {
        match shared.parts.worker.finish(build, progress.token, ending.clone()).await {
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
