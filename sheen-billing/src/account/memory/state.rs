//! The accounts of one process and their synchronous steps.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{PaymentId, ReservationId, UserId};
use sheen_core::time::Timestamp;

use super::super::decide::{self, Account, Change, DecideError, Decision, HoldState, Payment};
use super::super::ledger::{CreditPolicy, Entry, LedgerTotals, Totals};
use super::super::refund::{HoldView, Refund, RefundOf, RefundOutcome};
use super::super::types::{
    AccountView, Commit, CommitOutcome, CreditCommand, CreditOutcome, Extend, ExtendOutcome,
    Purchase, PurchaseOutcome, Release, ReleaseOutcome, Reserve, ReserveOutcome,
};

/// What a [`MemoryCreditStore`](super::MemoryCreditStore) holds. Every method takes the instant it
/// is decided by; `check_…` tells what the step of that name would refuse or repeat, `Ok(None)`
/// when it would go through, and writes nothing.
#[derive(Debug)]
pub struct CreditState {
    policy: CreditPolicy,
    capacity: usize,
    max_entries: usize,
    ledgers: BTreeMap<UserId, Ledger>,
    holders: BTreeMap<ReservationId, UserId>,
    payments: BTreeMap<PaymentId, Payment>,
    expiries: BTreeSet<(Timestamp, ReservationId)>,
    entries: usize,
}

/// An account and its entries; the entry with number `n` stands at `n - 1`.
#[derive(Debug)]
struct Ledger {
    account: Account,
    entries: Vec<Entry>,
}

type Step<O> = Result<Decision<O>, DecideError>;

impl CreditState {
    /// The entries that reserves and purchases may fill, over all accounts, unless
    /// [`Self::bound_entries`] says otherwise.
    pub const MAX_ENTRIES: usize = 10_000_000;
    /// The most commands of one batch.
    pub const MAX_BATCH: usize = 1_000;

    /// No account yet, at most `capacity` of them.
    #[must_use]
    pub const fn new(policy: CreditPolicy, capacity: usize) -> Self {
        Self {
            policy,
            capacity,
            max_entries: Self::MAX_ENTRIES,
            ledgers: BTreeMap::new(),
            holders: BTreeMap::new(),
            payments: BTreeMap::new(),
            expiries: BTreeSet::new(),
            entries: 0,
        }
    }

    /// Sets how many entries reserves and purchases may fill, over all accounts.
    pub const fn bound_entries(&mut self, max_entries: usize) {
        self.max_entries = max_entries;
    }

    /// How accounts are fed and bounded.
    #[must_use]
    pub const fn policy(&self) -> &CreditPolicy {
        &self.policy
    }

    fn decide_reserve(
        &self,
        now: Timestamp,
        wish: &Reserve,
    ) -> Result<Decision<ReserveOutcome>, StoreError> {
        let decide = |account: &Account| decide::reserve(account, now, &self.policy, wish);
        let decision = self.decide_for(&wish.user, decide)?;
        self.has_room(&wish.user, decision.change.as_ref())?;
        Ok(decision)
    }

    /// What [`Self::reserve`] would answer without holding anything.
    ///
    /// # Errors
    /// When it is malformed or the store is full.
    pub fn check_reserve(
        &self,
        now: Timestamp,
        wish: &Reserve,
    ) -> Result<Option<ReserveOutcome>, StoreError> {
        self.decide_reserve(now, wish).map(refusal)
    }

    /// Holds seconds.
    ///
    /// # Errors
    /// When it is malformed or the store is full.
    pub fn reserve(
        &mut self,
        now: Timestamp,
        wish: &Reserve,
    ) -> Result<ReserveOutcome, StoreError> {
        let decision = self.decide_reserve(now, wish)?;
        self.write(&wish.user, decision.change)?;
        Ok(decision.outcome)
    }

    /// What [`Self::commit`] would answer without charging anything.
    ///
    /// # Errors
    /// When the account's sums are out of range.
    pub fn check_commit(
        &self,
        now: Timestamp,
        wish: &Commit,
    ) -> Result<Option<CommitOutcome>, StoreError> {
        let Some((_, account)) = self.account_of(&wish.reservation) else {
            return Ok(Some(CommitOutcome::NotFound));
        };
        Ok(refusal(decide::commit(account, now, &self.policy, wish)?))
    }

    /// Charges a hold.
    ///
    /// # Errors
    /// When the account's sums are out of range.
    pub fn commit(&mut self, now: Timestamp, wish: &Commit) -> Result<CommitOutcome, StoreError> {
        let Some((user, account)) = self.account_of(&wish.reservation) else {
            return Ok(CommitOutcome::NotFound);
        };
        let decision = decide::commit(account, now, &self.policy, wish)?;
        self.write(&user.clone(), decision.change)?;
        Ok(decision.outcome)
    }

