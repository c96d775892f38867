//! What opens a stream and how it ends.

use std::time::Duration;

use sheen_core::id::{BuildId, UserId};
use sheen_core::time::Timestamp;

use super::body::EventStream;
use super::resume::Resume;

/// Bounds and beats of the streams of a process.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StreamConfig {
    /// A comment is sent when nothing else was for so long: 15 s.
    pub keep_alive: Duration,
    /// The most events read from the log at once and held for one viewer: 256.
    pub page_size: u32,
    /// The most streams open at once, 10,000. One more is refused; none is dropped for it.
    pub max_streams: usize,
    /// The first wake-up is looked at at once and the next not before this time: 5 ms, and a 256th
    /// more for each viewer of the build, at most ten times as much. So events that come faster
    /// reach each viewer in one piece.
    pub gap: Duration,
    /// How long a stream is silent before it ends as an [`Abort`]: 200 ms. HTTP servers drop what
    /// they hold and have not written when a body fails; a pause lets them write it.
    pub abort_delay: Duration,
    /// How old a stream becomes before it ends, to be opened again: 30 min, a fifth less or more,
    /// so that streams that were opened together do not end together.
    pub max_age: Duration,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(15),
            page_size: 256,
            max_streams: 10_000,
            gap: Duration::from_millis(5),
            abort_delay: Duration::from_millis(200),
            max_age: Duration::from_secs(30 * 60),
        }
    }
}

/// Who wants which build's stream, and from where.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StreamRequest<'a> {
    /// Who asks.
    pub viewer: UserId,
    /// For which build.
    pub build: BuildId,
    /// What the viewer has already.
    pub resume: Resume<'a>,
    /// When the viewer's token ends, and the stream with it.
    pub token_expires_at: Option<Timestamp>,
    /// Whether an end that is not the build's (the token's, a shutdown) comes as an
    /// [`Abort`], after [`StreamConfig::abort_delay`]: readers from before this worker come back
    /// only after an error.
    pub abort_unfinished: bool,
}

impl<'a> StreamRequest<'a> {
    /// `viewer` wants the stream of `build` from its start, without an end of its own.
    #[must_use]
    pub const fn new(viewer: UserId, build: BuildId) -> Self {
        Self {
            viewer,
            build,
            resume: Resume::Start,
            token_expires_at: None,
            abort_unfinished: false,
        }
    }

    /// From what the viewer has.
    #[must_use]
    pub const fn resume(mut self, resume: Resume<'a>) -> Self {
        self.resume = resume;
        self
    }

    /// Until the viewer's token ends.
    #[must_use]
    pub const fn until(mut self, token_expires_at: Timestamp) -> Self {
        self.token_expires_at = Some(token_expires_at);
        self
    }

    /// With an error as the end, when it ends before the build does.
    #[must_use]
    pub const fn abort_unfinished(mut self) -> Self {
        self.abort_unfinished = true;
        self
    }
}

/// What came of opening a stream. The variants stand in order of precedence.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenOutcome {
    /// The process is about to end. Come back later.
    ShuttingDown,
    /// As many streams are open as may be. Come back later.
    Full,
    /// No such build, or another user's.
    NotFound,
    /// The `cursor` parameter is not a cursor of this build.
    CursorInvalid,
    /// The stream.
    Open(EventStream),
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// The build's stream is closed and all of it was sent; there is nothing to come back for.
    Closed,
    /// The viewer's token ended; a new one goes on at the cursor.
    TokenExpired,
    /// It has lived as long as a stream may; its reader goes on with another.
    Aged,
    /// The process ends, and the build is not known to be over.
    ShuttingDown,
    /// The log could not be read, or is no longer the one that was begun. The viewer comes back
    /// and is told how it goes on.
    Interrupted,
}

/// The stream must end as an error: without the final chunk of HTTP/1.1, by a reset of HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream ends before its build does")]
#[non_exhaustive]
pub struct Abort {
    /// Why.
    pub ended: Ended,
}

impl Abort {
    pub(super) const fn new(ended: Ended) -> Self {
        Self { ended }
    }
}
