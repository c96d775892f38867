//! The end of a build's log as its viewers share it: frames encoded once, and one read of the log a
//! wake-up, however many viewers there are (C8).
//!
//! There is no task behind it. Whichever viewer needs to look first reads for all; the others wait
//! for what it brings. A viewer that goes away in mid-read leaves the reading to the next.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use event_listener::Event as Signal;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::BuildId;
use sheen_core::time::Clock;

use super::encode::encode_frame;
use crate::log::{Event, EventLog, Page, StreamHead};

/// The most frames a tail keeps, and the most bytes: what is older is read from the log.
const MAX_FRAMES: usize = 1024;
const MAX_BYTES: usize = 1 << 20;

/// An event as every viewer gets it.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) seq: u64,
    pub(super) bytes: Bytes,
}

impl Frame {
    fn all(events: &[Event]) -> Vec<Self> {
        let mut out = BytesMut::new();
        let frame = |event: &Event| {
            encode_frame(event, &mut out);
            Self {
                seq: event.seq,
                bytes: out.split().freeze(),
            }
        };
        events.iter().map(frame).collect()
    }
}

/// What a look brought.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) frames: Vec<Frame>,
    pub(super) epoch: u64,
    pub(super) head: u64,
    pub(super) closed: bool,
    /// When the log was asked, on the monotonic clock.
    pub(super) read_at: Duration,
}

/// What a look must not be older than.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// A ring, by its number.
    pub(super) rings: u64,
    /// An instant of the monotonic clock.
    pub(super) after: Option<Duration>,
    /// The beginning of a shutdown.
    pub(super) closing: bool,
}

/// The tails of a service, by build. One is freed with its last viewer.
#[derive(Debug, Default)]
pub(super) struct Tails(Mutex<HashMap<BuildId, Weak<Tail>>>);

