//! Accounts in memory.

mod audit;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::{ReservationId, UserId};
use sheen_core::time::Clock;

pub use self::state::CreditState;
use super::audit::{Audit, Drift};
use super::ledger::{CreditPolicy, Entry, LedgerTotals, Totals};
use super::refund::{HoldView, Refund, RefundOutcome};
use super::store::{CreditAudit, CreditReader, CreditStore, CreditSweep, GrantStore};
use super::types::{
    AccountView, Commit, CommitOutcome, CreditCommand, CreditOutcome, Extend, ExtendOutcome,
    Purchase, PurchaseOutcome, Release, ReleaseOutcome, Reserve, ReserveOutcome,
};

/// A credit store in memory, for one process: nothing outlives it.
///
/// It is bounded twice: a new account past its capacity, and a reserve or purchase past its
/// entries in all ([`CreditState::MAX_ENTRIES`] unless said otherwise), is refused as
/// [`Full`](sheen_core::error::StoreErrorKind::Full); nothing is forgotten to make room. What ends
/// a hold always goes through.
#[derive(Debug)]
pub struct MemoryCreditStore {
    clock: Arc<dyn Clock>,
    state: Mutex<CreditState>,
}

impl MemoryCreditStore {
    /// A store for at most `capacity` accounts.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, policy: CreditPolicy, capacity: usize) -> Self {
        Self {
            clock,
            state: Mutex::new(CreditState::new(policy, capacity)),
        }
    }

    /// The same store with another bound on the entries that reserves and purchases may fill.
    #[must_use]
    pub fn with_max_entries(self, max_entries: usize) -> Self {
        self.lock().bound_entries(max_entries);
        self
    }

    /// The accounts themselves, for a step across rooms; take locks in the order idempotency,
    /// builds, credits, log, and read the clock once they are held.
    pub fn lock(&self) -> MutexGuard<'_, CreditState> {
        // Every change is applied after all of it was checked, so a panic elsewhere leaves the
        // state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`Self::lock`], unless another holds it now: for a test that watches who does.
    #[cfg(any(test, feature = "testing"))]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, CreditState>> {
        match self.state.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

#[async_trait]
impl CreditStore for MemoryCreditStore {
    async fn reserve(&self, reserve: Reserve) -> Result<ReserveOutcome, StoreError> {
        let mut state = self.lock();
        state.reserve(self.clock.now(), &reserve)
    }

    async fn commit(&self, commit: Commit) -> Result<CommitOutcome, StoreError> {
        let mut state = self.lock();
        state.commit(self.clock.now(), &commit)
    }

    async fn release(&self, release: Release) -> Result<ReleaseOutcome, StoreError> {
        let mut state = self.lock();
        state.release(self.clock.now(), &release)
    }

    async fn extend(&self, extend: Extend) -> Result<ExtendOutcome, StoreError> {
        let mut state = self.lock();
        state.extend(self.clock.now(), &extend)
    }

    async fn batch(&self, commands: Vec<CreditCommand>) -> Result<Vec<CreditOutcome>, StoreError> {
        let mut state = self.lock();
        state.batch(self.clock.now(), &commands)
    }

    async fn several(
        &self,
        batches: Vec<Vec<CreditCommand>>,
    ) -> Result<Vec<Option<Vec<CreditOutcome>>>, StoreError> {
        let mut state = self.lock();
        let now = self.clock.now();
        let done = batches
            .iter()
            .map(|commands| state.batch(now, commands).map(Some));
        done.collect()
    }
}

#[async_trait]
impl GrantStore for MemoryCreditStore {
    async fn credit(&self, purchase: Purchase) -> Result<PurchaseOutcome, StoreError> {
        let mut state = self.lock();
        state.credit(self.clock.now(), &purchase)
    }

    async fn refund(&self, refund: Refund) -> Result<RefundOutcome, StoreError> {
        let mut state = self.lock();
        state.refund(self.clock.now(), &refund)
    }
}

#[async_trait]
impl CreditReader for MemoryCreditStore {
    async fn views(&self, users: &[UserId]) -> Result<Vec<AccountView>, StoreError> {
        let state = self.lock();
        let now = self.clock.now();
        users.iter().map(|user| state.view(now, user)).collect()
    }

    async fn holder(&self, reservation: &ReservationId) -> Result<Option<UserId>, StoreError> {
        Ok(self.lock().holder(reservation).cloned())
    }

    async fn hold(&self, reservation: &ReservationId) -> Result<Option<HoldView>, StoreError> {
        Ok(self.lock().hold(reservation))
    }

    async fn entries(
        &self,
        user: &UserId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let state = self.lock();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let entries = state.entries(user, after).iter();
        Ok(entries.take(limit).cloned().collect())
    }

    async fn totals(&self, user: &UserId) -> Result<Totals, StoreError> {
        self.lock().totals(user)
    }

    async fn ledger_totals(&self) -> Result<LedgerTotals, StoreError> {
        self.lock().ledger_totals()
    }
}

#[async_trait]
impl CreditSweep for MemoryCreditStore {
    async fn expire(&self, limit: u32) -> Result<u32, StoreError> {
        let mut state = self.lock();
        state.expire(self.clock.now(), limit)
    }
}

#[async_trait]
impl CreditAudit for MemoryCreditStore {
    async fn verify(&self, user: &UserId) -> Result<Vec<Drift>, StoreError> {
        Ok(self.lock().verify(user))
    }

    async fn verify_all(&self, after: Option<&UserId>, limit: u32) -> Result<Audit, StoreError> {
        Ok(self.lock().verify_all(after, limit))
    }
}
