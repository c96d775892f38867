//! Opening streams, counting them and ending them all.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use event_listener::{Event, EventListener};
use sheen_core::error::StoreError;
use sheen_core::runtime::{BoxFuture, Sleep};
use sheen_core::time::Clock;

use super::body::EventStream;
use super::resume::{Start, Wanted};
use super::tail::{Means, Need, Tails};
use super::types::{OpenOutcome, StreamConfig, StreamRequest};
use super::viewer::Viewer;
use crate::feed::seq_at;
use crate::log::EventLog;
use crate::wake::{Listener, Wake};

/// The terminal event reaches a viewer within this, whatever becomes of its wake-up.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// So old may be what an opening stream is told, when nobody rang since.
const HEALTHY_AGE: Duration = Duration::from_secs(1);

/// The streams of a process. Clones are the same service.
#[derive(Debug, Clone)]
pub struct StreamService {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    log: Arc<dyn EventLog>,
    wake: Arc<dyn Wake>,
    sleep: Arc<dyn Sleep>,
    clock: Arc<dyn Clock>,
    config: StreamConfig,
    tails: Arc<Tails>,
    opened: AtomicU64,
    active: AtomicUsize,
    is_closing: AtomicBool,
    closing: Event,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

impl StreamService {
    /// Streams of `log`, woken by `wake`.
    #[must_use]
    pub fn new(
        log: Arc<dyn EventLog>,
        wake: Arc<dyn Wake>,
        sleep: Arc<dyn Sleep>,
        clock: Arc<dyn Clock>,
        config: StreamConfig,
    ) -> Self {
        let tails = Tails::new(Means {
            log: Arc::clone(&log),
            clock: Arc::clone(&clock),
            sleep: Arc::clone(&sleep),
            page_size: config.page_size.max(1),
            gap: config.gap,
        });
        Self {
            shared: Arc::new(Shared {
                log,
                wake,
                sleep,
                clock,
                config,
                tails: Arc::new(tails),
                opened: AtomicU64::new(0),
                active: AtomicUsize::new(0),
                is_closing: AtomicBool::new(false),
                closing: Event::new(),
            }),
        }
    }

    /// Opens a stream. Its first frame is there at once.
    ///
    /// # Errors
    /// When the log fails.
    pub async fn open(&self, request: StreamRequest<'_>) -> Result<OpenOutcome, StoreError> {
        let StreamRequest {
            viewer: user,
            build,
            resume,
            token_expires_at,
            abort_unfinished,
        } = request;
        if self.shared.is_closing.load(Ordering::SeqCst) {
            return Ok(OpenOutcome::ShuttingDown);
        }
        let Some(permit) = Permit::take(&self.shared) else {
            return Ok(OpenOutcome::Full);
        };
        // Listen, then read: an event committed in between rings (B1).
        let listener = self.shared.wake.listen(&build);
        let wanted = resume.wanted(&build);
        let guess = match wanted {
            Ok(Wanted::After { seq, .. }) => seq,
            _ => 0,
        };
        let tail = self.shared.tails.of(&build);
        let batch = tail.opening(guess, self.need(&*listener)).await?;
        let Some(batch) = batch.filter(|batch| batch.stream.user == user) else {
            return Ok(OpenOutcome::NotFound);
        };
        let has = match wanted {
            Err(_) => return Ok(OpenOutcome::CursorInvalid),
            Ok(Wanted::Unknown) => None,
            Ok(Wanted::After { seq, epoch }) => Some((seq, epoch)),
            Ok(Wanted::Instant(instant)) => {
                let log = &*self.shared.log;
                Some((seq_at(log, &build, &batch.stream, instant).await?, None))
            }
        };
        let start = Start::decide(has, &batch.stream);
        let mut viewer = Viewer::new(permit, build, (tail, listener), &start, batch);
        viewer.set_end(token_expires_at, abort_unfinished);
        Ok(OpenOutcome::Open(EventStream::new(viewer)))
    }

    /// An opening stream is told how the log stands now: since the last ring, where rings are known
    /// to arrive, or else as it is read.
    fn need(&self, listener: &dyn Listener) -> Need {
        let Shared { wake, config, .. } = &*self.shared;
        let age = if wake.is_healthy() {
            HEALTHY_AGE
        } else {
            config.gap
        };
        Need {
            rings: listener.rings(),
            after: self.now().checked_sub(age),
            closing: false,
            opens: true,
        }
    }

    fn now(&self) -> Duration {
        self.shared.clock.monotonic()
    }

    #[cfg(test)]
    pub(super) fn tails(&self) -> usize {
        self.shared.tails.len()
    }

    /// How many streams are open.
    #[must_use]
    pub fn active(&self) -> usize {
        self.shared.active.load(Ordering::SeqCst)
    }

    /// Ends every stream and opens no more. It returns at once; a stream is woken, reads the log
    /// once more, sends what is there, for at most 2 s, and ends: as closed where the build is over.
    pub fn shutdown(&self) {
        self.shared.is_closing.store(true, Ordering::SeqCst);
        self.shared.closing.notify(usize::MAX);
    }
}

/// The right to be one of the open streams, given back when dropped.
pub(super) struct Permit(Arc<Shared>);

impl Permit {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let most = shared.config.max_streams;
        let more = |active: usize| (active < most).then_some(active + 1);
        shared
            .active
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
            .ok()?;
        Some(Self(Arc::clone(shared)))
    }

    pub(super) fn is_closing(&self) -> bool {
        self.0.is_closing.load(Ordering::SeqCst)
    }

    pub(super) fn closing(&self) -> EventListener {
        self.0.closing.listen()
    }

    /// How old this stream may become: spread over 20 % of the maximum to either side, evenly and
    /// without chance, by the golden ratio's multiples (D12).
    pub(super) fn max_age(&self) -> Duration {
        const GOLDEN: u32 = 2_654_435_769;
        let number = self.0.opened.fetch_add(1, Ordering::SeqCst);
        let part = u32::try_from(number & 0xffff_ffff)
            .unwrap_or(0)
            .wrapping_mul(GOLDEN);
        let age = self.0.config.max_age;
        let spread = age.mul_f64(0.4 * f64::from(part) / f64::from(u32::MAX));
        age.mul_f64(0.8).saturating_add(spread)
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(super) fn config(&self) -> &StreamConfig {
        &self.0.config
    }

    pub(super) fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep.sleep(duration)
    }

    /// Holds it for as long as a stream is silent before an abort.
    pub(super) fn linger(self) -> BoxFuture<'static, ()> {
        let sleep = self.sleep(self.config().abort_delay);
        Box::pin(async move {
            sleep.await;
            drop(self);
        })
    }

    pub(super) fn poll_interval(&self) -> Duration {
        self.0.wake.poll_interval().min(MAX_POLL_INTERVAL)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}