    /// What [`Self::release`] would answer without giving anything back.
    ///
    /// # Errors
    /// When the account's sums are out of range.
    pub fn check_release(
        &self,
        now: Timestamp,
        wish: &Release,
    ) -> Result<Option<ReleaseOutcome>, StoreError> {
        let Some((_, account)) = self.account_of(&wish.reservation) else {
            return Ok(Some(ReleaseOutcome::NotFound));
        };
        Ok(refusal(decide::release(account, now, &self.policy, wish)?))
    }

    /// Gives a hold back.
    ///
    /// # Errors
    /// When the account's sums are out of range.
    pub fn release(
        &mut self,
        now: Timestamp,
        wish: &Release,
    ) -> Result<ReleaseOutcome, StoreError> {
        let Some((user, account)) = self.account_of(&wish.reservation) else {
            return Ok(ReleaseOutcome::NotFound);
        };
        let decision = decide::release(account, now, &self.policy, wish)?;
        self.write(&user.clone(), decision.change)?;
        Ok(decision.outcome)
    }

    /// Keeps a hold for longer.
    ///
    /// # Errors
    /// When the account's sums are out of range.
    pub fn extend(&mut self, now: Timestamp, wish: &Extend) -> Result<ExtendOutcome, StoreError> {
        let Some((user, account)) = self.account_of(&wish.reservation) else {
            return Ok(ExtendOutcome::NotFound);
        };
        let decision = decide::extend(account, now, &self.policy, wish)?;
        self.write(&user.clone(), decision.change)?;
        Ok(decision.outcome)
    }

    /// Does several steps in order.
    ///
    /// # Errors
    /// When there are more than [`Self::MAX_BATCH`] or one is malformed, nothing is done. When the
    /// store is full, what stands before that command is done; repeat the batch whole.
    pub fn batch(
        &mut self,
        now: Timestamp,
        commands: &[CreditCommand],
    ) -> Result<Vec<CreditOutcome>, StoreError> {
        let malformed = |command: &CreditCommand| matches!(command, CreditCommand::Reserve(wish) if wish.seconds.is_zero());
        if commands.len() > Self::MAX_BATCH || commands.iter().any(malformed) {
            return Err(DecideError::Malformed.into());
        }
        let step = |command: &CreditCommand| {
            Ok(match command {
                CreditCommand::Reserve(wish) => CreditOutcome::Reserve(self.reserve(now, wish)?),
                CreditCommand::Commit(wish) => CreditOutcome::Commit(self.commit(now, wish)?),
                CreditCommand::Release(wish) => CreditOutcome::Release(self.release(now, wish)?),
                CreditCommand::Extend(wish) => CreditOutcome::Extend(self.extend(now, wish)?),
            })
        };
        commands.iter().map(step).collect()
    }

    /// Credits a purchase.
    ///
    /// # Errors
    /// When it is malformed or the store is full.
    pub fn credit(
        &mut self,
        now: Timestamp,
        purchase: &Purchase,
    ) -> Result<PurchaseOutcome, StoreError> {
        let known = self.payments.get(&purchase.payment);
        let decision = self.decide_for(&purchase.user, |account| {
            decide::credit(account, known, now, &self.policy, purchase)
        })?;
        self.has_room(&purchase.user, decision.change.as_ref())?;
        self.write(&purchase.user, decision.change)?;
        Ok(decision.outcome)
    }

    /// Refunds a charge or a purchase.
    ///
    /// # Errors
    /// When it is malformed or the store is full.
    pub fn refund(&mut self, now: Timestamp, refund: &Refund) -> Result<RefundOutcome, StoreError> {
        let known = match &refund.of {
            RefundOf::Purchase(payment) => self.payments.get(payment),
            RefundOf::Charge(_) => None,
        };
        let decision = self.decide_for(&refund.user, |account| {
            decide::refund(account, known, now, &self.policy, refund)
        })?;
        self.has_room(&refund.user, decision.change.as_ref())?;
        self.write(&refund.user, decision.change)?;
        Ok(decision.outcome)
    }

    /// The account of `user` as a reserve at `now` would find it.
    ///
    /// # Errors
    /// When the account's sums are out of range.
    pub fn view(&self, now: Timestamp, user: &UserId) -> Result<AccountView, StoreError> {
        let view = match self.ledgers.get(user) {
            Some(ledger) => decide::view(&ledger.account, now, &self.policy),
            None => decide::view(&Account::untouched(user.clone()), now, &self.policy),
        };
        Ok(view?)
    }

    /// Whose hold this is.
    #[must_use]
    pub fn holder(&self, reservation: &ReservationId) -> Option<&UserId> {
        self.holders.get(reservation)
    }

    /// A hold as its owner sees it.
    #[must_use]
    pub fn hold(&self, reservation: &ReservationId) -> Option<HoldView> {
        let (user, account) = self.account_of(reservation)?;
        let hold = account.hold(reservation)?;
        HoldView::of(user, hold)
    }

