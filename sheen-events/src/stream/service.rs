//! Opening streams, counting them and ending them all.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_listener::{Event, EventListener};
use sheen_core::error::StoreError;
use sheen_core::runtime::{BoxFuture, Sleep};
use sheen_core::time::{Clock, Timestamp};

use super::body::EventStream;
use super::places::{Place, Places, Term};
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
    places: Places,
    is_closing: AtomicBool,
    closing: Event,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .field("active", &self.places.taken())
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
                places: Places::new(config.max_streams, config.max_age),
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
        let Some(permit) = Permit::take(&self.shared, token_expires_at) else {
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
        self.shared.places.taken()
    }

    /// Ends every stream and opens no more. It returns at once; a stream is woken, reads the log
    /// once more, sends what is there, for at most 2 s, and ends: as closed where the build is over.
    pub fn shutdown(&self) {
        self.shared.is_closing.store(true, Ordering::SeqCst);
        self.shared.closing.notify(usize::MAX);
    }
}

/// The right to be one of the open streams, given back when dropped.
pub(super) struct Permit {
    shared: Arc<Shared>,
    place: Place,
}

impl Permit {
    fn take(shared: &Arc<Shared>, token_expires_at: Option<Timestamp>) -> Option<Self> {
        let clock = &*shared.clock;
        let token_left = token_expires_at.map(|at| at.since(clock.now()));
        let place = shared.places.take(clock.monotonic(), token_left)?;
        Some(Self {
            shared: Arc::clone(shared),
            place,
        })
    }

    pub(super) const fn term(&self) -> Term {
        self.place.term
    }

    pub(super) fn is_closing(&self) -> bool {
        self.shared.is_closing.load(Ordering::SeqCst)
    }

    pub(super) fn closing(&self) -> EventListener {
        self.shared.closing.listen()
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    pub(super) fn config(&self) -> &StreamConfig {
        &self.shared.config
    }

    pub(super) fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.shared.sleep.sleep(duration)
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
        self.shared.wake.poll_interval().min(MAX_POLL_INTERVAL)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.places.leave(&self.place);
    }
}