impl Tails {
    fn lock(&self) -> MutexGuard<'_, HashMap<BuildId, Weak<Tail>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(
        self: &Arc<Self>,
        build: &BuildId,
        log: &Arc<dyn EventLog>,
        clock: &Arc<dyn Clock>,
        page_size: u32,
    ) -> Arc<Tail> {
        let mut tails = self.lock();
        if let Some(tail) = tails.get(build).and_then(Weak::upgrade) {
            return tail;
        }
        let tail = Arc::new(Tail {
            build: build.clone(),
            log: Arc::clone(log),
            clock: Arc::clone(clock),
            page_size,
            state: Mutex::default(),
            changed: Signal::new(),
            tails: Arc::clone(self),
        });
        tails.insert(build.clone(), Arc::downgrade(&tail));
        tail
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

pub(super) struct Tail {
    build: BuildId,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    page_size: u32,
    state: Mutex<State>,
    changed: Signal,
    tails: Arc<Tails>,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("build", &self.build)
            .finish_non_exhaustive()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let mut tails = self.tails.lock();
        // Another may have taken its place by now.
        if tails
            .get(&self.build)
            .is_some_and(|tail| tail.strong_count() == 0)
        {
            tails.remove(&self.build);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// Contiguous, the last one being the last event that was read.
    frames: VecDeque<Frame>,
    bytes: usize,
    /// What is known of the stream, once something was read.
    known: Option<Known>,
    /// How many shared reads began and ended, and the last that failed.
    begun: u64,
    ended: u64,
    failed: Option<(u64, StoreErrorKind)>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    epoch: u64,
    head: u64,
    closed: bool,
    /// The last seq in `frames`, or after which they begin.
    last: u64,
    read_at: Duration,
    rings: u64,
    closing: bool,
}

impl Known {
    fn satisfies(&self, need: Need) -> bool {
        self.rings >= need.rings
            && (self.closing || !need.closing)
            && need.after.is_none_or(|after| self.read_at > after)
    }

    const fn batch(&self, frames: Vec<Frame>) -> Batch {
        Batch {
            frames,
            epoch: self.epoch,
            head: self.head,
            closed: self.closed,
            read_at: self.read_at,
        }
    }
}

impl State {
    /// The seq before the first frame.
    fn start(&self, known: &Known) -> u64 {
        self.frames
            .front()
            .map_or(known.last, |frame| frame.seq - 1)
    }

    fn after(&self, position: u64, most: u32) -> Vec<Frame> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let from = self.frames.partition_point(|frame| frame.seq <= position);
        self.frames.range(from..).take(most).cloned().collect()
    }

    fn push(&mut self, frames: &[Frame]) {
        for frame in frames {
            self.bytes += frame.bytes.len();
            self.frames.push_back(frame.clone());
        }
        while self.frames.len() > MAX_FRAMES || self.bytes > MAX_BYTES {
            let Some(frame) = self.frames.pop_front() else {
                break;
            };
            self.bytes -= frame.bytes.len();
        }
    }

    /// Takes in a page that was read after `position`, if it goes on from what is here, or if what
    /// is here is less.
    fn learn(&mut self, position: u64, frames: &[Frame], known: Known) {
        let goes_on = self
            .known
            .is_some_and(|k| k.epoch == known.epoch && k.last == position);
        let is_newer = self
            .known
            .is_none_or(|k| k.epoch != known.epoch || k.last < known.last);
        if !goes_on {
            if !is_newer {
                return;
            }
            self.frames.clear();
            self.bytes = 0;
        }
        self.push(frames);
        self.known = Some(known);
    }
}

/// What a viewer is to do.
enum Step {
    Take(Batch),
    /// Read alone: the viewer is far behind.
    Alone,
    /// Read for all, as this number.
    Lead(u64),
    /// Another reads; this was its number.
    Follow(u64),
}

impl Tail {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, position: u64, need: Need) -> Step {
        let mut state = self.lock();
        let Some(known) = state.known else {
            return Step::Alone;
        };
        if position < state.start(&known) || position > known.last {
            return Step::Alone;
        }
        if position < known.last {
            return Step::Take(known.batch(state.after(position, self.page_size)));
        }
        if known.satisfies(need) {
            return Step::Take(known.batch(Vec::new()));
        }
        if state.begun > state.ended {
            return Step::Follow(state.begun);
        }
        state.begun += 1;
        Step::Lead(state.begun)
    }

    /// What follows `position`, from a look that is no older than `need`; `None` when there is no
    /// such stream.
    pub(super) async fn look(
        self: Arc<Self>,
        position: u64,
        need: Need,
    ) -> Result<Option<Batch>, StoreError> {
        loop {
            let changed = self.changed.listen();
            match self.step(position, need) {
                Step::Take(batch) => return Ok(Some(batch)),
                Step::Alone => return self.read(position, need).await,
                Step::Lead(number) => {
                    let mut lead = Lead {
                        tail: &self,
                        number,
                        failed: None,
                    };
                    let read = self.read(position, need).await;
                    lead.failed = read.as_ref().err().map(|error| error.kind);
                    return read;
                }
                Step::Follow(number) => {
                    changed.await;
                    let failed = self.lock().failed.filter(|(failed, _)| *failed == number);
                    if let Some((_, kind)) = failed {
                        return Err(StoreError::new(kind));
                    }
                }
            }
        }
    }

    async fn read(&self, position: u64, need: Need) -> Result<Option<Batch>, StoreError> {
        let read_at = self.clock.monotonic();
        let page = self.log.read(&self.build, position, self.page_size).await?;
        let Some(Page { events, stream }) = page else {
            return Ok(None);
        };
        Ok(Some(self.learn(position, &events, &stream, read_at, need)))
    }

    /// Takes in what was read after `position`.
    pub(super) fn learn(
        &self,
        position: u64,
        events: &[Event],
        stream: &StreamHead,
        read_at: Duration,
        need: Need,
    ) -> Batch {
        let frames = Frame::all(events);
        let known = Known {
            epoch: stream.epoch,
            head: stream.head,
            closed: stream.closed,
            last: frames.last().map_or(position, |frame| frame.seq),
            read_at,
            rings: need.rings,
            closing: need.closing,
        };
        let follows = frames.first().is_none_or(|frame| frame.seq == position + 1);
        // Only what ends at the head is a tail: a page of the backlog is its viewer's alone.
        if follows && known.last == known.head {
            self.lock().learn(position, &frames, known);
        }
        known.batch(frames)
    }
}

/// The right to read for all, given on when dropped, done or not.
struct Lead<'a> {
    tail: &'a Tail,
    number: u64,
    failed: Option<StoreErrorKind>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut state = self.tail.lock();
        state.ended = self.number;
        if let Some(kind) = self.failed {
            state.failed = Some((self.number, kind));
        }
        drop(state);
        self.tail.changed.notify(usize::MAX);
    }
}
