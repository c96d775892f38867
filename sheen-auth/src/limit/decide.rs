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
        Self::of_debts(now, standing.debts())
    }

    #[inline]
    fn of_debts(now: u64, debts: &[u64; Quotas::MAX]) -> Self {
        let now = now.min(LAST_INSTANT);
        // 2^62 and 2^50 fit.
        let whole_at = debts.map(|debt| now + debt);
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
        let places = quotas.places();
        std::array::from_fn(|place| {
            let left = self.whole_at[place].saturating_sub(now);
            left.min(places[place].capacity())
        })
    }
}

/// What a call does to a key, before it is put into words.
pub(super) struct Judged {
    /// What is used of each quota: with the call when it passes, without it when it waits.
    debts: [u64; Quotas::MAX],
    wait: u64,
    blocked: usize,
}

impl Judged {
    /// A call of a cost that no quota's burst is below.
    #[inline]
    pub(super) fn of(state: &LimitState, now: u64, quotas: &Quotas, cost: u32) -> Self {
        let before = state.debts(now.min(LAST_INSTANT), quotas);
        let places = quotas.places();
        // Every place, used or not, so that it needs no branches: an unused one asks for nothing.
        let after: [u64; Quotas::MAX] = std::array::from_fn(|place| {
            // Both are at most the capacity, under 2^50.
            before[place] + places[place].interval_micros() * u64::from(cost)
        });
        let (mut wait, mut blocked) = (0, 0);
        for place in 0..Quotas::MAX {
            let over = after[place].saturating_sub(places[place].capacity());
            if over > wait {
                (wait, blocked) = (over, place);
            }
        }
        Self {
            debts: if wait == 0 { after } else { before },
            wait,
            blocked,
        }
    }

    /// The key's new state, if the call passes.
    #[inline]
    pub(super) fn state(&self, now: u64) -> Option<LimitState> {
        (self.wait == 0).then(|| LimitState::of_debts(now, &self.debts))
    }

    #[inline]
    pub(super) fn outcome(&self, quotas: &Quotas) -> TakeOutcome {
        if self.wait == 0 {
            TakeOutcome::Admitted(Standing::new(*quotas, self.debts))
        } else {
            let standing = Standing::new(*quotas, self.debts);
            TakeOutcome::Limited(standing.waiting(self.wait, self.blocked))
        }
    }
}

/// Takes `cost` of every quota, or of none. `now` is microseconds since any fixed instant.
///
/// The state after an [`Admitted`](TakeOutcome::Admitted) is [`LimitState::of`] its standing;
/// after anything else it is what it was.
#[must_use]
#[inline]
pub fn take(state: &LimitState, now: u64, quotas: &Quotas, cost: u32) -> TakeOutcome {
    let max_cost = quotas.max_cost();
    if cost > max_cost {
        return TakeOutcome::TooCostly { max_cost };
    }
    Judged::of(state, now, quotas, cost).outcome(quotas)
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
