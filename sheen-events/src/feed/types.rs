//! What a poll asks and what it gets.

use std::time::Duration;

use bytes::Bytes;
use sheen_core::error::Fields;

use crate::log::Event;

/// How many events a page has at most: 1 to 50.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageLimit(u8);

impl PageLimit {
    /// The default, and the most (wire.md §7).
    pub const MAX: Self = Self(50);

    /// A limit of 1 to 50; `None` for anything else.
    #[must_use]
    pub fn new(events: u64) -> Option<Self> {
        let events = u8::try_from(events).ok()?;
        (1..=Self::MAX.0).contains(&events).then_some(Self(events))
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self::MAX
    }
}

/// How the events of a page are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Shape {
    /// As events of wire.md §7, the same as in a stream.
    #[default]
    Event,
    /// As rows of the old table.
    Row,
}

/// One poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PollRequest<'a> {
    /// What an earlier page gave, or an RFC 3339 instant; as it came, unchecked.
    pub cursor: Option<&'a str>,
    /// An RFC 3339 instant; as it came. A cursor beats it.
    pub since: Option<&'a str>,
    /// The most events wanted.
    pub limit: PageLimit,
    /// How long the caller waited before this poll, if it says so.
    pub interval: Option<Duration>,
    /// How to write the events.
    pub shape: Shape,
    /// `If-None-Match`, as it came.
    pub if_none_match: Option<&'a str>,
}

impl<'a> PollRequest<'a> {
    /// A poll from the start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the query parameters of wire.md §7, noting the bad ones in `fields`. Whether a cursor
    /// is good is judged by [`Feed::poll`](super::Feed::poll), after it is known whose build it is.
    pub fn from_query(
        fields: &mut Fields,
        query: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        const NAMES: [&str; 5] = ["cursor", "since", "limit", "intervalMs", "shape"];
        let mut request = Self::new();
        let mut times = [0_usize; NAMES.len()];
        for (name, value) in query {
            if let Some(at) = NAMES.iter().position(|known| *known == name) {
                times[at] += 1;
                match times[at] {
                    1 => {}
                    2 => {
                        fields.refuse(NAMES[at], "duplicate", "must be given once");
                        continue;
                    }
                    _ => continue,
                }
            }
            match name {
                "cursor" => request.cursor = Some(value),
                "since" => request.since = Some(value),
                "limit" => match number(value).and_then(PageLimit::new) {
                    Some(limit) => request.limit = limit,
                    None => fields.refuse("limit", "out_of_range", "must be a number from 1 to 50"),
                },
                "intervalMs" => match number(value) {
                    Some(millis) => request.interval = Some(Duration::from_millis(millis)),
                    None => fields.refuse(
                        "intervalMs",
                        "invalid_number",
                        "must be a whole number of milliseconds",
                    ),
                },
                "shape" => match value {
                    "row" => request.shape = Shape::Row,
                    "event" => request.shape = Shape::Event,
                    _ => fields.refuse("shape", "unknown_value", "must be row or event"),
                },
                _ => {}
            }
        }
        request
    }
}

/// Digits and nothing else: `parse` alone would take `+5`.
pub(crate) fn number(text: &str) -> Option<u64> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollPage {
    /// The events.
    pub events: Vec<Event>,
    /// From where to go on.
    pub cursor: String,
    /// Whether more is there already.
    pub has_next: bool,
    /// When to ask again, in milliseconds: `nextPollMs` and `x-next-poll-ms`.
    pub next_poll_ms: u64,
    /// Where the reader lacks events that retention took: those up to this seq are gone.
    pub gap: Option<u64>,
    /// The page's tag, quotes and all.
    pub etag: String,
    /// `{"events", "cursor", "hasNext", "nextPollMs"}`, UTF-8 JSON; and `"gap": {"floor"}` where
    /// there is one.
    pub body: Bytes,
}

/// What came of a poll. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PollOutcome {
    /// No such build, or another user's.
    NotFound,
    /// The cursor is not one of this build's log as it stands: changed, another build's, of a log
    /// that was made anew, or ahead of it. Begin again without one.
    CursorInvalid,
    /// The viewer has this page already.
    NotModified {
        /// The page's tag, quotes and all.
        etag: String,
        /// When to ask again, in milliseconds.
        next_poll_ms: u64,
    },
    /// A page.
    Page(PollPage),
}
