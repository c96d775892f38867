//! What a follower is told, what it asks for and what it tells.

use std::time::Duration;

use sheen_core::time::Timestamp;

/// An instant on both clocks of the reader's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a machine has these two clocks")]
pub struct Moment {
    /// Never steps back, and may stand still while the machine sleeps.
    pub monotonic: Duration,
    /// What people go by.
    pub wall: Timestamp,
}

impl Moment {
    /// `clock`, read now.
    pub fn now(clock: &dyn sheen_core::time::Clock) -> Self {
        Self {
            monotonic: clock.monotonic(),
            wall: clock.now(),
        }
    }
}

/// Bounds and beats of a follower; the defaults are those of wire.md §7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowConfig {
    /// The first wait before a stream is opened again, unless its server says `retry`: 1 s.
    pub first_wait: Duration,
    /// The longest such wait: 30 s.
    pub longest_wait: Duration,
    /// How often in a row a stream is opened again before polling takes its place: 5.
    pub tries: u32,
    /// No bytes for so long is a dead connection: 37 s, 2.5 keep-alives.
    pub silence: Duration,
    /// A stream that says nothing for so long after it was asked for does not go through: 10 s. Its
    /// first frame is sent at once.
    pub first_byte: Duration,
    /// A stream that lived so long was well, and tries are counted anew: 60 s.
    pub healthy: Duration,
    /// So many streams in a row that end within a second without an event, or say nothing, are one
    /// too many: 3.
    /// Something on the way does not let streams through.
    pub short_streams: u32,
    /// How long it is polled before a stream is tried again: 60 s.
    pub stream_again: Duration,
    /// How long a poll's answer may take: 15 s.
    pub poll_timeout: Duration,
    /// No good answer for so long, and it is given up: 10 min.
    pub patience: Duration,
    /// An event that came later than this after it happened is reported: 10 s.
    pub late: Duration,
    /// The longest line and the most data of one event of a stream, in bytes.
    pub max_event: usize,
}

impl Default for FollowConfig {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(30),
            tries: 5,
            silence: Duration::from_secs(37),
            first_byte: Duration::from_secs(10),
            healthy: Duration::from_secs(60),
            short_streams: 3,
            stream_again: Duration::from_secs(60),
            poll_timeout: Duration::from_secs(15),
            patience: Duration::from_secs(600),
            late: Duration::from_secs(10),
            max_event: super::SseParser::MAX,
        }
    }
}

/// What to do now. Any but [`Read`](Self::Read) means that no call is to be open: drop what is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Open the stream, and tell [`opened`](super::Follower::opened) or
    /// [`broke`](super::Follower::broke).
    Connect {
        /// The seq to send as `Last-Event-ID`; none when nothing was read yet.
        last: Option<u64>,
        /// The token used last is refused or over: send another.
        fresh_token: bool,
    },
    /// Ask for a page, and tell [`polled`](super::Follower::polled).
    Poll(PollCall),
    /// Wait for the call that is open, at most until the monotonic clock says so; ask again then.
    Read {
        /// When.
        until: Duration,
    },
    /// Wait until the monotonic clock says so; ask again then.
    Wait {
        /// When.
        until: Duration,
    },
    /// There is nothing more to do.
    Over(Over),
}

/// One poll.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollCall {
    /// The `cursor` parameter, if any: a page's, or an instant.
    pub cursor: Option<String>,
    /// `intervalMs`: how long was waited before.
    pub interval: Duration,
    /// `If-None-Match`, if any.
    pub if_none_match: Option<String>,
    /// The token used last is refused or over: send another.
    pub fresh_token: bool,
}

/// Why a follower is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Over {
    /// The build has ended and all of it was told.
    Closed,
    /// A new token was refused too.
    Unauthorized,
    /// Refused for good, with this status.
    Refused(u16),
    /// Nothing answered well for [`FollowConfig::patience`].
    Lost,
}

/// The head of a stream's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Whether its content type is `text/event-stream`.
    pub is_event_stream: bool,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// `Date`: what the server's clock says, so that a wrong clock here makes no event late.
    pub date: Option<Timestamp>,
}

impl Answer {
    /// An answer of `status` and nothing else.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self {
            status,
            is_event_stream: false,
            retry_after: None,
            date: None,
        }
    }

    /// An event stream that was opened.
    #[must_use]
    pub const fn stream() -> Self {
        Self {
            is_event_stream: true,
            ..Self::status(200)
        }
    }

    /// With `Retry-After`.
    #[must_use]
    pub const fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// With `Date`.
    #[must_use]
    pub const fn date(mut self, date: Option<Timestamp>) -> Self {
        self.date = date;
        self
    }
}

/// What came of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Polled<'a> {
    /// 200.
    Page {
        /// The body.
        body: &'a [u8],
        /// Its `ETag`.
        etag: Option<&'a str>,
        /// `Date`.
        date: Option<Timestamp>,
    },
    /// Any other answer, 304 too.
    Answer(Answer),
    /// None: it could not be sent, or its answer was cut.
    Broken,
}

/// By which way an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// The stream.
    Stream,
    /// A poll.
    Poll,
}

/// What a follower tells, in the order in which it learns of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Told<'a> {
    /// An event of the build: each seq once, in order.
    Event(Seen<'a>),
    /// Events are gone for good: the worker keeps them no more.
    Gone {
        /// The first that follows.
        from: u64,
    },
    /// The log was made anew: what was told before is not of it, and it is told from its start.
    Reset,
    /// All that had happened when it was asked was told. Once for each connection, and in polls
    /// once they have caught up.
    CaughtUp,
    /// An event came later than [`FollowConfig::late`] after it happened, though the reader was
    /// up to date before.
    Late {
        /// Its number.
        seq: u64,
        /// How much later.
        by: Duration,
    },
    /// The stream is lost and will be opened again.
    Reconnecting {
        /// Which attempt in a row.
        attempt: u32,
        /// After how long.
        wait: Duration,
    },
    /// The stream failed too often: it is polled for now.
    Polling,
    /// The stream is back.
    Streaming,
}

/// An event as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen<'a> {
    /// Its number.
    pub seq: u64,
    /// Its type.
    pub kind: &'a str,
    /// Its data, a JSON object as text.
    pub data: &'a str,
    /// When it happened, by the worker's clock, if it says so.
    pub created_at: Option<Timestamp>,
    /// How it came.
    pub via: Via,
}

/// What a follower has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FollowCounts {
    /// Events told.
    pub events: u64,
    /// Events that were told before, dropped.
    pub duplicates: u64,
    /// Events of other sessions, dropped.
    pub foreign: u64,
    /// Jumps in seq.
    pub gaps: u64,
    /// Streams opened again.
    pub reconnects: u64,
    /// Polls sent.
    pub polls: u64,
}
