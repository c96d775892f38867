//! What is asked, kept and told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId};
use sheen_core::locale::Locale;
use sheen_core::time::Timestamp;
use sheen_core::token::FencingToken;
use sheen_core::wire::SuggestionItem;

/// A list of suggestions or recommendations, within bounds: at most [`Items::MAX`], at most
/// [`Items::MAX_BYTES`] bytes of JSON, each id once, confidences from 0 to 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Items(Arc<[SuggestionItem]>);

/// Why a list is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemsError {
    /// There are more than [`Items::MAX`].
    #[error("there must be at most 20 recommendations")]
    TooMany,
    /// They are over [`Items::MAX_BYTES`] bytes of JSON.
    #[error("recommendations must be at most 32768 bytes of JSON")]
    TooLarge,
    /// A confidence is not from 0 to 1.
    #[error("a confidence must be from 0 to 1")]
    Confidence,
    /// An id is empty or stands twice.
    #[error("each recommendation must have an id of its own")]
    Id,
    /// A text holds NUL, which no database keeps.
    #[error("recommendations must not hold NUL")]
    Nul,
}

impl Items {
    /// The most items.
    pub const MAX: usize = 20;
    /// The most bytes of JSON.
    pub const MAX_BYTES: usize = 32 * 1024;

    /// Takes `items`, in their order.
    ///
    /// # Errors
    /// When they are not within the bounds.
    pub fn new(items: Vec<SuggestionItem>) -> Result<Self, ItemsError> {
        if items.len() > Self::MAX {
            return Err(ItemsError::TooMany);
        }
        for (at, item) in items.iter().enumerate() {
            if !(0.0..=1.0).contains(&item.confidence) {
                return Err(ItemsError::Confidence);
            }
            if item.id.is_empty() || items[..at].iter().any(|other| other.id == item.id) {
                return Err(ItemsError::Id);
            }
            let texts = [&item.id, &item.title, &item.description, &item.category];
            if texts.iter().any(|text| text.contains('\0')) || item.prompt.contains('\0') {
                return Err(ItemsError::Nul);
            }
        }
        let items = Self(items.into());
        if items.to_json().len() > Self::MAX_BYTES {
            return Err(ItemsError::TooLarge);
        }
        Ok(items)
    }

    /// The items.
    #[must_use]
    pub fn as_slice(&self) -> &[SuggestionItem] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The items as a JSON array.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and finite numbers alone: it cannot fail.
        serde_json::to_string(&*self.0).unwrap_or_default()
    }

    /// What [`to_json`](Self::to_json) gave.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        let items: Vec<SuggestionItem> = serde_json::from_str(json)?;
        Ok(Self(items.into()))
    }
}

/// How the queue behaves (wire.md §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueLimits {
    /// So many run at once, over all processes: 2.
    pub concurrency: u32,
    /// So many begin within any minute, over all processes: 10.
    pub per_minute: u32,
    /// One may take so long: 20 s.
    pub try_limit: Duration,
    /// A request for the same project and session within this is the same one: 5 min.
    pub repeat_within: Duration,
    /// One that waited so long for its turn has failed: 5 min.
    pub patience: Duration,
    /// A stream waits so long, after its build has ended, for recommendations: 30 s.
    pub stream_waits: Duration,
    /// So many wait at most; one more has failed at once, 1,000.
    pub max_waiting: u32,
    /// A record is kept for this: 45 days.
    pub kept: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            concurrency: 2,
            per_minute: 10,
            try_limit: Duration::from_secs(20),
            repeat_within: Duration::from_secs(300),
            patience: Duration::from_secs(300),
            stream_waits: Duration::from_secs(30),
            max_waiting: 1_000,
            kept: Duration::from_secs(45 * 24 * 3600),
        }
    }
}

/// The wish for recommendations.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NewRequest {
    /// Whose build it is.
    pub user: UserId,
    /// For which project.
    pub project: ProjectId,
    /// For which build of it.
    pub build: BuildId,
    /// What the caller calls the build.
    pub session: BuildSessionId,
    /// The person's language.
    pub locale: Locale,
    /// What was suggested at once.
    pub quick: Items,
}

impl NewRequest {
    /// Recommendations for `build`, in English, with nothing suggested at once.
    #[must_use]
    pub fn new(user: UserId, project: ProjectId, build: BuildId, session: BuildSessionId) -> Self {
        Self {
            user,
            project,
            build,
            session,
            locale: Locale::En,
            quick: Items::default(),
        }
    }

