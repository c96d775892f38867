//! Every rule of the ledger, pure: an account, an instant and a command make a decision.
//!
//! No clock, no randomness, no store. An adapter loads an [`Account`], calls one of these
//! functions, and writes the [`Change`] of the [`Decision`] in one step if the account's version is
//! still the one it was decided from; otherwise it loads and decides again. A decision without a
//! change is a refusal or a repeat: nothing is written.
//!
//! ```
//! use sheen_billing::account::{CreditPolicy, Reserve, ReserveOutcome};
//! use sheen_billing::account::decide::{Account, reserve};
//! use sheen_core::{id::{OperationId, UserId}, seconds::Seconds, time::Timestamp};
//!
//! let user = UserId::parse("ada")?;
//! let mut account = Account::untouched(user.clone());
//! let wish = Reserve::new(user, OperationId::parse("op-1")?, Seconds::from_u32(60));
//!
//! let decision = reserve(&account, Timestamp::EPOCH, &CreditPolicy::default(), &wish)?;
//! assert!(matches!(decision.outcome, ReserveOutcome::Reserved(_)));
//! account.apply(&decision.change.expect("a reserve writes"))?;
//! assert_eq!(account.version(), 1);
//!
//! let again = reserve(&account, Timestamp::EPOCH, &CreditPolicy::default(), &wish)?;
//! assert!(matches!(again.outcome, ReserveOutcome::AlreadyReserved(_)));
//! assert!(again.change.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod credit;
mod draft;
mod hold;
mod partial;
mod refund;
mod reserve;
mod state;
mod sums;
mod window;

use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::time::Timestamp;

pub use self::credit::{Payment, credit};
pub use self::hold::{commit, expire, extend, release};
pub use self::refund::refund;
pub use self::reserve::reserve;
pub use self::state::{
    Account, Change, CommitRecord, Head, Hold, HoldState, LateGift, Record, RefundRecord,
    ReserveRecord, StaleChange,
};
pub use self::sums::{Buckets, Slices};
pub use self::window::Window;

use self::draft::Draft;
use super::ledger::CreditPolicy;
use super::types::AccountView;

/// What came of a command, and what it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision<O> {
    /// What its caller is told.
    pub outcome: O,
    /// What is to be written; nothing when `None`.
    pub change: Option<Change>,
}

impl<O> Decision<O> {
    pub(crate) const fn unchanged(outcome: O) -> Self {
        Self {
            outcome,
            change: None,
        }
    }

    pub(crate) const fn changing(outcome: O, change: Change) -> Self {
        Self {
            outcome,
            change: Some(change),
        }
    }
}

/// Why no decision could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecideError {
    /// The command itself is wrong: no seconds where at least one is needed, or another account's.
    #[error("the command is malformed")]
    Malformed,
    /// The account has as many holds open as the policy allows, or [`Account::MAX_OPEN_HOLDS`].
    #[error("the account has too many open holds")]
    TooManyHolds,
    /// The sums do not add up: the state was not written by these rules.
    #[error("the account's sums are out of range")]
    Corrupt,
}

impl From<DecideError> for StoreError {
    fn from(error: DecideError) -> Self {
        let kind = match error {
            DecideError::Malformed => StoreErrorKind::Rejected,
            DecideError::TooManyHolds => StoreErrorKind::Full,
            DecideError::Corrupt => StoreErrorKind::Corrupt,
        };
        Self::with_source(kind, error)
    }
}

/// The account as its owner would find it at `now`: lapsed holds gone back, a void gift gone, the
/// gifts of a touch given. What it shows is what a reserve at `now` could take.
///
/// # Errors
/// When the account's sums are out of range.
pub fn view(
    account: &Account,
    now: Timestamp,
    policy: &CreditPolicy,
) -> Result<AccountView, DecideError> {
    Draft::touch(account, now, policy)?.view()
}
