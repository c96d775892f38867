//! The generic cell rate algorithm (ITU-T I.371), in its virtual scheduling form.
//!
//! Of each quota the instant is kept at which all that was used will have come back. A call may
//! move it by its cost, but no further from now than the quota's period.

use super::types::{Quota, Quotas, Standing, TakeOutcome};

/// What is kept of a key: for each quota when it is whole again, and the interval by which that
/// was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitState {
    slots: [Slot; Quotas::MAX],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Slot {
    whole_at: u64,
    /// Zero for a quota of which nothing was ever used.
    interval: u64,
}

/// No instant counts as later: time stands still there, in the year 148,000, instead of wrapping.
const LAST_INSTANT: u64 = 1 << 62;

impl LimitState {
    /// The state of a key that stands like this at `now`, in microseconds.
    #[must_use]
    #[inline]
    pub fn of(now: u64, standing: &Standing) -> Self {
        let now = now.min(LAST_INSTANT);
        let mut state = Self::default();
        let quotas = standing.quotas().as_slice().iter();
        for ((quota, debt), slot) in quotas.zip(standing.debts()).zip(&mut state.slots) {
            // 2^62 and 2^50 fit.
            slot.whole_at = now + debt;
            slot.interval = quota.interval_micros();
        }
        state
    }

    /// The instant from which on the key is as good as new, in microseconds.
    #[must_use]
    #[inline]
    pub fn whole_at(&self) -> u64 {
        let instants = self.slots.iter().map(|slot| slot.whole_at);
        instants.max().unwrap_or(0)
    }
}

impl Slot {
    /// What is used of `quota` at `now`, in microseconds, at most its capacity.
    #[inline]
    fn debt(&self, now: u64, quota: &Quota) -> u64 {
        let left = self.whole_at.saturating_sub(now);
        let left = if left == 0 || self.interval == quota.interval_micros() {
            left
        } else {
            self.recounted(left, quota)
        };
        left.min(quota.capacity())
    }

    /// The quota was changed: what was used, in units and parts of one, is kept. So a key of a
    /// raised quota has no less left and waits no longer than before.
    #[cold]
    fn recounted(&self, left: u64, quota: &Quota) -> u64 {
        let counted = u128::from(left) * u128::from(quota.interval_micros());
        let counted = counted / u128::from(self.interval.max(1));
        u64::try_from(counted).unwrap_or(u64::MAX)
    }
}

#[inline]
fn debts(state: &LimitState, now: u64, quotas: &Quotas) -> [u64; Quotas::MAX] {
    let mut debts = [0; Quotas::MAX];
    let places = quotas.as_slice().iter().zip(&state.slots);
    for ((quota, slot), debt) in places.zip(&mut debts) {
        *debt = slot.debt(now, quota);
    }
    debts
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
    let before = debts(state, now, quotas);
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
            TakeOutcome::Admitted(Standing::new(*quotas, debts(state, now, quotas)))
        }
        refused => refused,
    }
}

/// Gives `cost` back to every quota, each at most until it is whole.
#[must_use]
pub fn refund(state: &LimitState, now: u64, quotas: &Quotas, cost: u32) -> Standing {
    let mut debts = debts(state, now.min(LAST_INSTANT), quotas);
    for (quota, debt) in quotas.as_slice().iter().zip(&mut debts) {
        let back = quota.interval_micros().saturating_mul(u64::from(cost));
        *debt = debt.saturating_sub(back);
    }
    Standing::new(*quotas, debts)
}
