//! One viewer of a stream: listen, read, send, wait.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use event_listener::EventListener;
use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, BuildSessionId};
use sheen_core::runtime::BoxFuture;
use sheen_core::time::Timestamp;

use super::encode::{Control, comment};
use super::resume::Start;
use super::service::Permit;
use super::shelf::Frames;
use super::tail::{Batch, Look, Need, Tail};
use super::types::Ended;
use crate::feed::Cursor;
use crate::wake::Listener;

/// A chunk is sent once it has so many bytes; the event that passes it is the last in.
const CHUNK: usize = 32 * 1024;
/// So many reads may fail one after another before the viewer is sent away to come back.
const MAX_FAILURES: u32 = 6;
/// The wait after the first of them; it doubles, up to the time between two looks.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Room for the first frame and the one after it.
const CONNECTION: usize = 512;

/// So long after a shutdown a viewer is still told what the log has; then it ends, however slow the
/// log or the viewer is.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a viewer gets next.
#[derive(Debug)]
pub(super) enum Turn {
    Frames(Bytes),
    End(Ended),
}

type Reading = BoxFuture<'static, Result<Option<Batch>, StoreError>>;

/// A sleep that is kept from wait to wait: what is due later than it ends needs no other.
struct Timer {
    ends_at: Duration,
    sleep: BoxFuture<'static, ()>,
}

pub(super) struct Viewer {
    permit: Permit,
    build: BuildId,
    session: BuildSessionId,
    epoch: u64,
    token_expires_at: Option<Timestamp>,
    abort_unfinished: bool,
    /// Frames that are ready: at first the connection's.
    out: BytesMut,
    /// Events read and not yet sent.
    pending: Frames,
    /// The seq sent last, or where the stream begins.
    position: u64,
    /// The seq the viewer has: behind `position` only while nothing was sent after a gap or reset.
    delivered: u64,
    /// The head at opening; what is up to it is history.
    backlog: u64,
    caught_up: bool,
    /// The stream as last read.
    head: u64,
    closed: bool,
    /// A read that is under way. It outlives a wait, so that keep-alives go on beside a slow one.
    reading: Option<Reading>,
    /// Whether the log is to be read as soon as nothing is pending.
    look: bool,
    /// Rung so soon after a read that the next is only then, on the monotonic clock.
    later: Option<Duration>,
    failures: u32,
    /// On the monotonic clock: when to look again whether rung or not, and to send a comment.
    look_at: Duration,
    comment_at: Duration,
    /// Set by a shutdown, on the monotonic clock: until then what the log has is sent.
    last_words: Option<Duration>,
    ending: Option<Ended>,
    timer: Option<Timer>,
    closing: Option<EventListener>,
    tail: Arc<Tail>,
    /// After all that holds the tail, and so dropped after it: while a tail lives its rings are
    /// counted on.
    listener: Box<dyn Listener>,
}

