//! The rules of builds, over loaded state. Memory and PostgreSQL both decide here.
//!
//! A decision says what it relied on, so that an adapter can apply it in one compare-and-set
//! statement: a [`Change`] holds while the row's [`Revision`] is the one named and the store's
//! clock has reached `not_before`; an [`Insertion`] while the owner, the session and the active
//! builds are as [`StartState`] said. When that no longer fits, load again and decide again.
//!
//! Instants in a decision are the `now` it was given. An adapter that applies later writes its own
//! clock's reading in their place (`created_at` and `updated_at` of an insertion, `updated_at` and,
//! in a claim or heartbeat, `heartbeat_at` of a change) and answers with what it wrote.

use std::sync::Arc;

use super::types::{
    Authority, Build, BuildInput, BuildKind, Deadlines, Ending, Finish, FinishOutcome, NewBuild,
    ProjectClaimOutcome, Queued, StartOutcome, Status,
};
use crate::error::{StoreError, StoreErrorKind};
use crate::files::FileSet;
use crate::id::{BuildId, UserId};
use crate::time::Timestamp;
use crate::token::FencingToken;

/// What going from one status to another is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a pair of states is one of these")]
pub enum Transition {
    /// A change that may be made.
    Legal,
    /// The repeat of what already is: nothing changes.
    NoOp,
    /// Not to be made.
    Illegal,
}

use Transition::{Illegal, Legal, NoOp};

/// Every pair of states, from row to column, both in the order of [`Status::ALL`] (wire.md §5).
const TRANSITIONS: [[Transition; 4]; 4] = [
    // to: queued, building, deployed, failed
    [NoOp, Legal, Illegal, Legal],
    [Illegal, NoOp, Legal, Legal],
    [Illegal, Illegal, NoOp, Illegal],
    [Illegal, Illegal, Illegal, NoOp],
];

impl Status {
    /// What going from here to `to` is.
    ///
    /// ```
    /// use sheen_core::build::{Status, Transition};
    /// assert_eq!(Status::Queued.transition(Status::Building), Transition::Legal);
    /// assert_eq!(Status::Deployed.transition(Status::Deployed), Transition::NoOp);
    /// assert_eq!(Status::Deployed.transition(Status::Failed), Transition::Illegal);
    /// ```
    #[must_use]
    pub const fn transition(self, to: Self) -> Transition {
        TRANSITIONS[self as usize][to as usize]
    }
}

/// Which content of a build's row a decision was made over.
///
/// Two rows of one build with the same revision are the same in every column: a claim and an end
/// raise the token, and a heartbeat writes its instant and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Revision {
    /// The status it had.
    pub status: Status,
    /// The token it had.
    pub token: FencingToken,
    /// The heartbeat it had.
    pub heartbeat_at: Option<Timestamp>,
}

impl Build {
    /// A queued build out of a new one; a store of another crate begins with it and sets the
    /// fields it has kept.
    #[must_use]
    pub fn queued(new: &NewBuild, now: Timestamp) -> Self {
        Self {
            id: new.id.clone(),
            version: new.version.clone(),
            user: new.user.clone(),
            project: new.project.clone(),
            session: new.session.clone(),
            kind: new.input.kind,
            allow_concurrent: new.allow_concurrent,
            status: Status::Queued,
            token: FencingToken::ZERO,
            hold: new.hold.clone(),
            reason: None,
            error: None,
            preview_url: None,
            seconds: None,
            created_at: now,
            updated_at: now,
            heartbeat_at: None,
        }
    }

    /// What identifies this content of the build's row.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        Revision {
            status: self.status,
            token: self.token,
            heartbeat_at: self.heartbeat_at,
        }
    }
}

/// A change of one build's row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The row must still be this one.
    pub relied_on: Revision,
    /// The store's clock must have reached this.
    pub not_before: Option<Timestamp>,
    /// The row to write.
    pub after: Build,
}

/// What a store loads to decide a start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StartState {
    /// Who owns the project.
    pub owner: Option<UserId>,
    /// The build that this session of this user names already.
    pub session: Option<Queued>,
    /// A queued or building build of the project; of several, the one admitted first.
    pub active: Option<BuildId>,
}

impl StartState {
    /// What was loaded.
    #[must_use]
    pub const fn new(
        owner: Option<UserId>,
        session: Option<Queued>,
        active: Option<BuildId>,
    ) -> Self {
        Self {
            owner,
            session,
            active,
        }
    }
}

