//! A build's log as its viewers share it: frames encoded once, and one read of the log a wake-up,
//! however many viewers there are (C8).
//!
//! There is no task behind it. Whichever viewer needs to look first reads for all; the others wait
//! for what it brings. A viewer that goes away in mid-read, or holds it up, leaves the reading to
//! the next.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use event_listener::{Event as Signal, EventListener};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::BuildId;
use sheen_core::runtime::{BoxFuture, Sleep};
use sheen_core::time::Clock;

use super::shelf::{Frames, Shelf};
use crate::log::{EventLog, Page, StreamHead};
use crate::wake::race::{Either, race};

/// Of the end of the log, and of the pages that viewers who come late have in common. What is in
/// neither is read from the log.
const MAX_FRAMES: usize = 1024;
const MAX_PAST_FRAMES: usize = 4096;
const MAX_BYTES: usize = 1 << 20;
/// So long viewers wait for one that reads for them before another does.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a look brought.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) frames: Frames,
    pub(super) stream: Arc<StreamHead>,
    /// When the log was asked, on the monotonic clock.
    pub(super) read_at: Duration,
    /// How often the build had been rung by then.
    pub(super) rings: u64,
    /// Whether a shutdown had begun by then.
    pub(super) closing: bool,
}

/// What a look must not be older than.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// The rings so far.
    pub(super) rings: u64,
    /// An instant of the monotonic clock.
    pub(super) after: Option<Duration>,
    /// The beginning of a shutdown.
    pub(super) closing: bool,
    /// Whether frames alone are not enough: how the stream stands must be as new.
    pub(super) opens: bool,
}

