//! Wake-ups between processes, over any channel that carries short texts. The channel is trusted
//! with nothing: what it may have lost is looked for, and while it cannot be heard it says so.
//!
//! A word is `{process}/{build}`, `{process}/*` for «look at all» or `{process}/` for the canary.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use event_listener::Event;
use sheen_core::entropy::Entropy;
use sheen_core::id::BuildId;
use sheen_core::runtime::{BoxFuture, Sleep, Spawn};
use sheen_core::time::Clock;

use super::race::{Either, race};
use super::{Listener, MemoryWake, Wake};

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Beats and bounds of wake-ups between processes.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct WakeConfig {
    /// How often a canary goes through the channel: every 5 s. Not heard for 2.5 times as long, the
    /// channel is unhealthy, everyone looks, and it is connected anew.
    pub beat: Duration,
    /// How often readers look by themselves all the same: every 5 s.
    pub poll_interval: Duration,
    /// Rings are sent at once, and again no sooner than after 5 ms: a thousand appends are a few
    /// messages.
    pub gap: Duration,
    /// How long a connection or a message may take: 5 s.
    pub timeout: Duration,
    /// The wait before the channel is connected again: 500 ms.
    pub reconnect: Duration,
    /// The most builds in one batch, 4,096: beyond, it says «look at all».
    pub max_batch: usize,
}

impl Default for WakeConfig {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(5),
            poll_interval: Duration::from_secs(5),
            gap: Duration::from_millis(5),
            timeout: Duration::from_secs(5),
            reconnect: Duration::from_millis(500),
            max_batch: 4096,
        }
    }
}

/// What runs the tasks of a channel.
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "wiring: a new part must be noticed"
)]
pub struct WakeParts {
    /// Starts them.
    pub spawn: Arc<dyn Spawn>,
    /// Lets them wait.
    pub sleep: Arc<dyn Sleep>,
    /// Measures silence.
    pub clock: Arc<dyn Clock>,
    /// Names this process in the channel.
    pub entropy: Arc<dyn Entropy>,
}

/// A channel: one connection that sends, one that hears.
#[async_trait]
pub(super) trait Channel: fmt::Debug + Send + Sync + 'static {
    async fn sender(&self) -> Result<Box<dyn Outlet>, Failure>;
    /// Listening has been acknowledged when this returns (B7).
    async fn hearer(&self) -> Result<Box<dyn Inlet>, Failure>;
}

#[async_trait]
pub(super) trait Outlet: Send {
    async fn send(&mut self, words: &[String]) -> Result<(), Failure>;
}

#[async_trait]
pub(super) trait Inlet: Send {
    /// The next word. An error, also a connection that was quietly made anew, means that any number
    /// of words is lost.
    async fn hear(&mut self) -> Result<String, Failure>;
}

/// Wakes readers of this and of other processes.
#[derive(Debug, Clone)]
pub(super) struct Bus(Arc<Handle>);

/// Ends the tasks with the last clone.
#[derive(Debug)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.stopped.store(true, SeqCst);
        self.0.work.notify(usize::MAX);
        self.0.stop.notify(usize::MAX);
    }
}

#[derive(Debug)]
struct Shared {
    local: MemoryWake,
    config: WakeConfig,
    parts: WakeParts,
    channel: Box<dyn Channel>,
    process: String,
    pending: Mutex<Pending>,
    work: Event,
    /// Until then on the monotonic clock, in ms, the last canary that was heard counts.
    healthy_until: AtomicU64,
    stopped: AtomicBool,
    stop: Event,
}

#[derive(Debug, Default)]
struct Pending {
    builds: BTreeSet<BuildId>,
    all: bool,
}

impl Bus {
    pub(super) fn start(channel: impl Channel, parts: WakeParts, config: WakeConfig) -> Self {
        let mut process = [0; 8];
        parts.entropy.fill(&mut process);
        let spawn = Arc::clone(&parts.spawn);
        let shared = Arc::new(Shared {
            local: MemoryWake::with_poll_interval(config.poll_interval),
            config,
            parts,
            channel: Box::new(channel),
            process: const_hex::encode(process),
            pending: Mutex::default(),
            work: Event::new(),
            healthy_until: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            stop: Event::new(),
        });
        let (ringer, hearer) = (Arc::clone(&shared), Arc::clone(&shared));
        spawn.spawn(Box::pin(async move { ringer.ring_on().await }));
        spawn.spawn(Box::pin(async move { hearer.hear_on().await }));
        Self(Arc::new(Handle(shared)))
    }
}