/// Whether a build may start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a start is refused or made")]
pub enum StartDecision {
    /// It may not; nothing is written.
    Refuse(StartOutcome),
    /// Write this, while the state is as it was loaded.
    Insert(Insertion),
}

/// The rows of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Insertion {
    /// The build's row.
    pub build: Build,
    /// Whether the project is nobody's yet and becomes the user's in the same step.
    pub claims_project: bool,
}

/// Decides a start (C1–C5). Refusals come in the order of [`StartOutcome`].
#[must_use]
pub fn decide_start(state: &StartState, new: &NewBuild, now: Timestamp) -> StartDecision {
    let claim = decide_project_claim(state.owner.as_ref(), &new.user);
    if claim == ProjectClaimOutcome::NotOwner {
        return StartDecision::Refuse(StartOutcome::NotOwner);
    }
    if let Some(known) = &state.session {
        return StartDecision::Refuse(StartOutcome::SessionKnown(known.clone()));
    }
    match &state.active {
        Some(active) if !new.allow_concurrent => StartDecision::Refuse(StartOutcome::ProjectBusy {
            active: active.clone(),
        }),
        _ => StartDecision::Insert(Insertion {
            build: Build::queued(new, now),
            claims_project: claim == ProjectClaimOutcome::Claimed,
        }),
    }
}

/// Decides the files that a started build works on and that become its project's (C5): an update
/// is laid over those already there.
#[must_use]
pub fn decide_files(project: &FileSet, input: &BuildInput) -> FileSet {
    match input.kind {
        BuildKind::Create => input.files.clone(),
        BuildKind::Update => project.overlaid_by(&input.files),
    }
}

/// Decides whose a project is once `user` names it in a call that claims it (wire.md §§2, 15).
#[must_use]
pub fn decide_project_claim(owner: Option<&UserId>, user: &UserId) -> ProjectClaimOutcome {
    match owner {
        Some(owner) if owner != user => ProjectClaimOutcome::NotOwner,
        Some(_) => ProjectClaimOutcome::AlreadyOwner,
        None => ProjectClaimOutcome::Claimed,
    }
}

/// Decides a claim of this build (C6): `None` when it is not queued any more.
#[must_use]
pub fn decide_claim(build: &Build, now: Timestamp) -> Option<Change> {
    (build.status.transition(Status::Building) == Legal).then(|| Change {
        relied_on: build.revision(),
        not_before: None,
        after: Build {
            status: Status::Building,
            token: build.token.next(),
            updated_at: now,
            heartbeat_at: Some(now),
            ..build.clone()
        },
    })
}

/// Decides a heartbeat (C7): `None` when the build is not this claim's.
#[must_use]
pub fn decide_beat(build: Option<&Build>, token: FencingToken, now: Timestamp) -> Option<Change> {
    let build = build.filter(|build| held_by(build, token))?;
    Some(Change {
        relied_on: build.revision(),
        not_before: None,
        after: Build {
            updated_at: now,
            heartbeat_at: Some(now),
            ..build.clone()
        },
    })
}

/// Whether a build may end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an end is refused or made")]
pub enum FinishDecision {
    /// It may not; nothing is written.
    Refuse(FinishOutcome),
    /// Write this, while the row is as it was loaded.
    Apply(Change),
}

/// Decides the end of a build (C8–C13). Refusals come in the order of [`FinishOutcome`].
#[must_use]
pub fn decide_finish(
    build: Option<&Build>,
    finish: &Finish,
    now: Timestamp,
    deadlines: &Deadlines,
) -> FinishDecision {
    let Some(build) = build.filter(|build| may_see(build, &finish.by)) else {
        return FinishDecision::Refuse(FinishOutcome::NotFound);
    };
    let refuse = |outcome: fn(Build) -> FinishOutcome| -> FinishDecision {
        FinishDecision::Refuse(outcome(build.clone()))
    };
    if !build.status.is_active() {
        return refuse(if is_repeat(build, finish) {
            FinishOutcome::AlreadySo
        } else {
            FinishOutcome::AlreadyEnded
        });
    }
    let mut not_before = None;
    match finish.by {
        Authority::Claim(token) if !held_by(build, token) => return refuse(FinishOutcome::Fenced),
        Authority::Sweep if !is_overdue(build, now, deadlines) => {
            return refuse(FinishOutcome::NotOverdue);
        }
        Authority::Sweep => not_before = deadline(build, deadlines),
        Authority::Claim(_) | Authority::Owner(_) => {}
    }
    let to = finish.ending.status();
    let by_claim = matches!(finish.by, Authority::Claim(_));
    let deploys_without_claim = to == Status::Deployed && !by_claim;
    if build.status.transition(to) != Legal || deploys_without_claim {
        return refuse(FinishOutcome::NotAllowed);
    }
    FinishDecision::Apply(Change {
        relied_on: build.revision(),
        not_before,
        after: ended(build, &finish.ending, now),
    })
}

