//! Events, streams and what a log answers.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::time::Timestamp;
use sheen_core::token::FencingToken;

/// What kind of thing happened: 1–64 of `a-z0-9_`. Types this code does not know pass through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Cow<'static, str>);

/// Why a text is not an event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of a-z, 0-9 and _")]
#[non_exhaustive]
pub struct EventTypeError;

impl EventType {
    /// The plan is being made.
    pub const PLAN_STARTED: Self = Self(Cow::Borrowed("plan_started"));
    /// The build is in the queue; data adds `queuePosition` and `estimatedSeconds`.
    pub const BUILD_QUEUED: Self = Self(Cow::Borrowed("build_queued"));
    /// A process has claimed it.
    pub const BUILD_STARTED: Self = Self(Cow::Borrowed("build_started"));
    /// A line of the builder's.
    pub const BUILD_LOG: Self = Self(Cow::Borrowed("build_log"));
    /// The result is being published.
    pub const DEPLOY_STARTED: Self = Self(Cow::Borrowed("deploy_started"));
    /// The end of a good build; data adds `previewUrl`, `versionId` and `duration` (seconds).
    pub const DEPLOY_COMPLETED: Self = Self(Cow::Borrowed("deploy_completed"));
    /// The end of any other build; data adds `reason` and `error`.
    pub const DEPLOY_FAILED: Self = Self(Cow::Borrowed("deploy_failed"));
    /// A task of the build failed; data adds `reason` and `error`.
    pub const TASK_FAILED: Self = Self(Cow::Borrowed("task_failed"));
    /// Recommendations are there; data adds `readySource` and `count`.
    pub const RECOMMENDATIONS_READY: Self = Self(Cow::Borrowed("recommendations_ready"));
    /// There are no recommendations; data adds `readySource`, `reason` and `error`.
    pub const RECOMMENDATIONS_FAILED: Self = Self(Cow::Borrowed("recommendations_failed"));

    /// Takes a text as a type.
    ///
    /// # Errors
    /// When it is empty, over 64 bytes or holds anything but `a-z`, `0-9` and `_`.
    pub fn parse(text: &str) -> Result<Self, EventTypeError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
            return Err(EventTypeError);
        }
        Ok(Self(Cow::Owned(text.to_owned())))
    }

    /// The type as it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who may see an event. Hidden ones are numbered apart: `seq` counts the visible (wire.md §15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an event is for the user or it is not"
)]
pub enum Visibility {
    /// The build's user and operators.
    #[default]
    User,
    /// Operators only.
    Operator,
}

/// An event to be appended. `data` is a JSON object with a `message` for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewEvent {
    /// What happened.
    pub kind: EventType,
    /// A JSON object as text.
    pub data: Arc<str>,
    /// Who may see it.
    pub visibility: Visibility,
}

/// Why data is not an event's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventDataError {
    /// It is over [`NewEvent::MAX_DATA`] bytes of JSON.
    #[error("event data must be at most 65536 bytes of JSON")]
    TooLarge,
    /// It has no `message`.
    #[error("event data must have a message, a string")]
    NoMessage,
}

impl NewEvent {
    /// The largest data, in bytes of JSON.
    pub const MAX_DATA: usize = 64 * 1024;

    /// An event the user sees.
    ///
    /// # Errors
    /// When the data has no string `message`, or is too large.
    pub fn new(
        kind: EventType,
        data: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, EventDataError> {
        if !data
            .get("message")
            .is_some_and(serde_json::Value::is_string)
        {
            return Err(EventDataError::NoMessage);
        }
        let data = serde_json::to_string(data).map_err(|_| EventDataError::TooLarge)?;
        if data.len() > Self::MAX_DATA {
            return Err(EventDataError::TooLarge);
        }
        Ok(Self {
            kind,
            data: data.into(),
            visibility: Visibility::User,
        })
    }

    /// The same event for operators only.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.visibility = Visibility::Operator;
        self
    }
}

/// An event as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Its number among the build's visible events, from 1, without gaps, in commit order. A
    /// hidden event has a number among the hidden ones.
    pub seq: u64,
    /// The build.
    pub build: BuildId,
    /// What the caller calls the build.
    pub session: BuildSessionId,
    /// What happened.
    pub kind: EventType,
    /// A JSON object as text.
    pub data: Arc<str>,
    /// Who may see it.
    pub visibility: Visibility,
    /// When; at least 1 ms after the build's event before it.
    pub created_at: Timestamp,
}

impl Event {
    /// `event` as number `seq` of its build's stream, for a store of your own.
    #[must_use]
    pub fn new(
        seq: u64,
        build: BuildId,
        session: BuildSessionId,
        created_at: Timestamp,
        event: NewEvent,
    ) -> Self {
        Self {
            seq,
            build,
            session,
            kind: event.kind,
            data: event.data,
            visibility: event.visibility,
            created_at,
        }
    }
}