impl Wake for Bus {
    fn ring(&self, build: &BuildId) {
        let shared = &self.0.0;
        shared.local.ring(build);
        shared.pend(|pending, most| {
            if pending.builds.len() < most {
                pending.builds.insert(build.clone());
            } else {
                pending.all = true;
            }
        });
        shared.work.notify(1);
    }

    fn listen(&self, build: &BuildId) -> Box<dyn Listener> {
        self.0.0.local.listen(build)
    }

    fn poll_interval(&self) -> Duration {
        self.0.0.config.poll_interval
    }

    fn is_healthy(&self) -> bool {
        self.0.0.is_healthy()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pend(&self, change: impl FnOnce(&mut Pending, usize)) {
        change(&mut self.lock(), self.config.max_batch);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.parts.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_healthy(&self) -> bool {
        self.now_ms() < self.healthy_until.load(SeqCst)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(SeqCst)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.parts.sleep.sleep(duration)
    }

    /// `future`, unless it takes too long or all is over.
    async fn within<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let stop = self.stop.listen();
        if self.is_stopped() {
            return Err("stopped".into());
        }
        let given_up = async { race(self.sleep(limit), stop).await };
        match race(Box::pin(future), Box::pin(given_up)).await {
            Either::Left(done) => done,
            Either::Right(_) => Err("the channel is silent".into()),
        }
    }

    async fn pause(&self) {
        let _given_up: Result<(), Failure> = self
            .within(self.config.reconnect, std::future::pending())
            .await;
    }

    /// Words of what waits to be sent.
    fn take_words(&self) -> Vec<String> {
        let Pending { builds, all } = std::mem::take(&mut *self.lock());
        if all {
            return vec![format!("{}/*", self.process)];
        }
        builds
            .iter()
            .map(|build| format!("{}/{build}", self.process))
            .collect()
    }

    /// The one task that sends: whatever was rung since the last batch, and a canary each beat.
    async fn ring_on(&self) {
        while !self.is_stopped() {
            let sender = self.channel.sender();
            if let Ok(mut sender) = self.within(self.config.timeout, sender).await {
                let _broken: Failure = self.send_all(&mut *sender).await;
            }
            // Whatever was in the last batch may be lost, and what was rung meanwhile is not sent.
            self.pend(|pending, _| pending.all = true);
            self.pause().await;
        }
    }

    /// Sends until it cannot.
    async fn send_all(&self, sender: &mut dyn Outlet) -> Failure {
        let mut canary_at = self.now_ms();
        loop {
            let work = self.work.listen();
            let mut words = self.take_words();
            if self.now_ms() >= canary_at {
                words.push(format!("{}/", self.process));
                canary_at = self.now_ms() + millis(self.config.beat);
            }
            if words.is_empty() {
                let wait = Duration::from_millis(canary_at.saturating_sub(self.now_ms()).max(1));
                race(work, self.sleep(wait)).await;
                if self.is_stopped() {
                    return "stopped".into();
                }
                continue;
            }
            if let Err(failure) = self.within(self.config.timeout, sender.send(&words)).await {
                return failure;
            }
            self.sleep(self.config.gap).await;
        }
    }

    /// The one task that hears.
    async fn hear_on(&self) {
        while !self.is_stopped() {
            let hearer = self.channel.hearer();
            if let Ok(mut hearer) = self.within(self.config.timeout, hearer).await {
                // What was rung before this was not heard.
                self.local.ring_all();
                let _broken: Failure = self.hear_all(&mut *hearer).await;
                self.healthy_until.store(0, SeqCst);
                self.local.ring_all();
            }
            self.pause().await;
        }
    }

    /// Hears until it cannot, or has not heard its own canary for too long: words of others alone
    /// do not show that this process is heard (C7).
    async fn hear_all(&self, hearer: &mut dyn Inlet) -> Failure {
        let patience = self.config.beat * 5 / 2;
        let mut silent_at = self.now_ms() + millis(patience);
        loop {
            let left = silent_at.saturating_sub(self.now_ms());
            if left == 0 {
                return "the canary does not come".into();
            }
            let word = match self
                .within(Duration::from_millis(left), hearer.hear())
                .await
            {
                Ok(word) => word,
                Err(failure) => return failure,
            };
            let Some((process, build)) = word.split_once('/') else {
                continue;
            };
            if process == self.process {
                // Its own rings were heard here before they were sent.
                if build.is_empty() {
                    silent_at = self.now_ms() + millis(patience);
                    self.healthy_until.store(silent_at, SeqCst);
                }
            } else if build == "*" {
                self.local.ring_all();
            } else if let Ok(build) = BuildId::parse(build) {
                self.local.ring(&build);
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