/// How a look goes on.
pub(super) enum Look {
    Batch(Batch),
    /// The log was read a moment ago. It is looked at again at this instant.
    Later(Duration),
    Reading(BoxFuture<'static, Result<Option<Batch>, StoreError>>),
}

/// What all tails of a service read with.
pub(super) struct Means {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sleep: Arc<dyn Sleep>,
    pub(super) page_size: u32,
    /// The least time between two reads for rings, before viewers are counted.
    pub(super) gap: Duration,
}

/// The tails of a service, by build. One is freed with its last viewer.
pub(super) struct Tails {
    means: Means,
    by_build: Mutex<HashMap<BuildId, Weak<Tail>>>,
}

impl Tails {
    pub(super) fn new(means: Means) -> Self {
        Self {
            means,
            by_build: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BuildId, Weak<Tail>>> {
        self.by_build.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(self: &Arc<Self>, build: &BuildId) -> Arc<Tail> {
        let mut tails = self.lock();
        if let Some(tail) = tails.get(build).and_then(Weak::upgrade) {
            return tail;
        }
        let tail = Arc::new(Tail {
            build: build.clone(),
            state: Mutex::new(State::new()),
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

#[derive(Debug)]
struct State {
    /// How the stream stands, once it was read.
    known: Option<Known>,
    /// Pages of the end of the log, each going on from the one before.
    live: Shelf,
    /// Pages before that, in the order in which they were wanted.
    past: Shelf,
    /// The reads under way: after which seq, and their numbers.
    flights: Vec<(u64, u64)>,
    last_flight: u64,
    /// The last read that failed.
    failed: Option<(u64, StoreErrorKind)>,
}

#[derive(Debug, Clone)]
struct Known {
    stream: Arc<StreamHead>,
    read_at: Duration,
    rings: u64,
    closing: bool,
}

impl Known {
    fn batch(&self, frames: Frames) -> Batch {
        Batch {
            frames,
            stream: Arc::clone(&self.stream),
            read_at: self.read_at,
            rings: self.rings,
            closing: self.closing,
        }
    }

    /// Takes in what another read says. All of it only ever grows within an epoch, so the order in
    /// which reads come back is no matter.
    fn merge(&mut self, other: &Self) {
        if other.read_at >= self.read_at && other.stream.head >= self.stream.head {
            self.stream = Arc::clone(&other.stream);
        }
        self.read_at = self.read_at.max(other.read_at);
        self.rings = self.rings.max(other.rings);
        self.closing |= other.closing;
    }
}

/// What a viewer that finds nothing at hand is to do.
enum Flight {
    /// Read after this seq, for all, as this number.
    Lead(u64, u64),
    /// Another reads; this is its number.
    Follow(u64),
}

impl State {
    const fn new() -> Self {
        Self {
            known: None,
            live: Shelf::new(MAX_FRAMES, MAX_BYTES),
            past: Shelf::new(MAX_PAST_FRAMES, MAX_BYTES),
            flights: Vec::new(),
            last_flight: 0,
            failed: None,
        }
    }

    fn find(&self, position: u64) -> Option<Frames> {
        let live = self.live.after(position);
        live.or_else(|| self.past.after(position))
    }

    /// What is at hand for a viewer, or when it may look; `None` when it is to look now.
    fn at_hand(
        &self,
        position: u64,
        need: Need,
        now: Duration,
        gap: Duration,
    ) -> Option<Result<Batch, Duration>> {
        let known = self.known.as_ref()?;
        let is_new = need.after.is_none_or(|after| known.read_at > after);
        let is_closing = need.closing && !known.closing;
        let paced_until = known.read_at.saturating_add(gap);
        let is_paced = now < paced_until;
        let stands = is_new && !is_closing && (known.rings >= need.rings || is_paced);
        if let Some(frames) = self.find(position)
            && (stands || !need.opens)
        {
            return Some(Ok(known.batch(frames)));
        }
        if position != known.stream.head || !stands {
            return None;
        }
        Some(match known.rings >= need.rings || need.opens {
            true => Ok(known.batch(Frames::default())),
            false => Err(paced_until),
        })
    }

    /// Where to read for a viewer at `position`: there, where others will come by too, or else from
    /// the beginning of the page that it is in, as others in it do.
    fn start_of(&self, position: u64, page_size: u32) -> u64 {
        let at_head = self
            .known
            .as_ref()
            .is_none_or(|known| known.stream.head == position);
        if at_head || self.live.ends_at(position) || self.past.ends_at(position) {
            return position;
        }
        position - position % u64::from(page_size)
    }

    fn fly(&mut self, from: u64) -> Flight {
        if let Some((_, number)) = self.flights.iter().find(|(at, _)| *at == from) {
            return Flight::Follow(*number);
        }
        self.last_flight += 1;
        self.flights.push((from, self.last_flight));
        Flight::Lead(from, self.last_flight)
    }

    fn land(&mut self, number: u64) {
        self.flights.retain(|(_, flight)| *flight != number);
    }

    fn learn(&mut self, frames: &Frames, known: Known) {
        match &mut self.known {
            Some(before) if before.stream.epoch == known.stream.epoch => before.merge(&known),
            Some(before) if before.read_at > known.read_at => return,
            _ => {
                self.live.clear();
                self.past.clear();
                self.known = Some(known.clone());
            }
        }
        let (Some(first), Some(last)) = (frames.next(), frames.last()) else {
            return;
        };
        match self.live.last() {
            Some(end) if end >= last => self.past.push(frames.clone()),
            Some(end) if end + 1 >= first => self.live.push(frames.clone()),
            // It is the end of the log now, and what was before is not next to it.
            _ if last == known.stream.head => {
                self.live.clear();
                self.live.push(frames.clone());
            }
            _ => self.past.push(frames.clone()),
        }
    }
}

impl Tail {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The least time between two reads: it grows with those who are woken by them, so that what
    /// happens meanwhile comes to each in one piece.
    fn gap(self: &Arc<Self>) -> Duration {
        let gap = self.tails.means.gap;
        let viewers = u32::try_from(Arc::strong_count(self)).unwrap_or(u32::MAX);
        (gap / 256)
            .saturating_mul(viewers)
            .saturating_add(gap)
            .min(gap * 10)
    }

    /// What follows `position`, from a look that is no older than `need`.
    pub(super) fn look(self: &Arc<Self>, position: u64, need: Need, now: Duration) -> Look {
        let at_hand = self.lock().at_hand(position, need, now, self.gap());
        match at_hand {
            Some(Ok(batch)) => Look::Batch(batch),
            Some(Err(at)) => Look::Later(at),
            None => Look::Reading(Box::pin(Arc::clone(self).read(position, need))),
        }
    }

    /// The look of a stream that opens; `None` when there is no such stream.
    pub(super) async fn opening(
        self: &Arc<Self>,
        position: u64,
        need: Need,
    ) -> Result<Option<Batch>, StoreError> {
        match self.look(position, need, self.tails.means.clock.monotonic()) {
            Look::Batch(batch) => Ok(Some(batch)),
            Look::Reading(reading) => reading.await,
            Look::Later(_) => Arc::clone(self).read(position, need).await,
        }
    }

    /// As [`look`](Self::look), reading or waiting for who reads; `None` when there is no such
    /// stream.
    async fn read(self: Arc<Self>, position: u64, need: Need) -> Result<Option<Batch>, StoreError> {
        loop {
            let (flight, changed) = match self.board(position, need) {
                Ok(batch) => return Ok(Some(batch)),
                Err(boarded) => boarded,
            };
            let number = match flight {
                Flight::Lead(from, number) => return self.lead(from, number, position, need).await,
                Flight::Follow(number) => number,
            };
            let patience = self.tails.means.sleep.sleep(PATIENCE);
            if let Either::Right(()) = race(changed, patience).await {
                self.lock().land(number);
            }
            let failed = self.lock().failed.filter(|(failed, _)| *failed == number);
            if let Some((_, kind)) = failed {
                return Err(StoreError::new(kind));
            }
        }
    }

    /// What is at hand by now, or else the flight to take.
    fn board(&self, position: u64, need: Need) -> Result<Batch, (Flight, EventListener)> {
        let Means {
            clock, page_size, ..
        } = &self.tails.means;
        let mut state = self.lock();
        let at_hand = state.at_hand(position, need, clock.monotonic(), Duration::ZERO);
        if let Some(Ok(batch)) = at_hand {
            return Ok(batch);
        }
        // A flight ends under the lock, so none ends before it is listened for.
        let changed = self.changed.listen();
        let from = state.start_of(position, *page_size);
        Err((state.fly(from), changed))
    }

    async fn lead(
        &self,
        from: u64,
        number: u64,
        position: u64,
        need: Need,
    ) -> Result<Option<Batch>, StoreError> {
        let mut lead = Lead {
            tail: self,
            number,
            failed: None,
        };
        let mut read = self.read_log(from, position, need).await;
        // A page that was shorter than asked for did not reach so far.
        if from < position
            && let Ok(Some(batch)) = &read
            && batch.frames.is_empty()
            && batch.stream.head > position
        {
            read = self.read_log(position, position, need).await;
        }
        lead.failed = read.as_ref().err().map(|error| error.kind);
        read
    }

    async fn read_log(
        &self,
        from: u64,
        position: u64,
        need: Need,
    ) -> Result<Option<Batch>, StoreError> {
        let Means {
            log,
            clock,
            page_size,
            ..
        } = &self.tails.means;
        let read_at = clock.monotonic();
        let Some(page) = log.read(&self.build, from, *page_size).await? else {
            self.lock().known = None;
            return Ok(None);
        };
        let Page { events, stream } = page;
        let frames = Frames::encode(&events);
        let known = Known {
            stream: Arc::new(stream),
            read_at,
            rings: need.rings,
            closing: need.closing,
        };
        let batch = known.batch(frames.after(position).unwrap_or_default());
        self.lock().learn(&frames, known);
        Ok(Some(batch))
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        let state = self.lock();
        let ((frames, bytes), (more, others)) = (state.live.size(), state.past.size());
        (frames + more, bytes + others)
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
        state.land(self.number);
        if let Some(kind) = self.failed {
            state.failed = Some((self.number, kind));
        }
        drop(state);
        self.tail.changed.notify(usize::MAX);
    }
}
