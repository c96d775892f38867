//! What the rooms' refusals and answers are to a caller of [`admit`](super::Admission::admit).

use sheen_billing::account::ReserveOutcome;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::idempotency::StoredAnswer;

use super::types::{Admit, AdmitOutcome, Admitted};

/// A refused hold.
pub(super) fn by_credits(refusal: ReserveOutcome) -> Result<AdmitOutcome, StoreError> {
    match refusal {
        ReserveOutcome::CapReached { cap, reset_at } => {
            Ok(AdmitOutcome::CapReached { cap, reset_at })
        }
        ReserveOutcome::Insufficient {
            required,
            available,
        } => Ok(AdmitOutcome::Insufficient {
            required,
            available,
        }),
        // The operation is named after a build id that is new here.
        _ => Err(inconsistent("a new build's hold was there before")),
    }
}

/// The answer that is kept.
pub(super) fn render(admit: &Admit, admitted: &Admitted) -> Result<StoredAnswer, StoreError> {
    (admit.render)(admitted)
        .map_err(|error| StoreError::with_source(StoreErrorKind::Rejected, error))
}

/// A fault of ours: two rooms disagree.
pub(super) fn inconsistent(what: &'static str) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, what)
}
