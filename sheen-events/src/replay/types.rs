//! What a replay is asked for and what comes of it.

use sheen_core::error::StoreError;
use sheen_core::id::BuildSessionId;

use super::body::ReplayBody;

/// How the events of a replay are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ReplayFormat {
    /// A line of JSON each, the last one too: `application/x-ndjson`.
    #[default]
    Lines,
    /// One JSON array: `application/json`.
    Array,
}

/// Which part of a log is wanted, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayRequest {
    /// The first seq wanted; 0 is the same as 1.
    pub from: u64,
    /// The last seq wanted; without one, that of the log when it is opened.
    pub to: Option<u64>,
    /// How it is written.
    pub format: ReplayFormat,
}

impl ReplayRequest {
    /// From `seq` to the log's head, as lines.
    #[must_use]
    pub const fn from(seq: u64) -> Self {
        Self {
            from: seq,
            to: None,
            format: ReplayFormat::Lines,
        }
    }

    /// The same up to `seq`, that one included.
    #[must_use]
    pub const fn to(mut self, seq: u64) -> Self {
        self.to = Some(seq);
        self
    }

    /// The same, written as `format`.
    #[must_use]
    pub const fn written_as(mut self, format: ReplayFormat) -> Self {
        self.format = format;
        self
    }
}

/// What a replay is of, told before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayHead {
    /// What the caller calls the build.
    pub session: BuildSessionId,
    /// Which making of the log.
    pub epoch: u64,
    /// Visible events with a seq up to this were removed; 0 when none were. Where it is not below
    /// the seq that was asked for, something is missing at the beginning.
    pub floor: u64,
    /// The log's last seq at that instant.
    pub head: u64,
    /// Whether nothing more will come.
    pub closed: bool,
    /// The first seq that follows; above `to` when none does.
    pub from: u64,
    /// The last seq that follows.
    pub to: u64,
}

/// What came of opening a replay. The variants stand in order of precedence.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplayOutcome {
    /// No such build, or another user's.
    NotFound,
    /// What it is of, and its bytes.
    Replay(ReplayHead, Box<ReplayBody>),
}

/// Why a replay broke off. What came before is good; ask again from the seq after it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The log failed.
    #[error("the log failed")]
    Store(#[from] StoreError),
    /// What was to follow is not in the log any more: retention took it, or the log was made anew.
    #[error("what was to follow is no longer in the log")]
    Gone,
}