    /// The same in `locale`, beside what was suggested at once.
    #[must_use]
    pub fn with_quick(mut self, locale: Locale, quick: Items) -> Self {
        self.locale = locale;
        self.quick = quick;
        self
    }
}

/// Where a record stands.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Phase {
    /// It waits for its turn.
    Queued,
    /// A process works on it.
    Running,
    /// The provider answered.
    Ready(Items),
    /// There are none; the text, for people, says why.
    Failed(Arc<str>),
}

impl Phase {
    /// Whether nothing more comes of it.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self, Self::Ready(_) | Self::Failed(_))
    }
}

/// What is kept of one project and session.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// What was asked.
    pub request: NewRequest,
    /// Where it stands.
    pub phase: Phase,
    /// Rises with each request and claim: the fence of whoever works on it.
    pub attempt: FencingToken,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When work on it began, last.
    pub started_at: Option<Timestamp>,
    /// When its build ended.
    pub ended_at: Option<Timestamp>,
    /// Whether its build's stream has been told what came of it.
    pub is_told: bool,
    /// Whether its build's stream has been ended.
    pub is_closed: bool,
}

impl Record {
    /// The record of `request`, made at `now`.
    #[must_use]
    pub const fn new(request: NewRequest, now: Timestamp) -> Self {
        Self {
            request,
            phase: Phase::Queued,
            attempt: FencingToken::ZERO,
            requested_at: now,
            started_at: None,
            ended_at: None,
            is_told: false,
            is_closed: false,
        }
    }

    /// Which record it is.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::new(self.request.project.clone(), self.request.session.clone())
    }
}

/// Names a record: a build session of a project.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Key {
    /// The project.
    pub project: ProjectId,
    /// The session.
    pub session: BuildSessionId,
}

impl Key {
    /// The record of `session` of `project`.
    #[must_use]
    pub const fn new(project: ProjectId, session: BuildSessionId) -> Self {
        Self { project, session }
    }
}

/// What came of a request. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// The session's record is another user's. Nothing was written.
    NotOwner,
    /// It was asked for before, and is under way or not long ago. Nothing was written.
    Known(Record),
    /// It is in the queue, or has failed at once because the queue is full.
    Taken(Record),
}

/// What came of asking for work. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClaimOutcome {
    /// Nothing waits.
    Empty,
    /// Something waits, and may not begin before so long has passed, or before another ends.
    Wait(Duration),
    /// This is the caller's to do, under the record's attempt.
    Claimed(Record),
}

/// What came of a settlement. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SettleOutcome {
    /// No such record. Nothing was written.
    NotFound,
    /// The claim is over. Nothing was written; this is the record.
    Unchanged(Record),
    /// It is stored.
    Settled(Record),
}

/// What is to be done for a build's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Tell it what came of the recommendations.
    Announce,
    /// End it.
    Close,
}

/// A record and what is to be done for it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Due {
    /// The record.
    pub record: Record,
    /// What is to be done.
    pub step: Step,
}

impl Due {
    /// `step` for `record`.
    #[must_use]
    pub const fn new(record: Record, step: Step) -> Self {
        Self { record, step }
    }
}

/// How recommendations stand for a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Nobody asked for any.
    Idle,
    /// They are being made; what was suggested at once is there.
    Pending,
    /// There is something to show.
    Ready,
    /// There is nothing to show.
    Failed,
}

impl Status {
    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    /// The status with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Idle, Self::Pending, Self::Ready, Self::Failed];
        all.into_iter().find(|status| status.as_str() == name)
    }
}

/// Where what is ready comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// From what was suggested at once.
    Quick,
    /// From the provider.
    Ai,
}

impl Source {
    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Ai => "ai",
        }
    }
}

/// What a reader is told (wire.md §7).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RecommendState {
    /// How they stand.
    pub status: Status,
    /// Where what is ready comes from; `None` unless something is.
    pub source: Option<Source>,
    /// What was suggested at once.
    pub quick: Items,
    /// What was recommended.
    pub recommendations: Items,
    /// For which session; `None` when there is none.
    pub session: Option<BuildSessionId>,
    /// Why there are no recommendations, for people.
    pub error: Option<Arc<str>>,
}

impl RecommendState {
    /// Nobody asked for any.
    #[must_use]
    pub fn idle(session: Option<BuildSessionId>) -> Self {
        Self {
            status: Status::Idle,
            source: None,
            quick: Items::default(),
            recommendations: Items::default(),
            session,
            error: None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.session, self.project)
    }
}
