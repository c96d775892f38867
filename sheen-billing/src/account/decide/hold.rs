//! Charging holds, giving them back, keeping them alive, letting them lapse.

use sheen_core::id::ReservationId;
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

use super::super::ledger::{CreditPolicy, EntryKind, Place};
use super::super::types::{
    Bucket, Commit, CommitOutcome, Committed, Extend, ExtendOutcome, Overage, Release,
    ReleaseOutcome, Released, Reserve,
};
use super::draft::{Cause, Draft};
use super::state::{Account, CommitRecord, Hold, HoldState, LateGift, Record};
use super::sums::Slices;
use super::{DecideError, Decision};

/// A hold as a step at some instant finds it.
enum Found<'a> {
    Nothing,
    Closed,
    Expired,
    Open(&'a Hold, Slices),
}

fn find<'a>(account: &'a Account, now: Timestamp, reservation: &ReservationId) -> Found<'a> {
    let Some(hold) = account.hold(reservation) else {
        return Found::Nothing;
    };
    match hold.state {
        HoldState::Committed { .. } | HoldState::Released => Found::Closed,
        HoldState::Expired => Found::Expired,
        // Swept or not, it is over at the very instant of its expiry.
        HoldState::Open { expires_at, .. } if expires_at <= now => Found::Expired,
        HoldState::Open { slices, .. } => Found::Open(hold, slices),
    }
}

/// Decides a commit (C4–C9).
///
/// # Errors
/// When the account's sums are out of range.
pub fn commit(
    account: &Account,
    now: Timestamp,
    policy: &CreditPolicy,
    wish: &Commit,
) -> Result<Decision<CommitOutcome>, DecideError> {
    let found = find(account, now, &wish.reservation);
    if matches!(found, Found::Nothing) {
        return Ok(Decision::unchanged(CommitOutcome::NotFound));
    }
    if let Some(known) = account.committed(&wish.operation) {
        let same = known.answer.reservation == wish.reservation && known.seconds == wish.seconds;
        return Ok(Decision::unchanged(if same {
            CommitOutcome::AlreadyCommitted(known.answer.clone())
        } else {
            CommitOutcome::OperationConflict
        }));
    }
    let (hold, slices) = match found {
        Found::Nothing => return Ok(Decision::unchanged(CommitOutcome::NotFound)),
        Found::Closed => return Ok(Decision::unchanged(CommitOutcome::Closed)),
        Found::Expired => return Ok(Decision::unchanged(CommitOutcome::Expired)),
        Found::Open(hold, slices) => (hold, slices),
    };
    let held = slices.sum().ok_or(DecideError::Corrupt)?;
    if hold.overage == Overage::Reject && wish.seconds > held {
        return Ok(Decision::unchanged(CommitOutcome::AboveHold { held }));
    }
    let mut draft = Draft::touch(account, now, policy)?;
    let (charged, returned) = settle(&mut draft, hold, slices, wish)?;
    let answer = Committed {
        reservation: wish.reservation.clone(),
        charged,
        returned,
        shortfall: wish.seconds.saturating_sub(charged),
        balance: draft.balance()?,
    };
    let record = CommitRecord {
        seconds: wish.seconds,
        answer: answer.clone(),
    };
    let record = Record::Commit(wish.operation.clone(), record);
    Ok(Decision::changing(
        CommitOutcome::Committed(answer),
        draft.finish(Some(record)),
    ))
}

/// Charges what was used, slice by slice, then beyond the hold; the rest goes back. Tells what
/// was charged and what went back.
fn settle(
    draft: &mut Draft<'_>,
    hold: &Hold,
    slices: Slices,
    wish: &Commit,
) -> Result<(Seconds, Seconds), DecideError> {
    let cause = Cause {
        reservation: Some(&hold.reservation),
        operation: Some(wish.operation.as_str()),
    };
    let mut rest = wish.seconds;
    let mut returned = Seconds::ZERO;
    let mut from = Slices::default();
    for bucket in Bucket::ALL {
        let slice = slices.of(bucket);
        let used = rest.min(slice);
        *from.of_mut(bucket) = used;
        let charge = (Place::Held, Place::Charged);
        draft.shift(EntryKind::Commit, bucket, charge, used, cause)?;
        let unused = slice.saturating_sub(used);
        let back = draft.give_back(hold, EntryKind::Release, bucket, unused, cause)?;
        returned = returned.checked_add(back).ok_or(DecideError::Corrupt)?;
        rest = rest.saturating_sub(used);
    }
    let beyond = draft.take(EntryKind::Commit, Place::Charged, rest, cause)?;
    for bucket in Bucket::ALL {
        let part = from.of_mut(bucket);
        *part = part
            .checked_add(beyond.of(bucket))
            .ok_or(DecideError::Corrupt)?;
    }
    let charged = from.sum().ok_or(DecideError::Corrupt)?;

    let held = slices.sum().ok_or(DecideError::Corrupt)?;
    draft.count(hold, held, charged)?;
    draft.charge(charged)?;
    let state = HoldState::Committed {
        charged: from,
        refunded: Slices::default(),
    };
    let late = beyond.daily_gift;
    let late = (hold.day != draft.today && !late.is_zero()).then_some(LateGift {
        day: draft.today,
        seconds: late,
    });
    let hold = Hold {
        late_gift: late,
        ..hold.clone()
    };
    draft.put(&hold, state);
    Ok((charged, returned))
}