/// How a build stands as its events tell it (wire.md §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventStatus {
    /// No event has ended it.
    Building,
    /// `deploy_completed`.
    Completed,
    /// `deploy_failed` or `task_failed`.
    Failed,
}

impl EventStatus {
    /// The status that an event of this type decides; `None` when it decides nothing.
    #[must_use]
    pub fn decided_by(kind: &EventType) -> Option<Self> {
        if *kind == EventType::DEPLOY_COMPLETED {
            Some(Self::Completed)
        } else if *kind == EventType::DEPLOY_FAILED || *kind == EventType::TASK_FAILED {
            Some(Self::Failed)
        } else {
            None
        }
    }

    /// The status as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// A stream to be opened, one per build.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewStream {
    /// The build.
    pub build: BuildId,
    /// Its owner.
    pub user: UserId,
    /// What the caller calls it.
    pub session: BuildSessionId,
}

impl NewStream {
    /// The stream of `build`.
    #[must_use]
    pub const fn new(build: BuildId, user: UserId, session: BuildSessionId) -> Self {
        Self {
            build,
            user,
            session,
        }
    }
}

/// Where a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamHead {
    /// Its owner.
    pub user: UserId,
    /// What the caller calls the build.
    pub session: BuildSessionId,
    /// Changes when the log was made anew: a cursor of another epoch means nothing here. From 1
    /// to [`StreamHead::MAX_EPOCH`].
    pub epoch: u64,
    /// The seq of the last visible event; 0 before the first.
    pub head: u64,
    /// Visible events with a seq up to this were removed; 0 when none were.
    pub floor: u64,
    /// Whether nothing more will come.
    pub closed: bool,
    /// The type of the event that decided the status, once one did.
    pub ended_by: Option<EventType>,
}

impl StreamHead {
    /// The largest epoch: a JSON number carries it to JavaScript unharmed.
    pub const MAX_EPOCH: u64 = (1 << 53) - 1;

    /// A stream just opened.
    #[must_use]
    pub const fn new(user: UserId, session: BuildSessionId, epoch: u64) -> Self {
        Self {
            user,
            session,
            epoch,
            head: 0,
            floor: 0,
            closed: false,
            ended_by: None,
        }
    }

    /// How the build stands as its events tell it.
    #[must_use]
    pub fn status(&self) -> EventStatus {
        self.ended_by
            .as_ref()
            .and_then(EventStatus::decided_by)
            .unwrap_or(EventStatus::Building)
    }
}

/// Events to be appended in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Append {
    /// To which build's stream.
    pub build: BuildId,
    /// The writer's claim; the stream accepts only the one last raised.
    pub token: FencingToken,
    /// The writer's name for this append, 1 to [`Append::MAX_KEY`] bytes: a repeat with it gets
    /// the first answer.
    pub key: Option<Arc<str>>,
    /// At least one, at most [`Append::MAX_EVENTS`].
    pub events: Vec<NewEvent>,
}

impl Append {
    /// The most events in one step.
    pub const MAX_EVENTS: usize = 500;

    /// The longest key, in bytes.
    pub const MAX_KEY: usize = 256;

    /// Appends `events` to the stream of `build`.
    #[must_use]
    pub const fn new(build: BuildId, token: FencingToken, events: Vec<NewEvent>) -> Self {
        Self {
            build,
            token,
            key: None,
            events,
        }
    }

    /// The same append under the writer's name for it.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Whether the append keeps its own bounds: a log answers
    /// [`Rejected`](sheen_core::error::StoreErrorKind::Rejected) to one that does not.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let key = |key: &Arc<str>| !key.is_empty() && key.len() <= Self::MAX_KEY;
        !self.events.is_empty()
            && self.events.len() <= Self::MAX_EVENTS
            && self.key.as_ref().is_none_or(key)
            && self
                .events
                .iter()
                .all(|event| event.data.len() <= NewEvent::MAX_DATA)
    }

    /// Whether this is a build's end and nothing beside it: one visible `deploy_completed` or
    /// `deploy_failed` (wire.md §5: every build ends with exactly one). A `task_failed` is an event
    /// like any other here, for builders tell it.
    #[must_use]
    pub fn is_end(&self) -> bool {
        let [event] = self.events.as_slice() else {
            return false;
        };
        let ends = [EventType::DEPLOY_COMPLETED, EventType::DEPLOY_FAILED];
        event.visibility == Visibility::User && ends.contains(&event.kind)
    }
}

/// What came of an append. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendOutcome {
    /// No such stream.
    NotFound,
    /// The same append was done before; these are its events.
    Duplicate(Vec<Event>),
    /// The token is not the one last raised. Nothing was written.
    Fenced,
    /// The stream is closed. Nothing was written.
    Closed,
    /// The events are in the log.
    Appended(Vec<Event>),
}

/// Visible events in order of seq, and where the stream stood at that instant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// The stream.
    pub stream: StreamHead,
}

impl Page {
    /// `events` of `stream`.
    #[must_use]
    pub const fn new(events: Vec<Event>, stream: StreamHead) -> Self {
        Self { events, stream }
    }
}
