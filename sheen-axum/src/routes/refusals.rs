//! Refusals that several routes share.

use sheen_billing::package::Catalogue;
use sheen_core::error::Code;
use sheen_core::id::BuildId;
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

use crate::problem::Problem;

/// An outcome that this code does not know: the rooms are newer than the routes.
#[derive(Debug, thiserror::Error)]
#[error("an outcome of {0} is not known here")]
struct UnknownOutcome(&'static str);

pub(super) fn unknown_outcome(of: &'static str) -> Problem {
    Problem::new(Code::Internal).caused_by(UnknownOutcome(of))
}

pub(super) fn insufficient(
    catalogue: &Catalogue,
    required: Seconds,
    available: Seconds,
) -> Problem {
    let missing = required.saturating_sub(available);
    let package = catalogue.recommend(missing);
    Problem::new(Code::InsufficientCredits)
        .with("required", required)
        .with("available", available)
        .with(
            "recommendation",
            package.map(|package| package.recommendation()),
        )
}

pub(super) fn cap_reached(reset_at: Timestamp) -> Problem {
    Problem::new(Code::DailyCapReached).with("resetAt", reset_at)
}

pub(super) fn build_active(active: &BuildId) -> Problem {
    Problem::new(Code::BuildAlreadyActive).with("buildId", active)
}
