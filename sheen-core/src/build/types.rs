//! What a build is made of.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files::FileSet;
use crate::id::{BuildId, BuildSessionId, ProjectId, ReservationId, UserId, VersionId};
use crate::locale::Locale;
use crate::seconds::Seconds;
use crate::time::Timestamp;
use crate::token::FencingToken;

/// Where a build stands (wire.md §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "the wire's four states are all there will be"
)]
pub enum Status {
    /// Admitted, not yet claimed by a process.
    Queued,
    /// Claimed: a process works on it and sends heartbeats.
    Building,
    /// Ended well. Nothing leaves this state.
    Deployed,
    /// Ended otherwise. Nothing leaves this state.
    Failed,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Building, Self::Deployed, Self::Failed];

    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Building => "building",
            Self::Deployed => "deployed",
            Self::Failed => "failed",
        }
    }

    /// Whether it holds its project's slot.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Building)
    }
}

/// Why a build failed (wire.md §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum FailureReason {
    /// The builder said so.
    BuildFailed,
    /// Nobody claimed it for 10 min, or its builder was silent for 90 s.
    TimedOut,
    /// Its owner, or the process that ran it when it shut down, called it off.
    Cancelled,
}

impl FailureReason {
    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuildFailed => "BUILD_FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// What a build is to do to its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BuildKind {
    /// Make a project (`create-preview-for-new-project`).
    Create,
    /// Change one (`update-project`).
    Update,
}

/// What the person asked for, kept with the build so that any process can claim it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildInput {
    /// Make or change.
    pub kind: BuildKind,
    /// What to build, in the person's words.
    pub prompt: Arc<str>,
    /// The project's files as they stood when the build was admitted.
    pub files: FileSet,
    /// What the caller wants kept beside it, a JSON object as text.
    pub metadata: Option<Arc<str>>,
    /// The person's language.
    pub locale: Locale,
}

impl BuildInput {
    /// The longest prompt, in bytes.
    pub const MAX_PROMPT: usize = 64 * 1024;
    /// The longest metadata, in bytes of JSON.
    pub const MAX_METADATA: usize = 64 * 1024;

    /// An input without metadata, in English.
    pub fn new(kind: BuildKind, prompt: impl Into<Arc<str>>, files: FileSet) -> Self {
        Self {
            kind,
            prompt: prompt.into(),
            files,
            metadata: None,
            locale: Locale::En,
        }
    }
}

/// The hold that pays for a build. Builds keep its name; only the credit ledger touches it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HoldRef {
    /// The hold.
    pub id: ReservationId,
    /// What it was for when the build was admitted.
    pub seconds: Seconds,
}

impl HoldRef {
    /// The hold `id` over `seconds`.
    #[must_use]
    pub const fn new(id: ReservationId, seconds: Seconds) -> Self {
        Self { id, seconds }
    }
}

/// A build to be admitted. Its ids are the caller's, so that a retry brings the same ones.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewBuild {
    /// The build's own id.
    pub id: BuildId,
    /// The version it will make.
    pub version: VersionId,
    /// Who asked.
    pub user: UserId,
    /// For which project. The first user to start a build for it owns it.
    pub project: ProjectId,
    /// What the caller calls it.
    pub session: BuildSessionId,
    /// What to build.
    pub input: BuildInput,
    /// The hold that pays for it, where one was made.
    pub hold: Option<HoldRef>,
    /// Whether it may run beside another build of the same project.
    pub allow_concurrent: bool,
}

impl NewBuild {
    /// The most starts in one batch (wire.md §5).
    pub const MAX_BATCH: usize = 50;

    /// A build that holds nothing and waits its turn.
    #[must_use]
    pub const fn new(
        id: BuildId,
        version: VersionId,
        user: UserId,
        project: ProjectId,
        session: BuildSessionId,
        input: BuildInput,
    ) -> Self {
        Self {
            id,
            version,
            user,
            project,
            session,
            input,
            hold: None,
            allow_concurrent: false,
        }
    }
}

/// A build as its store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Build {
    /// The build's id.
    pub id: BuildId,
    /// The version it makes.
    pub version: VersionId,
    /// Its owner.
    pub user: UserId,
    /// Its project.
    pub project: ProjectId,
    /// What the caller calls it.
    pub session: BuildSessionId,
    /// Make or change.
    pub kind: BuildKind,
    /// Whether it was started beside others.
    pub allow_concurrent: bool,
    /// Where it stands.
    pub status: Status,
    /// The token of its last claim: zero while queued for the first time, raised when it is
    /// claimed and when it ends.
    pub token: FencingToken,
    /// The hold that pays for it.
    pub hold: Option<HoldRef>,
    /// Why it failed.
    pub reason: Option<FailureReason>,
    /// What went wrong, for people.
    pub error: Option<Arc<str>>,
    /// Where the result can be seen.
    pub preview_url: Option<Arc<str>>,
    /// How many AI seconds the builder says it used.
    pub seconds: Option<Seconds>,
    /// When it was admitted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When its builder was last heard of: the claim, then each heartbeat.
    pub heartbeat_at: Option<Timestamp>,
}

