//! Working on the queue, beside whatever else the process does.
//!
//! 1. What is stored decides who works on what, over all processes; a runner only asks.
//! 2. No work begins while builds wait.
//! 3. A provider has one try and a time limit. Failing, panicking and taking too long are
//!    failures, which are stored and told like any end.
//! 4. A store that fails is asked again: no error ends the runner.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_listener::Event;
use sheen_core::error::StoreError;
use sheen_core::runtime::{Sleep, Spawn};

use super::provider::{BuildsFirst, ProviderError, RecommendProvider};
use super::race::{Raced, Stop, either, race};
use super::service::Recommendations;
use super::types::{ClaimOutcome, Items, Record, SettleOutcome};

/// How often the queue is looked at when nothing was heard of it.
const PAUSE: Duration = Duration::from_secs(1);
/// The most steps of streams that are done at a time.
const BATCH: u32 = 100;
/// How often a result is stored until a store takes it; after that its time limit fails it.
const TRIES: u32 = 10;

/// What a runner works with.
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "wiring: a new part must be noticed"
)]
pub struct RecommendRunnerParts {
    /// The service whose queue it is.
    pub service: Recommendations,
    /// What makes recommendations.
    pub provider: Arc<dyn RecommendProvider>,
    /// Whether builds wait.
    pub builds: Arc<dyn BuildsFirst>,
    /// Tasks.
    pub spawn: Arc<dyn Spawn>,
    /// Waiting.
    pub sleep: Arc<dyn Sleep>,
}

#[derive(Debug)]
struct Shared {
    parts: RecommendRunnerParts,
    stop: Stop,
    /// The loop and what it runs.
    tasks: AtomicUsize,
    changed: Event,
}

/// A runner at work. Dropping the handle lets it run on.
#[derive(Debug, Clone)]
pub struct RecommendRunner(Arc<Shared>);

/// Starts a runner.
#[must_use]
pub fn run(parts: RecommendRunnerParts) -> RecommendRunner {
    let spawn = Arc::clone(&parts.spawn);
    let shared = Arc::new(Shared {
        parts,
        stop: Stop::default(),
        tasks: AtomicUsize::new(0),
        changed: Event::new(),
    });
    let task = Task::begin(&shared);
    spawn.spawn(Box::pin(async move { look_again_and_again(&task.0).await }));
    RecommendRunner(shared)
}

impl RecommendRunner {
    /// Begins nothing more, fails what runs as stopped, and waits for it, `grace` at the most. Says
    /// whether all of it has ended.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        let shared = &self.0;
        shared.stop.stop();
        let ended = Box::pin(async {
            loop {
                let changed = shared.changed.listen();
                if shared.tasks.load(Ordering::SeqCst) == 0 {
                    return;
                }
                changed.await;
            }
        });
        either(ended, shared.parts.sleep.sleep(grace)).await;
        shared.tasks.load(Ordering::SeqCst) == 0
    }
}

/// Counts a task until it is dropped, however it ends.
struct Task(Arc<Shared>);

impl Task {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.tasks.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify(usize::MAX);
    }
}

async fn look_again_and_again(shared: &Arc<Shared>) {
    while !shared.stop.is_stopped() {
        let (queued, changed) = (shared.parts.service.listen(), shared.changed.listen());
        let looked = look(shared).await;
        if let Err(error) = looked {
            tracing::warn!(%error, "the queue of recommendations failed, trying again");
        }
        let heard = Box::pin(either(Box::pin(queued), Box::pin(changed)));
        let paused = Box::pin(either(
            shared.parts.sleep.sleep(PAUSE),
            Box::pin(shared.stop.stopped()),
        ));
        either(heard, paused).await;
    }
}

/// Tells what is to be told, forgets what is old, and begins what may begin.
async fn look(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let service = &shared.parts.service;
    for due in service.queue().due(BATCH).await? {
        if let Err(error) = service.step(&due.record, due.step).await {
            tracing::warn!(record = %due.record.key(), %error, "a stream was not told");
        }
    }
    service.queue().forget(BATCH).await?;
    while !shared.stop.is_stopped() && !shared.parts.builds.builds_wait() {
        match service.queue().claim().await? {
            ClaimOutcome::Claimed(record) => {
                let task = Task::begin(shared);
                let work = async move { work(&task.0, record).await };
                shared.parts.spawn.spawn(Box::pin(work));
            }
            ClaimOutcome::Empty | ClaimOutcome::Wait(_) => break,
        }
    }
    Ok(())
}

async fn work(shared: &Shared, record: Record) {
    let parts = &shared.parts;
    let limit = parts.sleep.sleep(parts.service.limits().try_limit);
    let asked = parts.provider.recommend(&record.request);
    let result = match race(asked, limit, Box::pin(shared.stop.stopped())).await {
        Raced::Done(Ok(items)) => Items::new(items).map_err(|error| {
            tracing::warn!(record = %record.key(), %error, "recommendations out of bounds");
            "The recommendations could not be used.".into()
        }),
        Raced::Done(Err(ProviderError { message })) => Err(fit(&message)),
        Raced::BrokeDown => Err("The recommendations broke down.".into()),
        Raced::TooLong => Err("The recommendations took too long.".into()),
        Raced::Stopped => Err("The worker shut down.".into()),
    };
    let (key, queue) = (record.key(), parts.service.queue());
    for _ in 0..TRIES {
        match queue.settle(&key, record.attempt, result.clone()).await {
            Ok(SettleOutcome::Settled(settled)) => {
                // What is not told now, the next look tells.
                if let Err(error) = parts.service.settle_stream(settled).await {
                    tracing::warn!(record = %key, %error, "a stream was not told yet");
                }
                return;
            }
            Ok(_) => {
                tracing::info!(record = %key, "recommendations came too late");
                return;
            }
            Err(error) => {
                tracing::warn!(record = %key, %error, "recommendations were not stored");
                parts.sleep.sleep(PAUSE).await;
            }
        }
    }
}

/// A text that a store keeps.
fn fit(message: &str) -> Arc<str> {
    let plain = message.replace('\0', "");
    let text = plain.trim();
    if text.is_empty() {
        return "There are no recommendations.".into();
    }
    text[..text.floor_char_boundary(ProviderError::MAX)].into()
}
