//! Crediting purchases.

use sheen_core::id::UserId;
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

use super::super::ledger::{CreditPolicy, EntryKind};
use super::super::types::{Bucket, Purchase, PurchaseOutcome};
use super::draft::{Cause, Draft};
use super::state::Account;
use super::{DecideError, Decision};

/// A payment that was credited. Payments are known over all accounts, so an adapter looks this up
/// beside the account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Payment {
    /// To whom.
    pub user: UserId,
    /// How many seconds.
    pub seconds: Seconds,
    /// How many of them were taken back.
    pub refunded: Seconds,
}

impl Payment {
    /// What `purchase` leaves behind.
    #[must_use]
    pub fn of(purchase: &Purchase) -> Self {
        Self {
            user: purchase.user.clone(),
            seconds: purchase.seconds,
            refunded: Seconds::ZERO,
        }
    }
}

/// Decides a purchase (G1–G3). `known` is what its payment id was used for before, if it was.
///
/// # Errors
/// When it credits no seconds or another account's, or when the account's sums are out of range.
pub fn credit(
    account: &Account,
    known: Option<&Payment>,
    now: Timestamp,
    policy: &CreditPolicy,
    purchase: &Purchase,
) -> Result<Decision<PurchaseOutcome>, DecideError> {
    if purchase.seconds.is_zero() || purchase.user != *account.user() {
        return Err(DecideError::Malformed);
    }
    let mut draft = Draft::touch(account, now, policy)?;
    if let Some(known) = known {
        let same = known.user == purchase.user && known.seconds == purchase.seconds;
        return Ok(Decision::unchanged(if same {
            PurchaseOutcome::AlreadyCredited(draft.balance()?)
        } else {
            PurchaseOutcome::OperationConflict
        }));
    }
    if !draft.has_room_for(purchase.seconds)? {
        return Ok(Decision::unchanged(PurchaseOutcome::OutOfRange));
    }
    let cause = Cause {
        reservation: None,
        operation: Some(purchase.payment.as_str()),
    };
    draft.grant(EntryKind::Purchase, Bucket::Paid, purchase.seconds, cause)?;
    let outcome = PurchaseOutcome::Credited(draft.balance()?);
    let mut change = draft.finish(None);
    change.payment = Some((purchase.payment.clone(), Payment::of(purchase)));
    Ok(Decision::changing(outcome, change))
}
