//! What the log for support keeps, and how it is looked up.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sheen_core::error::FieldProblem;
use sheen_core::id::{BuildId, MessageId, ProjectId, UserId};
use sheen_core::time::Timestamp;

/// How long an entry is kept (wire.md §12).
pub const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// What ties together all that followed from one call (`x-correlation-id`, wire.md §3): 1–128
/// visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CorrelationId(Arc<str>);

/// Why a text is no correlation id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 visible ASCII characters")]
#[non_exhaustive]
pub struct CorrelationIdError;

impl FieldProblem for CorrelationIdError {
    fn code(&self) -> &'static str {
        "invalid_characters"
    }
}

impl CorrelationId {
    /// The longest, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Takes a text as a correlation id.
    ///
    /// # Errors
    /// When it is empty, longer than [`Self::MAX_LEN`], or holds anything but visible ASCII.
    pub fn parse(text: &str) -> Result<Self, CorrelationIdError> {
        let fits = !text.is_empty() && text.len() <= Self::MAX_LEN;
        if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(CorrelationIdError)
        }
    }

    /// The id as it stands in the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CorrelationId {
    type Err = CorrelationIdError;

    fn from_str(text: &str) -> Result<Self, CorrelationIdError> {
        Self::parse(text)
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happened in the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChatKind {
    /// The person asked.
    Asked,
    /// An answer was given.
    Answered,
    /// No answer was given; the text says why.
    Failed,
}

impl ChatKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Asked, Self::Answered, Self::Failed];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Answered => "answered",
            Self::Failed => "failed",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The beginning of what was said: at most [`Excerpt::MAX`] bytes. Support needs no more, and the
/// conversation has the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(Arc<str>);

impl Excerpt {
    /// The longest, in bytes.
    pub const MAX: usize = 2_048;

    /// The beginning of `text`, cut between characters; NUL, which no database keeps in a text,
    /// is left out.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = text.replace('\0', "");
        let end = text.floor_char_boundary(Self::MAX);
        Self(text[..end].into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An entry to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewChatEntry {
    /// Its name among the user's: recording the same one again is a repeat.
    pub id: MessageId,
    /// Who chatted.
    pub user: UserId,
    /// What ties it to a call.
    pub correlation: CorrelationId,
    /// What happened.
    pub kind: ChatKind,
    /// The beginning of what was said.
    pub text: Excerpt,
    /// About which project.
    pub project: Option<ProjectId>,
    /// In the course of which build.
    pub build: Option<BuildId>,
}

impl NewChatEntry {
    /// An entry about no project and no build.
    #[must_use]
    pub const fn new(
        id: MessageId,
        user: UserId,
        correlation: CorrelationId,
        kind: ChatKind,
        text: Excerpt,
    ) -> Self {
        Self {
            id,
            user,
            correlation,
            kind,
            text,
            project: None,
            build: None,
        }
    }

    /// The same about `project`.
    #[must_use]
    pub fn about(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }

    /// The same in the course of `build`.
    #[must_use]
    pub fn during(mut self, build: BuildId) -> Self {
        self.build = Some(build);
        self
    }
}

/// An entry as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChatEntry {
    /// Grows from entry to entry, with gaps.
    pub seq: u64,
    /// When, by the store's clock.
    pub created_at: Timestamp,
    /// What was recorded.
    pub entry: NewChatEntry,
}

impl ChatEntry {
    /// `entry` as number `seq`, for a store of your own.
    #[must_use]
    pub const fn new(seq: u64, created_at: Timestamp, entry: NewChatEntry) -> Self {
        Self {
            seq,
            created_at,
            entry,
        }
    }

    /// Whether it is still to be seen at `now`.
    #[must_use]
    pub fn is_kept(&self, now: Timestamp) -> bool {
        now.since(self.created_at) < RETENTION
    }
}

/// What support asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup {
    /// All that a user did.
    User(UserId),
    /// All that was said in the course of a build.
    Build(BuildId),
    /// All that followed from one call.
    Correlation(CorrelationId),
}

impl Lookup {
    /// Whether `entry` is among what is asked for.
    #[must_use]
    pub fn covers(&self, entry: &NewChatEntry) -> bool {
        match self {
            Self::User(user) => entry.user == *user,
            Self::Build(build) => entry.build.as_ref() == Some(build),
            Self::Correlation(correlation) => entry.correlation == *correlation,
        }
    }
}
