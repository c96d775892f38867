//! What becomes of a build's hold when the build ends: pure, so that every adapter says the same.

use sheen_billing::account::{Commit, CommitOutcome, Committed, Release, ReleaseOutcome};
use sheen_core::build::{Build, Ending, FailureReason};

use super::types::{Charge, operation_id};

/// What is asked of the account at the end of a build.
pub(super) enum Closing {
    NoHold,
    Commit(Commit),
    Release(Release),
}

impl Closing {
    /// What is asked when `build` ends as `ending`.
    pub(super) fn of(build: &Build, ending: &Ending) -> Self {
        let Some(hold) = &build.hold else {
            return Self::NoHold;
        };
        let operation = operation_id(&build.id, build.kind, &build.session);
        match ending {
            Ending::Deployed { seconds, .. } => {
                Self::Commit(Commit::new(hold.id.clone(), operation, *seconds))
            }
            _ => Self::Release(Release::new(hold.id.clone(), operation)),
        }
    }
}

/// Why a hold cannot be charged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unpaid {
    Lapsed,
    /// By the credit routes: whoever holds the signing key may.
    ClosedElsewhere,
}

impl Unpaid {
    /// Why a commit did not charge the hold.
    pub(super) const fn by_commit(refusal: &CommitOutcome) -> Self {
        match refusal {
            CommitOutcome::Expired => Self::Lapsed,
            _ => Self::ClosedElsewhere,
        }
    }

    /// Why a release did not give the hold back.
    pub(super) const fn by_release(refusal: &ReleaseOutcome) -> Self {
        match refusal {
            ReleaseOutcome::Expired => Self::Lapsed,
            _ => Self::ClosedElsewhere,
        }
    }

    /// What the settlement tells of the account.
    pub(super) const fn charge(self) -> Charge {
        match self {
            Self::Lapsed => Charge::Lapsed,
            Self::ClosedElsewhere => Charge::ClosedElsewhere,
        }
    }

    /// How a build ends that would have been deployed: its work is not given away.
    pub(super) fn ending(self) -> Ending {
        let (reason, error) = match self {
            Self::Lapsed => (
                FailureReason::TimedOut,
                "The build took longer than its credits were held.",
            ),
            Self::ClosedElsewhere => (
                FailureReason::BuildFailed,
                "The credits held for the build were taken back.",
            ),
        };
        Ending::Failed {
            reason,
            error: error.into(),
        }
    }
}

/// A hold that was charged.
pub(super) const fn committed(done: &Committed) -> Charge {
    Charge::Committed {
        charged: done.charged,
        shortfall: done.shortfall,
    }
}
