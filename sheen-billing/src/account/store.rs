//! The contracts of a credit ledger, split by who calls.

use std::fmt::Debug;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::{ReservationId, UserId};

use super::audit::{Audit, Drift};
use super::ledger::{Entry, LedgerTotals, Totals};
use super::refund::{HoldView, Refund, RefundOutcome};
use super::types::{
    AccountView, Commit, CommitOutcome, CreditCommand, CreditOutcome, Extend, ExtendOutcome,
    Purchase, PurchaseOutcome, Release, ReleaseOutcome, Reserve, ReserveOutcome,
};

/// Holding and charging seconds. Each method is one atomic step.
///
/// 1. **C1** Of any reserves at once, those that succeed never sum to more than was available.
/// 2. **C2** A reserve takes from the daily gift, then the welcome bonus, then what was bought.
/// 3. **C3** The first touch of an account gives the welcome bonus, once ever; the first touch of
///    a UTC day gives that day's gift, once; whatever touches first and however many at once.
/// 4. **C4** A repeat with the same operation id and numbers gets the first answer and writes
///    nothing; with other numbers it is `OperationConflict`. One id may serve a reserve, a commit
///    and a release.
/// 5. **C5** A refusal writes nothing, not even the operation id, nor the gift of the day.
/// 6. **C6** A commit charges the hold's slices in the order they were taken and returns the rest
///    to their buckets; a slice of a gift that is void by then becomes breakage.
/// 7. **C7** A commit above the hold charges what is available beyond it, in the order of C2, and
///    tells the shortfall; no figure becomes negative. Of a hold made with
///    [`Overage::Reject`](super::Overage::Reject) it is refused, and the hold stays open.
/// 8. **C8** A hold ends once: of any commits, releases and expiries at once, one wins. The others
///    are `Closed` or `Expired`.
/// 9. **C9** A hold past its expiry by the store's clock is expired, swept or not: a commit,
///    release or extension is `Expired`, and its seconds are available again.
/// 10. **C10** An extension never shortens, and never reaches past 24 h from now.
/// 11. **C11** A batch is the same as its commands one after another, in order.
/// 12. **C12** Caps count what holds reserved that UTC day hold or charged; a reserve that would
///     pass one is `CapReached`, before credits are looked at.
/// 13. **C13** After every step: granted = available + held + charged + breakage, per account, per
///     bucket and in all.
/// 14. **C14** A hold nobody knows is `NotFound`.
/// 15. **C15** Days and expiries are judged by the store's clock, after any lock was waited for.
/// 16. **C16** Of several batches each is done whole, as a batch of its own, or left undone; one
///     whose account another step holds or is making is left rather than waited for. Unless the
///     store remembers nothing, those on accounts it worked on last are done.
/// 17. **C17** An account has no more holds open than the policy allows, lapsed ones not counted: a
///     reserve beyond is [`Full`](sheen_core::error::StoreErrorKind::Full), and writes nothing.
#[async_trait]
pub trait CreditStore: Debug + Send + Sync + 'static {
    /// Holds seconds (C1–C5, C12, C17).
    ///
    /// # Errors
    /// When the store fails, or too many holds are open; repeat it with the same operation id.
    async fn reserve(&self, reserve: Reserve) -> Result<ReserveOutcome, StoreError>;

    /// Charges a hold (C6–C9).
    ///
    /// # Errors
    /// When the store fails; repeat it with the same operation id.
    async fn commit(&self, commit: Commit) -> Result<CommitOutcome, StoreError>;

    /// Gives a hold back (C8, C9).
    ///
    /// # Errors
    /// When the store fails; repeat it with the same operation id.
    async fn release(&self, release: Release) -> Result<ReleaseOutcome, StoreError>;

    /// Keeps a hold for longer (C9, C10).
    ///
    /// # Errors
    /// When the store fails.
    async fn extend(&self, extend: Extend) -> Result<ExtendOutcome, StoreError>;

    /// Does several steps, in order, with an outcome each (C11).
    ///
    /// # Errors
    /// When the store fails; repeat the batch whole.
    async fn batch(&self, commands: Vec<CreditCommand>) -> Result<Vec<CreditOutcome>, StoreError>;

    /// Does those of several batches, each on an account of its own, that can be done together
    /// without waiting (C16): the outcomes of each, `None` of one left undone. What is left is
    /// done by [`batch`](Self::batch); a store may leave any.
    ///
    /// # Errors
    /// When the store fails; repeat the batches, together or one by one.
    async fn several(
        &self,
        batches: Vec<Vec<CreditCommand>>,
    ) -> Result<Vec<Option<Vec<CreditOutcome>>>, StoreError>;
}

