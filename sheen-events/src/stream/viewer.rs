//! One viewer of a stream: listen, read, send, wait.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, BuildSessionId};
use sheen_core::runtime::BoxFuture;
use sheen_core::time::Timestamp;

use super::encode::{Control, comment};
use super::resume::Start;
use super::service::Permit;
use super::tail::{Batch, Frame, Need, Tail};
use super::types::Ended;
use crate::feed::Cursor;
use crate::log::StreamHead;
use crate::wake::Listener;

/// A chunk is sent once it has so many bytes; the event that passes it is the last in.
const CHUNK: usize = 32 * 1024;
/// So many reads may fail one after another before the viewer is sent away to come back.
const MAX_FAILURES: u32 = 3;

/// So long after a shutdown a viewer is still told what the log has; then it ends, however slow the
/// log or the viewer is.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a viewer gets next.
#[derive(Debug)]
pub(super) enum Turn {
    Frames(Bytes),
    End(Ended),
}

enum Woken {
    Read(Result<Option<Batch>, StoreError>),
    Rung,
    Other,
}

type Reading = BoxFuture<'static, Result<Option<Batch>, StoreError>>;

pub(super) struct Viewer {
    permit: Permit,
    build: BuildId,
    session: BuildSessionId,
    epoch: u64,
    token_expires_at: Option<Timestamp>,
    abort_unfinished: bool,
    /// Before the listener, and so dropped before it: while a tail lives its rings are counted on.
    tail: Arc<Tail>,
    listener: Box<dyn Listener>,
    /// Frames that are ready: at first the connection's.
    out: BytesMut,
    /// Events read and not yet sent.
    pending: std::vec::IntoIter<Frame>,
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
    /// On the monotonic clock: when the stream is too old.
    aged_at: Duration,
    failures: u32,
    /// On the monotonic clock: when to look again whether rung or not, and to send a comment.
    look_at: Duration,
    comment_at: Duration,
    /// Set by a shutdown, on the monotonic clock: until then what the log has is sent.
    last_words: Option<Duration>,
    ending: Option<Ended>,
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
    /// A viewer whose stream begins at `start`, as decided from `page`.
    pub(super) fn new(
        permit: Permit,
        build: BuildId,
        (tail, listener): (Arc<Tail>, Box<dyn Listener>),
        start: &Start,
        stream: &StreamHead,
        batch: Batch,
    ) -> Self {
        let mut out = BytesMut::new();
        let control = Control {
            session: &stream.session,
            seq: start.delivered,
        };
        control.connection(start, stream, &mut out);
        let mut viewer = Self {
            build,
            session: stream.session.clone(),
            epoch: stream.epoch,
            token_expires_at: None,
            abort_unfinished: false,
            tail,
            listener,
            out,
            pending: Vec::new().into_iter(),
            position: start.after,
            delivered: start.delivered,
            backlog: stream.head,
            caught_up: false,
            head: stream.head,
            closed: stream.closed,
            reading: None,
            look: true,
            aged_at: permit.clock().monotonic() + permit.max_age(),
            failures: 0,
            look_at: Duration::ZERO,
            comment_at: Duration::ZERO,
            last_words: None,
            ending: None,
            permit,
        };
        // A page read from elsewhere (before a reset) is read again from the right place.
        let first = batch.frames.first();
        if first.is_none_or(|frame| frame.seq == start.after + 1) {
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

    /// The wait between the last frame and an abort.
    pub(super) fn linger(&self) -> BoxFuture<'static, ()> {
        self.permit.sleep(self.permit.config().abort_delay)
    }

    /// What can be sent, or ended, without waiting.
    pub(super) fn at_hand(&mut self) -> Option<Turn> {
        if let Some(ended) = self.ending {
            return Some(Turn::End(ended));
        }
        if self.permit.is_closing() && self.last_words.is_none() {
            self.last_words = Some(self.now() + LAST_WORDS);
            // A read that is under way may be older than what was committed before the shutdown.
            self.reading = None;
            self.look = true;
        }
        if self.last_words.is_some_and(|until| self.now() >= until) {
            return Some(Turn::End(Ended::ShuttingDown));
        }
        if self.caught_up && self.pending.len() == 0 && self.now() >= self.aged_at {
            self.ending = Some(Ended::Aged);
            return Some(Turn::End(Ended::Aged));
        }
        if let Some(frame) = self.single() {
            return Some(Turn::Frames(frame));
        }
        let mut out = std::mem::take(&mut self.out);
        if self.token_left() == Some(Duration::ZERO) {
            let cursor = Cursor::new(self.epoch, self.position).encode(&self.build);
            self.control().token_expired(&cursor, &mut out);
            self.ending = Some(Ended::TokenExpired);
        } else {
            self.fill(&mut out);
        }
        if out.is_empty() {
            let said_all = self.last_words.is_some() && self.reading.is_none() && !self.look;
            return said_all.then_some(Turn::End(Ended::ShuttingDown));
        }
        self.comment_at = self.now() + self.permit.config().keep_alive;
        Some(Turn::Frames(out.freeze()))
    }

    /// The only frame there is to send, as all viewers share it.
    fn single(&mut self) -> Option<Bytes> {
        let is_alone = self.caught_up && self.out.is_empty() && self.pending.len() == 1;
        if !is_alone || (self.closed && !self.look) || self.token_left() == Some(Duration::ZERO) {
            return None;
        }
        let frame = self.pending.next()?;
        (self.position, self.delivered) = (frame.seq, frame.seq);
        self.comment_at = self.now() + self.permit.config().keep_alive;
        Some(frame.bytes)
    }

    fn fill(&mut self, out: &mut BytesMut) {
        while out.len() < CHUNK {
            if !self.caught_up && self.position >= self.backlog {
                self.caught_up = true;
                self.control().caught_up(out);
            }
            let Some(frame) = self.pending.next() else {
                if self.caught_up && self.closed && self.position >= self.head {
                    self.control().closed(out);
                    self.ending = Some(Ended::Closed);
                }
                return;
            };
            out.extend_from_slice(&frame.bytes);
            self.position = frame.seq;
            self.delivered = frame.seq;
        }
    }

    fn control(&self) -> Control<'_> {
        Control {
            session: &self.session,
            seq: self.delivered,
        }
    }

