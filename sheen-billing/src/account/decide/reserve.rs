//! Holding seconds.

use std::time::Duration;

use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

use super::super::ledger::{CreditPolicy, EntryKind, Place};
use super::super::types::{CapKind, Reserve, ReserveOutcome, Reserved};
use super::draft::{Cause, Draft};
use super::state::{Account, Hold, HoldState, Record, ReserveRecord};
use super::{DecideError, Decision};

/// Decides a reserve (C1–C5, C12).
///
/// # Errors
/// When it asks for no seconds or another account's, when too many holds are open, or when the
/// account's sums are out of range.
pub fn reserve(
    account: &Account,
    now: Timestamp,
    policy: &CreditPolicy,
    wish: &Reserve,
) -> Result<Decision<ReserveOutcome>, DecideError> {
    if wish.seconds.is_zero() || wish.user != *account.user() {
        return Err(DecideError::Malformed);
    }
    // Stores keep milliseconds: a finer repeat is the same one.
    let ttl = wish.ttl.min(Reserve::MAX_TTL).as_millis();
    let ttl = Duration::from_millis(u64::try_from(ttl).unwrap_or(u64::MAX));
    if let Some(known) = account.reserved(&wish.operation) {
        let same = known.seconds == wish.seconds
            && known.project == wish.project
            && known.ttl == ttl
            && known.overage == wish.overage
            && known.terms == wish.terms;
        return Ok(Decision::unchanged(if same {
            ReserveOutcome::AlreadyReserved(known.answer.clone())
        } else {
            ReserveOutcome::OperationConflict
        }));
    }
    let mut draft = Draft::touch(account, now, policy)?;
    if let Some(refusal) = refused(&draft, policy, wish)? {
        return Ok(Decision::unchanged(refusal));
    }
    let most = usize::try_from(policy.max_open_holds).unwrap_or(usize::MAX);
    if draft.open_holds() >= most.min(Account::MAX_OPEN_HOLDS) {
        return Err(DecideError::TooManyHolds);
    }

    let reservation = wish.reservation_id();
    let cause = Cause {
        reservation: Some(&reservation),
        operation: Some(wish.operation.as_str()),
    };
    let slices = draft.take(EntryKind::Reserve, Place::Held, wish.seconds, cause)?;
    let expires_at = now.plus(ttl);
    let mut hold = Hold::new(
        reservation.clone(),
        wish.seconds,
        draft.today,
        HoldState::Open { slices, expires_at },
    );
    hold.project.clone_from(&wish.project);
    (hold.overage, hold.terms) = (wish.overage, wish.terms);
    draft.count(&hold, Seconds::ZERO, wish.seconds)?;
    draft.put(&hold, hold.state);
    let answer = Reserved {
        reservation,
        seconds: wish.seconds,
        expires_at,
        balance: draft.balance()?,
    };
    let record = ReserveRecord {
        seconds: wish.seconds,
        project: wish.project.clone(),
        ttl,
        overage: wish.overage,
        terms: wish.terms,
        answer: answer.clone(),
    };
    let record = Record::Reserve(wish.operation.clone(), record);
    Ok(Decision::changing(
        ReserveOutcome::Reserved(answer),
        draft.finish(Some(record)),
    ))
}

/// Caps before credits (wire.md §15).
fn refused(
    draft: &Draft<'_>,
    policy: &CreditPolicy,
    wish: &Reserve,
) -> Result<Option<ReserveOutcome>, DecideError> {
    let passes = |cap: Option<Seconds>, so_far: Seconds| {
        cap.is_some_and(|cap| so_far.checked_add(wish.seconds).is_none_or(|sum| sum > cap))
    };
    let cap_reached = |cap| {
        Ok(Some(ReserveOutcome::CapReached {
            cap,
            reset_at: draft.today.end(),
        }))
    };
    if passes(policy.user_daily_cap, draft.reserved_today()) {
        return cap_reached(CapKind::User);
    }
    if let Some(project) = &wish.project
        && passes(policy.project_daily_cap, draft.project(project))
    {
        return cap_reached(CapKind::Project);
    }
    let available = draft.balance()?.total;
    if available < wish.seconds {
        return Ok(Some(ReserveOutcome::Insufficient {
            required: wish.seconds,
            available,
        }));
    }
    Ok(None)
}
