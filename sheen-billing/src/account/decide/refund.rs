//! Giving back what was charged, taking back what was bought.

use sheen_core::id::{PaymentId, ReservationId};
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

use super::super::ledger::{CreditPolicy, EntryKind, Place};
use super::super::refund::{Refund, RefundOf, RefundOutcome, Refunded};
use super::super::types::Bucket;
use super::credit::Payment;
use super::draft::{Cause, Draft};
use super::state::{Account, HoldState, Record, RefundRecord};
use super::sums::Slices;
use super::{DecideError, Decision};

type Decided = Result<Decision<RefundOutcome>, DecideError>;

/// Decides a refund (G4–G6). `payment` is the payment that it names, where it names one that is
/// known.
///
/// # Errors
/// When it refunds no seconds or another account's, or when the account's sums are out of range.
pub fn refund(
    account: &Account,
    payment: Option<&Payment>,
    now: Timestamp,
    policy: &CreditPolicy,
    wish: &Refund,
) -> Decided {
    if wish.seconds.is_zero() || wish.user != *account.user() {
        return Err(DecideError::Malformed);
    }
    if let Some(known) = account.refunded(&wish.operation) {
        let same = known.of == wish.of && known.answer.seconds == wish.seconds;
        return Ok(Decision::unchanged(if same {
            RefundOutcome::AlreadyRefunded(known.answer)
        } else {
            RefundOutcome::OperationConflict
        }));
    }
    let draft = Draft::touch(account, now, policy)?;
    match &wish.of {
        RefundOf::Charge(reservation) => of_charge(account, draft, reservation, wish),
        RefundOf::Purchase(id) => of_purchase(draft, (id, payment), wish),
    }
}

fn of_charge(
    account: &Account,
    mut draft: Draft<'_>,
    reservation: &ReservationId,
    wish: &Refund,
) -> Decided {
    let Some(hold) = account.hold(reservation) else {
        return Ok(Decision::unchanged(RefundOutcome::NotFound));
    };
    let (charged, mut refunded) = match hold.state {
        HoldState::Committed { charged, refunded } => (charged, refunded),
        _ => (Slices::default(), Slices::default()),
    };
    let open = charged.checked_sub(&refunded).ok_or(DecideError::Corrupt)?;
    let refundable = open.sum().ok_or(DecideError::Corrupt)?;
    if wish.seconds > refundable {
        return Ok(Decision::unchanged(RefundOutcome::Exceeds { refundable }));
    }
    if !draft.has_room_for(wish.seconds)? {
        return Ok(Decision::unchanged(RefundOutcome::OutOfRange));
    }
    let cause = Cause {
        reservation: Some(reservation),
        operation: Some(wish.operation.as_str()),
    };
    let mut rest = wish.seconds;
    let mut returned = Seconds::ZERO;
    // What lasts longest goes back first.
    for bucket in Bucket::ALL.into_iter().rev() {
        let part = rest.min(open.of(bucket));
        rest = rest.saturating_sub(part);
        let so_far = refunded.of_mut(bucket);
        // An expired gift is not revived.
        let back = match bucket {
            Bucket::DailyGift => hold.living_gift(*so_far, part, draft.today),
            Bucket::WelcomeBonus | Bucket::Paid => part,
        };
        *so_far = so_far.checked_add(part).ok_or(DecideError::Corrupt)?;
        draft.grant(EntryKind::Refund, bucket, back, cause)?;
        returned = returned.checked_add(back).ok_or(DecideError::Corrupt)?;
    }
    draft.put(hold, HoldState::Committed { charged, refunded });
    let answer = Refunded {
        seconds: wish.seconds,
        returned,
        balance: draft.balance()?,
    };
    Ok(done(draft, answer, wish))
}

fn of_purchase(
    mut draft: Draft<'_>,
    (id, payment): (&PaymentId, Option<&Payment>),
    wish: &Refund,
) -> Decided {
    let Some(payment) = payment.filter(|payment| payment.user == wish.user) else {
        return Ok(Decision::unchanged(RefundOutcome::NotFound));
    };
    let refundable = payment
        .seconds
        .checked_sub(payment.refunded)
        .ok_or(DecideError::Corrupt)?;
    if wish.seconds > refundable {
        return Ok(Decision::unchanged(RefundOutcome::Exceeds { refundable }));
    }
    let available = draft.available(Bucket::Paid);
    if wish.seconds > available {
        return Ok(Decision::unchanged(RefundOutcome::Insufficient {
            required: wish.seconds,
            available,
        }));
    }
    let cause = Cause {
        reservation: None,
        operation: Some(wish.operation.as_str()),
    };
    let void = (Place::Available, Place::Breakage);
    draft.shift(EntryKind::Reversal, Bucket::Paid, void, wish.seconds, cause)?;
    let mut payment = payment.clone();
    let refunded = payment.refunded.checked_add(wish.seconds);
    payment.refunded = refunded.ok_or(DecideError::Corrupt)?;
    let answer = Refunded::new(wish.seconds, draft.balance()?);
    let mut decision = done(draft, answer, wish);
    if let Some(change) = &mut decision.change {
        change.payment = Some((id.clone(), payment));
    }
    Ok(decision)
}

fn done(draft: Draft<'_>, answer: Refunded, wish: &Refund) -> Decision<RefundOutcome> {
    let record = RefundRecord::new(wish.of.clone(), answer);
    let record = Record::Refund(wish.operation.clone(), record);
    Decision::changing(RefundOutcome::Refunded(answer), draft.finish(Some(record)))
}