    /// What is sent next, however long it takes. When it is dropped half-way nothing is lost.
    pub(super) async fn turn(&mut self) -> Turn {
        loop {
            if let Some(turn) = self.at_hand() {
                return turn;
            }
            if self.now() >= self.comment_at {
                self.comment_at = self.now() + self.permit.config().keep_alive;
                return Turn::Frames(comment());
            }
            if self.reading.is_none() && (self.look || self.now() >= self.look_at) {
                self.look = false;
                self.reading = Some(self.read());
            }
            match self.wait().await {
                Woken::Read(result) => self.take(result),
                Woken::Rung => self.look = true,
                Woken::Other => {}
            }
        }
    }

    fn read(&self) -> Reading {
        let now = self.now();
        let is_due = now >= self.look_at;
        let need = Need {
            rings: self.listener.rings(),
            after: is_due.then(|| now.saturating_sub(self.permit.poll_interval())),
            closing: self.last_words.is_some(),
        };
        Box::pin(Arc::clone(&self.tail).look(self.position, need))
    }

    /// Waits for the read that is under way or else for a ring, and for whatever is due first.
    async fn wait(&mut self) -> Woken {
        let patience = self.patience();
        let mut closing = self.permit.closing();
        // Asked after listening: a shutdown in between is not slept through.
        if self.permit.is_closing() && self.last_words.is_none() {
            return Woken::Other;
        }
        let mut sleep = self.permit.sleep(patience);
        let mut rung = match self.reading {
            Some(_) => None,
            None => Some(self.listener.rung()),
        };
        let reading = &mut self.reading;
        poll_fn(|cx| {
            if let Some(read) = reading
                && let Poll::Ready(result) = read.as_mut().poll(cx)
            {
                *reading = None;
                return Poll::Ready(Woken::Read(result));
            }
            if let Some(rung) = &mut rung
                && rung.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Woken::Rung);
            }
            if Pin::new(&mut closing).poll(cx).is_ready() || sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Woken::Other);
            }
            Poll::Pending
        })
        .await
    }

    /// How long nothing is due.
    fn patience(&self) -> Duration {
        let now = self.now();
        let due = self.comment_at.min(self.aged_at);
        let mut patience = due.saturating_sub(now);
        if self.reading.is_none() {
            patience = patience.min(self.look_at.saturating_sub(now));
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
                self.failures += 1;
                self.look_at = self.now() + self.permit.poll_interval();
                if !error.is_transient() || self.failures >= MAX_FAILURES {
                    self.interrupt();
                }
                return;
            }
        };
        let first = batch.frames.first();
        let next = first.map_or(batch.head + 1, |frame| frame.seq);
        if batch.epoch != self.epoch || next != self.position + 1 {
            return self.interrupt();
        }
        self.failures = 0;
        self.head = batch.head;
        self.closed = batch.closed;
        self.hold(batch);
    }

    fn interrupt(&mut self) {
        self.ending = Some(Ended::Interrupted);
    }

    fn hold(&mut self, batch: Batch) {
        let last = batch.frames.last().map_or(self.position, |frame| frame.seq);
        self.look = last < self.head;
        self.look_at = batch.read_at + self.permit.poll_interval();
        self.pending = batch.frames.into_iter();
    }

    fn now(&self) -> Duration {
        self.permit.clock().monotonic()
    }

    fn token_left(&self) -> Option<Duration> {
        let now = self.permit.clock().now();
        self.token_expires_at.map(|at| at.since(now))
    }
}