    /// Entries of an account with a number above `after`.
    #[must_use]
    pub fn entries(&self, user: &UserId, after: u64) -> &[Entry] {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        self.ledgers
            .get(user)
            .and_then(|ledger| ledger.entries.get(after..))
            .unwrap_or_default()
    }

    /// The sums of an account as written: what time alone did since is not in them.
    ///
    /// # Errors
    /// When they are out of range.
    pub fn totals(&self, user: &UserId) -> Result<Totals, StoreError> {
        let sums = self.ledgers.get(user).map(|ledger| &ledger.account);
        let sums = sums.map_or(Some(Totals::default()), |account| {
            account.head().buckets.sum()
        });
        sums.ok_or_else(|| DecideError::Corrupt.into())
    }

    /// The sums of all accounts.
    ///
    /// # Errors
    /// When those of one are out of range.
    pub fn ledger_totals(&self) -> Result<LedgerTotals, StoreError> {
        let mut all = LedgerTotals::default();
        for account in self.accounts() {
            all += &account.head().buckets.sum().ok_or(DecideError::Corrupt)?;
        }
        Ok(all)
    }

    /// Every account, in the order of user ids.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.ledgers.values().map(|ledger| &ledger.account)
    }

    pub(super) fn account(&self, user: &UserId) -> Option<&Account> {
        self.ledgers.get(user).map(|ledger| &ledger.account)
    }

    pub(super) fn accounts_from(&self, from: Bound<&UserId>) -> impl Iterator<Item = &Account> {
        let range = self.ledgers.range::<UserId, _>((from, Bound::Unbounded));
        range.map(|(_, ledger)| &ledger.account)
    }

    /// Releases at most `limit` lapsed holds, oldest expiry first, one change an account.
    ///
    /// # Errors
    /// When an account's sums are out of range.
    pub fn expire(&mut self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let lapsed = self.expiries.iter().take_while(|(at, _)| *at <= now);
        let mut shares: BTreeMap<UserId, usize> = BTreeMap::new();
        for (_, reservation) in lapsed.take(limit) {
            if let Some(user) = self.holders.get(reservation) {
                *shares.entry(user.clone()).or_default() += 1;
            }
        }
        let mut released = 0usize;
        for (user, share) in shares {
            // An account lists its holds in the order of the index, so its oldest are those found.
            let decision = self.decide_for(&user, |account| decide::expire(account, now, share))?;
            self.write(&user, decision.change)?;
            released = released.saturating_add(decision.outcome);
        }
        Ok(u32::try_from(released).unwrap_or(u32::MAX))
    }

    fn decide_for<O>(
        &self,
        user: &UserId,
        decide: impl FnOnce(&Account) -> Step<O>,
    ) -> Result<Decision<O>, StoreError> {
        Ok(match self.ledgers.get(user) {
            Some(ledger) => decide(&ledger.account)?,
            None => decide(&Account::untouched(user.clone()))?,
        })
    }

    fn account_of(&self, reservation: &ReservationId) -> Option<(&UserId, &Account)> {
        let user = self.holders.get(reservation)?;
        let ledger = self.ledgers.get(user)?;
        Some((user, &ledger.account))
    }

    /// Whether a change that adds to the ledger fits; a refusal or repeat always does.
    fn has_room(&self, user: &UserId, change: Option<&Change>) -> Result<(), StoreError> {
        let Some(change) = change else { return Ok(()) };
        let entries = self.entries.saturating_add(change.entries.len());
        let known = self.ledgers.contains_key(user);
        if entries > self.max_entries || (!known && self.ledgers.len() >= self.capacity) {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        Ok(())
    }

    fn write(&mut self, user: &UserId, change: Option<Change>) -> Result<(), StoreError> {
        let Some(change) = change else { return Ok(()) };
        let ledger = self.ledgers.entry(user.clone()).or_insert_with(|| Ledger {
            account: Account::untouched(user.clone()),
            entries: Vec::new(),
        });
        for hold in &change.holds {
            let old = ledger.account.hold(&hold.reservation);
            if let Some(at) = old.and_then(|old| old.state.expires_at()) {
                self.expiries.remove(&(at, hold.reservation.clone()));
            }
            if let HoldState::Open { expires_at, .. } = hold.state {
                let id = hold.reservation.clone();
                self.expiries.insert((expires_at, id.clone()));
                self.holders.insert(id, user.clone());
            }
        }
        // Decided from this very state under the same lock, so it cannot be stale.
        ledger
            .account
            .apply(&change)
            .map_err(|stale| StoreError::with_source(StoreErrorKind::Contended, stale))?;
        self.payments.extend(change.payment);
        self.entries = self.entries.saturating_add(change.entries.len());
        ledger.entries.extend(change.entries);
        Ok(())
    }
}

fn refusal<O>(decision: Decision<O>) -> Option<O> {
    decision.change.is_none().then_some(decision.outcome)
}
