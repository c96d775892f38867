//! Where a stream goes on. Pure.

use sheen_core::id::BuildId;
use sheen_core::time::Timestamp;

use crate::feed::{CursorError, Position, number};
use crate::log::StreamHead;

/// What a reader says it has, as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Resume<'a> {
    /// Nothing.
    #[default]
    Start,
    /// Every event up to this seq.
    After(u64),
    /// What a poll's cursor says.
    Cursor(&'a str),
    /// Something that is not a seq: no log of ours sent it.
    Unknown,
}

impl<'a> Resume<'a> {
    /// Reads `Last-Event-ID`, `x-last-event-seq` and `?cursor=`, the first that is there and not
    /// empty: a browser that reconnects knows better than the address it was given.
    #[must_use]
    pub fn from_request(
        last_event_id: Option<&'a str>,
        last_event_seq: Option<&'a str>,
        cursor: Option<&'a str>,
    ) -> Self {
        let given = |text: &&str| !text.is_empty();
        let header = last_event_id.filter(given).or(last_event_seq.filter(given));
        match (header, cursor.filter(given)) {
            (Some(header), _) => number(header).map_or(Self::Unknown, Self::After),
            (None, Some(cursor)) => Self::Cursor(cursor),
            (None, None) => Self::Start,
        }
    }

    pub(super) fn wanted(self, build: &BuildId) -> Result<Wanted, CursorError> {
        Ok(match self {
            Self::Start => Wanted::After {
                seq: 0,
                epoch: None,
            },
            Self::After(seq) => Wanted::After { seq, epoch: None },
            Self::Unknown => Wanted::Unknown,
            Self::Cursor(text) => match Position::parse(text, build)? {
                Position::Start => Wanted::After {
                    seq: 0,
                    epoch: None,
                },
                Position::Instant(instant) => Wanted::Instant(instant),
                Position::Cursor(cursor) => Wanted::After {
                    seq: cursor.seq,
                    epoch: Some(cursor.epoch),
                },
            },
        })
    }
}

/// What a reader wants, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    After { seq: u64, epoch: Option<u64> },
    Instant(Timestamp),
    Unknown,
}

/// How a stream goes on from what its reader has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resumed {
    /// With the next event.
    Exact,
    /// With the first event kept: some between were removed.
    Gap,
    /// From the first event kept, all again: what the reader has is not of this log.
    Reset,
}

impl Resumed {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Gap => "gap",
            Self::Reset => "reset",
        }
    }
}

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// The first event to follow is the one after this.
    pub(super) after: u64,
    /// What the reader has of this log.
    pub(super) delivered: u64,
    pub(super) resumed: Resumed,
}

impl Start {
    /// Where a reader who has everything up to `seq` (of the log made as `epoch`, if it says so)
    /// begins; `None` is a reader whose word means nothing here.
    pub(super) fn decide(has: Option<(u64, Option<u64>)>, stream: &StreamHead) -> Self {
        let of_this_log = |&(seq, epoch): &(u64, Option<u64>)| {
            seq <= stream.head && epoch.is_none_or(|epoch| epoch == stream.epoch)
        };
        match has.filter(of_this_log) {
            None => Self {
                after: stream.floor,
                delivered: 0,
                resumed: Resumed::Reset,
            },
            Some((seq, _)) if seq < stream.floor => Self {
                after: stream.floor,
                delivered: seq,
                resumed: Resumed::Gap,
            },
            Some((seq, _)) => Self {
                after: seq,
                delivered: seq,
                resumed: Resumed::Exact,
            },
        }
    }
}
