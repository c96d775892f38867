//! The generic cell rate algorithm (ITU-T I.371), in its virtual scheduling form.
//!
//! Of each quota the instant is kept at which all that was used will have come back. A call may
//! move it by its cost, but no further from now than the quota's period.

use super::types::{Quotas, Standing, TakeOutcome};

/// What is kept of a key under a set of quotas: for each of them the instant, in microseconds, at
/// which all of its burst is there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitState {
    whole_at: [u64; Quotas::MAX],
}

/// No instant counts as later: time stands still there, in the year 148,000, instead of wrapping.
const LAST_INSTANT: u64 = 1 << 62;

impl LimitState {
    /// The state of a key that stands like this at `now`, in microseconds.
    #[must_use]
    #[inline]
    pub fn of(now: u64, standing: &Standing) -> Self {
        let now = now.min(LAST_INSTANT);
        // 2^62 and 2^50 fit.
        let whole_at = standing.debts().map(|debt| now + debt);
        Self { whole_at }
    }

    /// The instant from which on the key is as good as new, in microseconds.
    #[must_use]
    #[inline]
    pub fn is_whole_at(&self) -> u64 {
        self.whole_at.into_iter().max().unwrap_or(0)
    }

    /// What is used of each quota and has not come back. A clock that stepped back makes it seem
    /// more; it is never more than all.
    #[inline]
    fn debts(&self, now: u64, quotas: &Quotas) -> [u64; Quotas::MAX] {
        let mut debts = [0; Quotas::MAX];
        let places = quotas.as_slice().iter().zip(&self.whole_at);
        for ((quota, whole_at), debt) in places.zip(&mut debts) {
            *debt = whole_at.saturating_sub(now).min(quota.capacity());
        }
        debts
    }
}

/// Takes `cost` of every quota, or of none. `now` is microseconds since any fixed instant.
///
/// The state after an [`Admitted`](TakeOutcome::Admitted) is [`LimitState::of`] its standing;
/// after anything else it is what it was.
#[must_use]
#[inline]
pub fn take(state: &LimitState, now: u64, quotas: &Quotas, cost: u32) -> TakeOutcome {
    let now = now.min(LAST_INSTANT);
    let max_cost = quotas.max_cost();
    if cost > max_cost {
        return TakeOutcome::TooCostly { max_cost };
    }
    let before = state.debts(now, quotas);
    let mut after = before;
    let (mut wait, mut blocked) = (0, 0);
    for (place, (quota, debt)) in (0_u8..).zip(quotas.as_slice().iter().zip(&mut after)) {
        // Both are at most the capacity, under 2^50.
        *debt += quota.interval_micros() * u64::from(cost);
        let over = debt.saturating_sub(quota.capacity());
        if over > wait {
            (wait, blocked) = (over, place);
        }
    }
    if wait == 0 {
        TakeOutcome::Admitted(Standing::new(*quotas, after))
    } else {
        TakeOutcome::Limited(Standing::new(*quotas, before).waiting(wait, blocked))
    }
}

/// What [`take`] would answer, with the standing as it is before.
#[must_use]
pub fn peek(state: &LimitState, now: u64, quotas: &Quotas, cost: u32) -> TakeOutcome {
    match take(state, now, quotas, cost) {
        TakeOutcome::Admitted(_) => {
            let now = now.min(LAST_INSTANT);
            TakeOutcome::Admitted(Standing::new(*quotas, state.debts(now, quotas)))
        }
        refused => refused,
    }
}

/// Gives `cost` back to every quota, each at most until it is whole.
#[must_use]
pub fn refund(state: &LimitState, now: u64, quotas: &Quotas, cost: u32) -> Standing {
    let mut debts = state.debts(now.min(LAST_INSTANT), quotas);
    for (quota, debt) in quotas.as_slice().iter().zip(&mut debts) {
        let back = quota.interval_micros().saturating_mul(u64::from(cost));
        *debt = debt.saturating_sub(back);
    }
    Standing::new(*quotas, debts)
}