/// Feeding accounts, and undoing what was bought or charged.
///
/// 1. **G1** A payment is credited once, over all accounts; the same one with another user or sum
///    is `OperationConflict`.
/// 2. **G2** Two payments are two credits, however alike.
/// 3. **G3** What would take an account out of range is refused whole.
/// 4. **G4** A refund of a charge gives back what was charged to a hold, what was bought first,
///    then the bonus, then the gift, of which nothing can be spent once its day is over. What was
///    charged stays charged. A refund of a purchase takes back bought seconds that are neither
///    spent nor held.
/// 5. **G5** The refunds of one charge or purchase never sum above it, in whatever parts and
///    however many at once; another user's is `NotFound`.
/// 6. **G6** A repeat of a refund with the same operation id and numbers gets the first answer and
///    writes nothing; with others it is `OperationConflict`. A refusal writes nothing.
#[async_trait]
pub trait GrantStore: Debug + Send + Sync + 'static {
    /// Credits a purchase (G1–G3).
    ///
    /// # Errors
    /// When the store fails; repeat it with the same payment id.
    async fn credit(&self, purchase: Purchase) -> Result<PurchaseOutcome, StoreError>;

    /// Refunds a charge or a purchase (G4–G6).
    ///
    /// # Errors
    /// When the store fails; repeat it with the same operation id.
    async fn refund(&self, refund: Refund) -> Result<RefundOutcome, StoreError>;
}

/// Reading accounts. Reading writes nothing: a gift that the next touch would give is shown as if
/// it were given, so that a read, a reserve and a sweep agree.
///
/// 1. **R1** A view shows what a reserve at the same instant could take.
/// 2. **R2** Entries come in order of their number, after the one named, at most `limit`.
/// 3. **R3** The totals of all accounts are of one instant.
/// 4. **R4** A hold is told with what its reserve agreed on, as it was agreed.
#[async_trait]
pub trait CreditReader: Debug + Send + Sync + 'static {
    /// The accounts of `users`, in that order; one that was never touched is shown as its first
    /// touch would make it.
    ///
    /// # Errors
    /// When the store fails.
    async fn views(&self, users: &[UserId]) -> Result<Vec<AccountView>, StoreError>;

    /// Whose hold this is.
    ///
    /// # Errors
    /// When the store fails.
    async fn holder(&self, reservation: &ReservationId) -> Result<Option<UserId>, StoreError>;

    /// The hold, as written (R4).
    ///
    /// # Errors
    /// When the store fails.
    async fn hold(&self, reservation: &ReservationId) -> Result<Option<HoldView>, StoreError>;

    /// Entries of an account with a number above `after`.
    ///
    /// # Errors
    /// When the store fails.
    async fn entries(
        &self,
        user: &UserId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError>;

    /// The sums of one account; none of one that was never touched.
    ///
    /// # Errors
    /// When the store fails.
    async fn totals(&self, user: &UserId) -> Result<Totals, StoreError>;

    /// The sums of all accounts (R3), however large.
    ///
    /// # Errors
    /// When the store fails.
    async fn ledger_totals(&self) -> Result<LedgerTotals, StoreError>;
}

/// Releasing holds that nobody closed.
///
/// 1. **S1** Only holds past their expiry by the store's clock, oldest expiry first, at most
///    `limit`; the number of those released is told.
/// 2. **S2** A void gift in an expired hold becomes breakage; every other slice goes back.
/// 3. **S3** Sweeping twice releases nothing twice.
#[async_trait]
pub trait CreditSweep: Debug + Send + Sync + 'static {
    /// Releases expired holds (S1–S3).
    ///
    /// # Errors
    /// When the store fails.
    async fn expire(&self, limit: u32) -> Result<u32, StoreError>;
}

/// Recomputing accounts from their entries and holds, while they are in use.
///
/// 1. **V1** Whatever steps are taken at the same time, accounts that only these rules wrote have
///    no drift.
/// 2. **V2** Pages go through all accounts in the order of user ids, each once.
#[async_trait]
pub trait CreditAudit: Debug + Send + Sync + 'static {
    /// Names what in the account of `user` its entries and holds do not give (V1).
    ///
    /// # Errors
    /// When the store fails.
    async fn verify(&self, user: &UserId) -> Result<Vec<Drift>, StoreError>;

    /// The same for at most `limit` accounts after the one named, at least one (V1, V2).
    ///
    /// # Errors
    /// When the store fails.
    async fn verify_all(&self, after: Option<&UserId>, limit: u32) -> Result<Audit, StoreError>;
}