/// Decides whether the sweep ends this build, and how (C10, C16): `None` while it is not overdue.
#[must_use]
pub fn decide_reap(build: &Build, now: Timestamp, deadlines: &Deadlines) -> Option<Change> {
    let finish = Finish::new(build.id.clone(), Authority::Sweep, Ending::timed_out());
    match decide_finish(Some(build), &finish, now, deadlines) {
        FinishDecision::Apply(change) => Some(change),
        FinishDecision::Refuse(_) => None,
    }
}

/// Refuses a batch of starts that is over [`NewBuild::MAX_BATCH`] (C15).
///
/// # Errors
/// [`Rejected`](StoreErrorKind::Rejected) then.
pub fn check_batch(batch: &[NewBuild]) -> Result<(), StoreError> {
    if batch.len() <= NewBuild::MAX_BATCH {
        return Ok(());
    }
    Err(StoreError::with_source(
        StoreErrorKind::Rejected,
        "a batch has at most 50 starts",
    ))
}

/// When a build is overdue unless something happens; `None` once it ended. A queued one counts
/// from its admission, a building one from its last heartbeat (wire.md §5).
#[must_use]
pub fn deadline(build: &Build, deadlines: &Deadlines) -> Option<Timestamp> {
    match build.status {
        Status::Queued => Some(build.created_at.plus(deadlines.queued)),
        Status::Building => {
            let heard = build.heartbeat_at.unwrap_or(build.updated_at);
            Some(heard.plus(deadlines.building))
        }
        Status::Deployed | Status::Failed => None,
    }
}

/// Whether the sweep may end a build: from the instant of its deadline on.
#[must_use]
pub fn is_overdue(build: &Build, now: Timestamp, deadlines: &Deadlines) -> bool {
    deadline(build, deadlines).is_some_and(|deadline| deadline <= now)
}

/// The part of `error` that is kept: [`Ending::MAX_ERROR`] bytes, cut between two characters.
#[must_use]
pub fn kept_error(error: &Arc<str>) -> Arc<str> {
    if error.len() <= Ending::MAX_ERROR {
        return Arc::clone(error);
    }
    error[..error.floor_char_boundary(Ending::MAX_ERROR)].into()
}

fn held_by(build: &Build, token: FencingToken) -> bool {
    build.status == Status::Building && build.token == token
}

fn may_see(build: &Build, by: &Authority) -> bool {
    match by {
        Authority::Owner(user) => *user == build.user,
        Authority::Claim(_) | Authority::Sweep => true,
    }
}

/// Whether an ended build ended by just this finish: the same status; the same reason, or address
/// and seconds; and, for a claim, the token before the end's. The error text is for people and does
/// not count. Which of owner, sweep or last claim ended it is not kept: where two of them would end
/// it alike, the second is taken for a repeat, which writes nothing either.
fn is_repeat(build: &Build, finish: &Finish) -> bool {
    let same_claim = match finish.by {
        Authority::Claim(token) => build.heartbeat_at.is_some() && token.next() == build.token,
        Authority::Owner(_) | Authority::Sweep => true,
    };
    let same_end = build.status.transition(finish.ending.status()) == NoOp
        && match &finish.ending {
            Ending::Deployed {
                preview_url,
                seconds,
            } => {
                build.preview_url.as_deref() == Some(&**preview_url)
                    && build.seconds == Some(*seconds)
                    && matches!(finish.by, Authority::Claim(_))
            }
            Ending::Failed { reason, .. } => build.reason == Some(*reason),
        };
    same_claim && same_end
}

fn ended(build: &Build, ending: &Ending, now: Timestamp) -> Build {
    let mut after = Build {
        status: ending.status(),
        token: build.token.next(),
        updated_at: now,
        ..build.clone()
    };
    match ending {
        Ending::Deployed {
            preview_url,
            seconds,
        } => {
            after.preview_url = Some(Arc::clone(preview_url));
            after.seconds = Some(*seconds);
        }
        Ending::Failed { reason, error } => {
            after.reason = Some(*reason);
            after.error = Some(kept_error(error));
        }
    }
    after
}
