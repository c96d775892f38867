//! Changing a key's mode and latch while requests are judged (R1–R5, wire.md §1).

use sheen_core::id::KeyId;

use super::modes::{Mode, Policy};

/// How a key is brought to another mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Switch {
    /// To `enforce-v2` only when what was counted says that nobody would be shut out.
    #[default]
    WhenReady,
    /// Whatever was counted.
    Forced,
}

/// Why a key stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// The ring has no such key.
    #[error("no key has the id {0}")]
    UnknownKey(KeyId),
    /// Since its count began, requests were let in that `enforce-v2` would refuse, or too few were
    /// seen that it would take.
    #[error(
        "enforce-v2 would refuse {would_refuse} of what was let in, and {v2_accepted} of the \
         {v2_needed} calls that it waits for came as v2"
    )]
    NotReady {
        /// Let in, and would be refused.
        would_refuse: u64,
        /// Let in with a v2 signature that fits.
        v2_accepted: u64,
        /// How many of those it takes.
        v2_needed: u64,
    },
    /// A latched key in a mode in which v1 decides would let nobody in.
    #[error("the key is latched: v1 is not taken from it, so v1 cannot decide")]
    Latched,
    /// A latch before `dual`, where v1 decides, would let nobody in.
    #[error("the key has not reached dual: v1 decides, so it cannot be latched")]
    LatchBeforeDual,
}

/// The policy after a change of mode.
pub(super) fn with_mode(policy: Policy, mode: Mode) -> Result<Policy, SwitchError> {
    if policy.latched && mode < Mode::Dual {
        return Err(SwitchError::Latched);
    }
    Ok(Policy { mode, ..policy })
}

/// The policy after a change of latch.
pub(super) fn with_latch(policy: Policy, latched: bool) -> Result<Policy, SwitchError> {
    if latched && policy.mode < Mode::Dual {
        return Err(SwitchError::LatchBeforeDual);
    }
    Ok(Policy { latched, ..policy })
}