/// Decides a release (C4, C5, C8, C9).
///
/// # Errors
/// When the account's sums are out of range.
pub fn release(
    account: &Account,
    now: Timestamp,
    policy: &CreditPolicy,
    wish: &Release,
) -> Result<Decision<ReleaseOutcome>, DecideError> {
    let found = find(account, now, &wish.reservation);
    if matches!(found, Found::Nothing) {
        return Ok(Decision::unchanged(ReleaseOutcome::NotFound));
    }
    if let Some(known) = account.released(&wish.operation) {
        return Ok(Decision::unchanged(
            if known.reservation == wish.reservation {
                ReleaseOutcome::AlreadyReleased(known.clone())
            } else {
                ReleaseOutcome::OperationConflict
            },
        ));
    }
    let hold = match found {
        Found::Nothing => return Ok(Decision::unchanged(ReleaseOutcome::NotFound)),
        Found::Closed => return Ok(Decision::unchanged(ReleaseOutcome::Closed)),
        Found::Expired => return Ok(Decision::unchanged(ReleaseOutcome::Expired)),
        Found::Open(hold, _) => hold,
    };
    let mut draft = Draft::touch(account, now, policy)?;
    let cause = Cause {
        operation: Some(wish.operation.as_str()),
        ..Cause::default()
    };
    let returned = draft.close(hold, HoldState::Released, EntryKind::Release, cause)?;
    let answer = Released {
        reservation: wish.reservation.clone(),
        returned,
        balance: draft.balance()?,
    };
    let record = Record::Release(wish.operation.clone(), answer.clone());
    Ok(Decision::changing(
        ReleaseOutcome::Released(answer),
        draft.finish(Some(record)),
    ))
}

/// Decides an extension (C9, C10).
///
/// # Errors
/// When the account's sums are out of range.
pub fn extend(
    account: &Account,
    now: Timestamp,
    policy: &CreditPolicy,
    wish: &Extend,
) -> Result<Decision<ExtendOutcome>, DecideError> {
    let (hold, slices) = match find(account, now, &wish.reservation) {
        Found::Nothing => return Ok(Decision::unchanged(ExtendOutcome::NotFound)),
        Found::Closed => return Ok(Decision::unchanged(ExtendOutcome::Closed)),
        Found::Expired => return Ok(Decision::unchanged(ExtendOutcome::Expired)),
        Found::Open(hold, slices) => (hold, slices),
    };
    let mut draft = Draft::touch(account, now, policy)?;
    let wanted = now.plus(wish.ttl.min(Reserve::MAX_TTL));
    let expires_at = hold
        .state
        .expires_at()
        .map_or(wanted, |old| old.max(wanted));
    draft.put(hold, HoldState::Open { slices, expires_at });
    Ok(Decision::changing(
        ExtendOutcome::Extended { expires_at },
        draft.finish(None),
    ))
}

/// Decides that at most `limit` lapsed holds go back, oldest expiry first (S1–S3), and tells how
/// many do. A sweep is no touch: it gives no gift.
///
/// # Errors
/// When the account's sums are out of range.
pub fn expire(
    account: &Account,
    now: Timestamp,
    limit: usize,
) -> Result<Decision<usize>, DecideError> {
    let draft = Draft::roll(account, now, limit)?;
    match draft.lapsed() {
        0 => Ok(Decision::unchanged(0)),
        lapsed => Ok(Decision::changing(lapsed, draft.finish(None))),
    }
}