/// A build that this process may work on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claimed {
    /// The build, `building`; its `token` is the claim's.
    pub build: Build,
    /// What to build.
    pub input: BuildInput,
    /// How long it stood in the queue.
    pub waited: Duration,
}

impl Claimed {
    /// A claim of `build`.
    #[must_use]
    pub const fn new(build: Build, input: BuildInput, waited: Duration) -> Self {
        Self {
            build,
            input,
            waited,
        }
    }
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// It is there to be seen.
    Deployed {
        /// Where.
        preview_url: Arc<str>,
        /// What it used.
        seconds: Seconds,
    },
    /// It is not.
    Failed {
        /// Why, by code.
        reason: FailureReason,
        /// Why, for people; at most [`Ending::MAX_ERROR`] bytes are kept.
        error: Arc<str>,
    },
}

impl Ending {
    /// The longest error text kept, in bytes.
    pub const MAX_ERROR: usize = 4 * 1024;

    /// How the sweep ends a build.
    #[must_use]
    pub fn timed_out() -> Self {
        Self::Failed {
            reason: FailureReason::TimedOut,
            error: "The build took too long and was stopped.".into(),
        }
    }

    /// The status it leads to.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Deployed { .. } => Status::Deployed,
            Self::Failed { .. } => Status::Failed,
        }
    }
}

/// By what right a build is ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authority {
    /// The process that claimed it: only with the token of the last claim.
    Claim(FencingToken),
    /// Its owner: at any time while it is active.
    Owner(UserId),
    /// The sweep: only once it is overdue by the store's clock.
    Sweep,
}

/// The wish to end a build.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finish {
    /// Which build.
    pub build: BuildId,
    /// By what right.
    pub by: Authority,
    /// How.
    pub ending: Ending,
}

impl Finish {
    /// Ends `build`.
    #[must_use]
    pub const fn new(build: BuildId, by: Authority, ending: Ending) -> Self {
        Self { build, by, ending }
    }
}

/// What came of a start. The variants stand in order of precedence (wire.md §15).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartOutcome {
    /// Another user owns the project. Nothing was written; say «not found».
    NotOwner,
    /// This session of this user has its build already. Nothing was written.
    SessionKnown(Queued),
    /// Another build of the project is queued or building. Nothing was written.
    ProjectBusy {
        /// The active one.
        active: BuildId,
    },
    /// The build is in the queue.
    Started(Queued),
}

/// A build and its place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queued {
    /// The build.
    pub build: Build,
    /// Its place among all queued builds, counted from 1; 0 once it is no longer queued.
    pub position: u64,
}

impl Queued {
    /// `build` at `position`.
    #[must_use]
    pub const fn new(build: Build, position: u64) -> Self {
        Self { build, position }
    }
}

/// A project, whose it is, and its latest build.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectLatest {
    /// The project.
    pub project: ProjectId,
    /// Whose it is.
    pub owner: UserId,
    /// The build admitted last; `None` where the project is owned and had none yet.
    pub build: Option<Build>,
}

impl ProjectLatest {
    /// `owner`'s `project` with its latest build.
    #[must_use]
    pub const fn new(project: ProjectId, owner: UserId, build: Option<Build>) -> Self {
        Self {
            project,
            owner,
            build,
        }
    }
}

/// What came of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BeatOutcome {
    /// The build is not this claim's any more: stop working on it.
    Lost,
    /// Still this claim's, until `deadline` unless another heartbeat comes.
    Alive {
        /// When it would be overdue.
        deadline: Timestamp,
    },
}

/// What came of ending a build. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishOutcome {
    /// No such build, or it is another user's.
    NotFound,
    /// It ended exactly so before, by the same right. Nothing was written.
    AlreadySo(Build),
    /// It ended before, in another way. Nothing was written.
    AlreadyEnded(Build),
    /// The token is not of the last claim. Nothing was written.
    Fenced(Build),
    /// The sweep came too early. Nothing was written.
    NotOverdue(Build),
    /// A queued build cannot be deployed. Nothing was written.
    NotAllowed(Build),
    /// It ended now.
    Finished(Build),
}

/// Whose a project is after a call that claims it. The variants stand in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProjectClaimOutcome {
    /// Another user owns it. Nothing was written; say «not found».
    NotOwner,
    /// The user owned it before. Nothing was written.
    AlreadyOwner,
    /// It was nobody's and is the user's now.
    Claimed,
}

/// When a silent build counts as lost (wire.md §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// How long a build may stand in the queue.
    pub queued: Duration,
    /// How long a building one may go without a heartbeat.
    pub building: Duration,
}

impl Deadlines {
    /// Deadlines other than the wire's.
    #[must_use]
    pub const fn new(queued: Duration, building: Duration) -> Self {
        Self { queued, building }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            queued: Duration::from_secs(600),
            building: Duration::from_secs(90),
        }
    }
}
