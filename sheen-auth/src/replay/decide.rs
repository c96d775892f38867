//! Whether a claim may be made, over what a store knows.

use std::time::Duration;

use sheen_core::time::Timestamp;

use super::types::{Claim, ClaimOutcome};

/// How long before its memory begins a store may have been told things it no longer knows
/// (wire.md §1).
pub(super) const START_GRACE: Duration = Duration::from_secs(2);

/// What a store knows when it is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// From when on it remembers, where it may have lost what was before.
    pub(super) since: Option<Timestamp>,
    /// A claim to be remembered until before this may have been made and forgotten.
    pub(super) floor: Timestamp,
    /// Whether the thing was spent.
    pub(super) is_spent: bool,
    /// Whether there is room for the claim and its mark.
    pub(super) has_room: bool,
}

impl Known {
    /// What is assumed of a thing that was never seen.
    #[cfg(feature = "postgres")]
    pub(super) const NOTHING: Self = Self {
        since: None,
        floor: Timestamp::from_millis(i64::MIN),
        is_spent: false,
        has_room: true,
    };
}

/// What is to become of a claim, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimDecision {
    /// Answer this; nothing is written.
    Refuse(ClaimOutcome),
    /// There is no room; nothing is written.
    Full,
    /// Spend it, and set its mark.
    Spend,
}

/// Whether nothing that the store knows of the thing itself matters: too old to be sure.
pub(super) fn is_too_old(
    since: Option<Timestamp>,
    floor: Timestamp,
    now: Timestamp,
    claim: &Claim<'_>,
) -> bool {
    let until = claim.remember_until();
    let before_memory = since.is_some_and(|since| claim.signed_at < since.minus(START_GRACE));
    before_memory || until < now || until < floor
}

/// A claim at `now`.
pub(super) fn decide_claim(known: &Known, now: Timestamp, claim: &Claim<'_>) -> ClaimDecision {
    if is_too_old(known.since, known.floor, now, claim) {
        ClaimDecision::Refuse(ClaimOutcome::TooOld)
    } else if known.is_spent {
        ClaimDecision::Refuse(ClaimOutcome::Replayed)
    } else if !known.has_room {
        ClaimDecision::Full
    } else {
        ClaimDecision::Spend
    }
}