impl fmt::Debug for Viewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Viewer")
            .field("build", &self.build)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Viewer {
    /// A viewer whose stream begins at `start`, as decided from `batch`.
    pub(super) fn new(
        permit: Permit,
        build: BuildId,
        (tail, listener): (Arc<Tail>, Box<dyn Listener>),
        start: &Start,
        batch: Batch,
    ) -> Self {
        let stream = Arc::clone(&batch.stream);
        let mut out = BytesMut::with_capacity(CONNECTION);
        let control = Control {
            session: &stream.session,
            seq: start.delivered,
        };
        control.connection(start, &stream, &mut out);
        let mut viewer = Self {
            build,
            session: stream.session.clone(),
            epoch: stream.epoch,
            token_expires_at: None,
            abort_unfinished: false,
            out,
            pending: Frames::default(),
            position: start.after,
            delivered: start.delivered,
            backlog: stream.head,
            caught_up: false,
            head: stream.head,
            closed: stream.closed,
            reading: None,
            look: true,
            later: None,
            failures: 0,
            look_at: Duration::ZERO,
            comment_at: Duration::ZERO,
            last_words: None,
            ending: None,
            timer: None,
            closing: None,
            permit,
            tail,
            listener,
        };
        // A page read from elsewhere (before a reset) is read again from the right place.
        let next = batch.frames.next().unwrap_or(stream.head + 1);
        if next == start.after + 1 {
            viewer.hold(batch);
        }
        viewer
    }

    pub(super) fn set_end(&mut self, expires_at: Option<Timestamp>, abort_unfinished: bool) {
        self.token_expires_at = expires_at;
        self.abort_unfinished = abort_unfinished;
    }

    pub(super) const fn aborts(&self, ended: Ended) -> bool {
        match ended {
            Ended::Closed => false,
            Ended::TokenExpired | Ended::Aged | Ended::ShuttingDown => self.abort_unfinished,
            Ended::Interrupted => true,
        }
    }

    /// The wait between the last frame and an abort, all that is left of it.
    pub(super) fn linger(self) -> BoxFuture<'static, ()> {
        self.permit.linger()
    }

    /// What is sent next, or how it ends. When it is not polled again nothing is lost.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        loop {
            let now = self.now();
            if let Some(turn) = self.at_hand(now) {
                return Poll::Ready(turn);
            }
            if now >= self.comment_at {
                self.comment_at = now + self.permit.config().keep_alive;
                return Poll::Ready(Turn::Frames(comment()));
            }
            if self.looks(now) || self.is_woken(now, cx) {
                continue;
            }
            return Poll::Pending;
        }
    }

    /// What can be sent, or ended, without waiting.
    fn at_hand(&mut self, now: Duration) -> Option<Turn> {
        if let Some(ended) = self.ending {
            return Some(Turn::End(ended));
        }
        if self.permit.is_closing() && self.last_words.is_none() {
            self.last_words = Some(now + LAST_WORDS);
            // A read that is under way may be older than what was committed before the shutdown.
            self.reading = None;
            self.look = true;
        }
        if self.last_words.is_some_and(|until| now >= until) {
            return Some(Turn::End(Ended::ShuttingDown));
        }
        let term = self.permit.term();
        let is_aged = self.caught_up && self.pending.is_empty() && now >= term.aged_at;
        if is_aged || now >= term.ends_by {
            self.ending = Some(Ended::Aged);
            return Some(Turn::End(Ended::Aged));
        }
        let chunk = self.chunk();
        if chunk.is_empty() {
            let said_all = self.last_words.is_some() && self.reading.is_none() && !self.look;
            return said_all.then_some(Turn::End(Ended::ShuttingDown));
        }
        self.comment_at = now + self.permit.config().keep_alive;
        Some(Turn::Frames(chunk))
    }

    /// Whole frames that are ready, as one piece: all viewers share the same one where there is
    /// nothing in it that is only this viewer's.
    fn chunk(&mut self) -> Bytes {
        let mut out = std::mem::take(&mut self.out);
        if self.token_left() == Some(Duration::ZERO) {
            let cursor = Cursor::new(self.epoch, self.position).encode(&self.build);
            self.control().token_expired(&cursor, &mut out);
            self.ending = Some(Ended::TokenExpired);
            return out.freeze();
        }
        while out.len() < CHUNK {
            if !self.caught_up && self.position >= self.backlog {
                self.caught_up = true;
                self.control().caught_up(&mut out);
            }
            // `caught_up` stands before the first event that is not history.
            let until = if self.caught_up {
                u64::MAX
            } else {
                self.backlog
            };
            let Some((bytes, last)) = self.pending.take(until, CHUNK.saturating_sub(out.len()))
            else {
                if self.caught_up && self.closed && self.position >= self.head {
                    self.control().closed(&mut out);
                    self.ending = Some(Ended::Closed);
                }
                break;
            };
            (self.position, self.delivered) = (last, last);
            if out.is_empty() {
                return bytes;
            }
            out.extend_from_slice(&bytes);
        }
        out.freeze()
    }

    fn control(&self) -> Control<'_> {
        Control {
            session: &self.session,
            seq: self.delivered,
        }
    }

    /// Looks at the log if it is time to; whether that brought something, if only the knowledge
    /// that there is nothing.
    fn looks(&mut self, now: Duration) -> bool {
        let is_rung = self.look || self.later.is_some_and(|at| now >= at);
        let is_due = now >= self.look_at;
        if self.reading.is_some() || !(is_rung || is_due) {
            return false;
        }
        (self.look, self.later) = (false, None);
        let need = Need {
            rings: self.listener.rings(),
            after: is_due.then(|| now.saturating_sub(self.permit.poll_interval())),
            closing: self.last_words.is_some(),
            opens: false,
        };
        match self.tail.look(self.position, need, now) {
            Look::Batch(batch) => self.take(Ok(Some(batch))),
            Look::Later(at) => {
                self.later = Some(at);
                return false;
            }
            Look::Reading(reading) => {
                self.reading = Some(reading);
                return false;
            }
        }
        true
    }

    /// Whether the read that is under way, a ring, a shutdown or whatever is due has come.
    fn is_woken(&mut self, now: Duration, cx: &mut Context<'_>) -> bool {
        if let Some(reading) = &mut self.reading {
            if let Poll::Ready(result) = reading.as_mut().poll(cx) {
                self.reading = None;
                self.take(result);
                return true;
            }
        } else if self.later.is_none() && self.listener.poll_rung(cx).is_ready() {
            self.look = true;
            return true;
        }
        self.is_closed_on(cx) || self.is_due(now, cx)
    }

    fn is_closed_on(&mut self, cx: &mut Context<'_>) -> bool {
        if self.last_words.is_some() {
            return false;
        }
        let closing = self.closing.get_or_insert_with(|| self.permit.closing());
        let is_closing = Pin::new(closing).poll(cx).is_ready();
        // Asked after listening: a shutdown in between is not slept through.
        if is_closing || self.permit.is_closing() {
            self.closing = None;
            return true;
        }
        false
    }

    fn is_due(&mut self, now: Duration, cx: &mut Context<'_>) -> bool {
        let patience = self.patience(now);
        let due = now + patience;
        let timer = match &mut self.timer {
            Some(timer) if timer.ends_at <= due => timer,
            _ => self.timer.insert(Timer {
                ends_at: due,
                sleep: self.permit.sleep(patience),
            }),
        };
        let is_over = timer.sleep.as_mut().poll(cx).is_ready();
        if is_over {
            self.timer = None;
        }
        is_over
    }

    /// How long nothing is due.
    fn patience(&self, now: Duration) -> Duration {
        let term = self.permit.term();
        let ends_at = match self.caught_up {
            true => term.aged_at,
            false => term.ends_by,
        };
        let due = self.comment_at.min(ends_at);
        let mut patience = due.saturating_sub(now);
        if self.reading.is_none() {
            let looks_at = self.later.map_or(self.look_at, |at| at.min(self.look_at));
            patience = patience.min(looks_at.saturating_sub(now));
        }
        if let Some(left) = self.token_left() {
            patience = patience.min(left);
        }
        if let Some(until) = self.last_words {
            patience = patience.min(until.saturating_sub(now));
        }
        patience.max(Duration::from_millis(1))
    }

    /// Takes a read in; a log that no longer fits what was sent ends the stream.
    fn take(&mut self, result: Result<Option<Batch>, StoreError>) {
        let batch = match result {
            Ok(Some(batch)) => batch,
            Ok(None) => return self.interrupt(),
            Err(error) => {
                let wait = FIRST_RETRY.saturating_mul(1 << self.failures.min(8));
                self.failures += 1;
                // Not before, whoever rings.
                self.look_at = self.now() + wait.min(self.permit.poll_interval());
                self.later = Some(self.look_at);
                if !error.is_transient() || self.failures >= MAX_FAILURES {
                    self.interrupt();
                }
                return;
            }
        };
        let stream = &batch.stream;
        let next = batch.frames.next().unwrap_or(stream.head + 1);
        if stream.epoch != self.epoch || next != self.position + 1 {
            return self.interrupt();
        }
        self.failures = 0;
        self.head = stream.head;
        self.closed = stream.closed;
        self.hold(batch);
    }

    fn interrupt(&mut self) {
        self.ending = Some(Ended::Interrupted);
    }

    fn hold(&mut self, batch: Batch) {
        let last = batch.frames.last().unwrap_or(self.position);
        // What was rung, or committed before a shutdown, since it was read is not in it.
        let is_old =
            batch.rings < self.listener.rings() || (self.last_words.is_some() && !batch.closing);
        self.look = last < self.head || is_old;
        self.look_at = batch.read_at + self.permit.poll_interval();
        self.pending = batch.frames;
    }

    fn now(&self) -> Duration {
        self.permit.clock().monotonic()
    }

    fn token_left(&self) -> Option<Duration> {
        let now = self.permit.clock().now();
        self.token_expires_at.map(|at| at.since(now))
    }
}
