//! Plan mode and build mode (wire.md §10): the code that mutates asks for a permit that plan mode
//! cannot make.
//!
//! 1. A call without a mode is from before modes: it builds, and counts as confirmed.
//! 2. `plan` never gets a permit.
//! 3. `build` gets one only with `confirmed: true`.
//!
//! ```
//! use sheen_core::mode::{Mode, ModeRefusal, permit};
//! assert!(permit(None, None).is_ok());
//! assert!(permit(Some(Mode::Build), Some(true)).is_ok());
//! assert_eq!(permit(Some(Mode::Build), None).unwrap_err(), ModeRefusal::ConfirmationRequired);
//! assert_eq!(permit(Some(Mode::Plan), Some(true)).unwrap_err(), ModeRefusal::PlanModeReadOnly);
//! ```
//!
//! A permit cannot be made by hand:
//!
//! ```compile_fail
//! let permit = sheen_core::mode::BuildPermit(());
//! ```

use serde::{Deserialize, Serialize};

use crate::error::Code;

/// What the person lets the worker do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the wire has these two modes")]
pub enum Mode {
    /// Talk only: nothing is reserved, built, written or deployed.
    Plan,
    /// Build.
    Build,
}

/// Proof that the call may change things. Only [`permit`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildPermit(());

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ModeRefusal {
    /// Plan mode changes nothing.
    #[error("plan mode is read-only")]
    PlanModeReadOnly,
    /// Build mode was not confirmed by the person.
    #[error("build mode needs confirmed: true")]
    ConfirmationRequired,
}

impl ModeRefusal {
    /// The wire's code for it.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::PlanModeReadOnly => Code::PlanModeReadOnly,
            Self::ConfirmationRequired => Code::ConfirmationRequired,
        }
    }
}

/// A permit, if this mode gives one.
///
/// # Errors
/// In plan mode, and in build mode without `confirmed: true`.
pub const fn permit(
    mode: Option<Mode>,
    confirmed: Option<bool>,
) -> Result<BuildPermit, ModeRefusal> {
    match (mode, confirmed) {
        (Some(Mode::Plan), _) => Err(ModeRefusal::PlanModeReadOnly),
        (Some(Mode::Build), None | Some(false)) => Err(ModeRefusal::ConfirmationRequired),
        // A caller that says `confirmed: false` has modes in mind, and has not confirmed.
        (None, Some(false)) => Err(ModeRefusal::ConfirmationRequired),
        (None, None | Some(true)) | (Some(Mode::Build), Some(true)) => Ok(BuildPermit(())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_mode_and_confirmation_is_decided() {
        use ModeRefusal::{ConfirmationRequired as Confirm, PlanModeReadOnly as Plan};
        let table = [
            (None, None, None),
            (None, Some(true), None),
            (None, Some(false), Some(Confirm)),
            (Some(Mode::Plan), None, Some(Plan)),
            (Some(Mode::Plan), Some(true), Some(Plan)),
            (Some(Mode::Plan), Some(false), Some(Plan)),
            (Some(Mode::Build), None, Some(Confirm)),
            (Some(Mode::Build), Some(false), Some(Confirm)),
            (Some(Mode::Build), Some(true), None),
        ];
        for (mode, confirmed, refusal) in table {
            assert_eq!(
                permit(mode, confirmed).err(),
                refusal,
                "{mode:?} {confirmed:?}"
            );
        }
    }
}
