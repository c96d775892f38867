//! What goes wrong: dice, wake-ups that are lost, doubled and late, a log that fails.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::entropy::{Entropy, SeededEntropy};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::BuildId;
use sheen_core::time::{Clock, ManualClock};
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, AppendOutcome, EventLog, NewStream, Page, StreamHead};
use sheen_events::wake::{Listener, MemoryWake, Wake};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// Numbers that follow from a seed.
pub(crate) struct Dice(SeededEntropy);

impl fmt::Debug for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dice").finish_non_exhaustive()
    }
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// Below `sides`.
    pub(crate) fn roll(&self, sides: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % sides
    }

    pub(crate) fn one_in(&self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// A channel of which a ring may be lost, come twice, come late, or be another build's.
#[derive(Debug)]
pub(crate) struct ChaosWake {
    inner: MemoryWake,
    clock: Arc<ManualClock>,
    dice: Dice,
    late: Mutex<Vec<(Duration, BuildId)>>,
    /// Whether it says that no ring is lost, which may be so or not.
    seems_healthy: bool,
    pub(crate) calm: AtomicBool,
}

impl ChaosWake {
    pub(crate) fn new(clock: Arc<ManualClock>, seed: u64) -> Self {
        let dice = Dice::new(seed ^ 0x57a6);
        Self {
            inner: MemoryWake::new(),
            clock,
            seems_healthy: dice.one_in(2),
            dice,
            late: Mutex::default(),
            calm: AtomicBool::new(false),
        }
    }

    /// Delivers what is due.
    pub(crate) fn deliver(&self) {
        let now = self.clock.monotonic();
        let due = |(at, _): &mut (Duration, BuildId)| *at <= now;
        let due: Vec<_> = self.late.lock().unwrap().extract_if(.., due).collect();
        for (_, build) in due {
            self.inner.ring(&build);
        }
    }
}

impl Wake for ChaosWake {
    fn ring(&self, build: &BuildId) {
        if self.calm.load(SeqCst) {
            return self.inner.ring(build);
        }
        match self.dice.roll(6) {
            0 | 1 => {}
            2 => {
                self.inner.ring(build);
                self.inner.ring(build);
            }
            3 => {
                let at = self.clock.monotonic() + Duration::from_millis(self.dice.roll(9_000));
                self.late.lock().unwrap().push((at, build.clone()));
            }
            4 => self.inner.ring(&"another".parse().unwrap()),
            _ => self.inner.ring(build),
        }
    }

    fn listen(&self, build: &BuildId) -> Box<dyn Listener> {
        self.inner.listen(build)
    }

    fn poll_interval(&self) -> Duration {
        self.inner.poll_interval()
    }

    fn is_healthy(&self) -> bool {
        self.seems_healthy
    }
}

/// A log whose reads fail now and then.
#[derive(Debug)]
pub(crate) struct Failing {
    pub(crate) inner: Arc<dyn EventLog>,
    pub(crate) dice: Dice,
    pub(crate) calm: AtomicBool,
}

#[async_trait]
impl EventLog for Failing {
    async fn open(&self, stream: NewStream) -> Result<StreamHead, StoreError> {
        self.inner.open(stream).await
    }

    async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError> {
        self.inner.append(append).await
    }

    async fn raise(&self, build: &BuildId, token: FencingToken) -> Result<bool, StoreError> {
        self.inner.raise(build, token).await
    }

    async fn close(&self, build: &BuildId) -> Result<bool, StoreError> {
        self.inner.close(build).await
    }

    async fn read(
        &self,
        build: &BuildId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Page>, StoreError> {
        if !self.calm.load(SeqCst) && self.dice.one_in(12) {
            return Err(StoreError::new(StoreErrorKind::Unavailable));
        }
        self.inner.read(build, after, limit).await
    }
}

/// A log that is waited for on the spot: nothing else happens meanwhile.
#[derive(Debug)]
pub(crate) struct Blocking(pub(crate) Arc<dyn EventLog>);

fn now<T>(step: impl Future<Output = T>) -> T {
    block_in_place(|| Handle::current().block_on(step))
}

#[async_trait]
impl EventLog for Blocking {
    async fn open(&self, stream: NewStream) -> Result<StreamHead, StoreError> {
        now(self.0.open(stream))
    }

    async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError> {
        now(self.0.append(append))
    }

    async fn raise(&self, build: &BuildId, token: FencingToken) -> Result<bool, StoreError> {
        now(self.0.raise(build, token))
    }

    async fn close(&self, build: &BuildId) -> Result<bool, StoreError> {
        now(self.0.close(build))
    }

    async fn read(
        &self,
        build: &BuildId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Page>, StoreError> {
        now(self.0.read(build, after, limit))
    }
}
