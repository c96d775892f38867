//! The same steps inside a caller's own transaction.

use sheen_core::error::StoreError;
use sheen_core::id::ReservationId;
use sqlx::postgres::PgConnection;

use super::session::Command;
use super::step::Found;
use super::{PgCreditStore, other_outcome, single};
use crate::account::types::{
    Commit, CommitOutcome, CreditCommand, CreditOutcome, Extend, ExtendOutcome, Release,
    ReleaseOutcome, Reserve, ReserveOutcome,
};

/// Steps of a caller's transaction: they come and go with it.
///
/// 1. Each gives the outcome that its namesake of [`CreditStore`](crate::account::CreditStore)
///    would: it locks and loads the account, decides, and writes. The account stays locked until
///    the transaction ends, so end it soon: all of the account's steps wait for it.
/// 2. What fails here fails the transaction: roll it back. Nothing is sent again from here; where
///    the error is transient, repeat the transaction.
/// 3. Use READ COMMITTED, PostgreSQL's own isolation level.
/// 4. Nothing is remembered of what is not committed: the next step on the account outside reads
///    it again.
/// 5. Of a transaction on several accounts take them in the order of user ids, else two of them
///    may meet in a deadlock, which PostgreSQL ends for one as `Contended`.
///
/// An order and the seconds that are held for it, both or neither:
///
/// ```no_run
/// # use sheen_billing::account::{PgCreditStore, Reserve, ReserveOutcome};
/// # async fn demo(
/// #     pool: sqlx::PgPool, credits: PgCreditStore, reserve: Reserve,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut step = pool.begin().await?;
/// if let ReserveOutcome::Reserved(hold) = credits.reserve_in(&mut step, reserve).await? {
///     sqlx::query("INSERT INTO orders (hold) VALUES ($1)")
///         .bind(hold.reservation.as_str())
///         .execute(&mut *step)
///         .await?;
///     step.commit().await?;
/// }
/// # Ok(())
/// # }
/// ```
impl PgCreditStore {
    /// Holds seconds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reserve_in(
        &self,
        step: &mut PgConnection,
        reserve: Reserve,
    ) -> Result<ReserveOutcome, StoreError> {
        let user = reserve.user.clone();
        let command = CreditCommand::Reserve(reserve);
        match self.within(step, &Found::User(&user), &command).await? {
            Some(CreditOutcome::Reserve(outcome)) => Ok(outcome),
            _ => Err(other_outcome()),
        }
    }

    /// Charges a hold.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn commit_in(
        &self,
        step: &mut PgConnection,
        commit: Commit,
    ) -> Result<CommitOutcome, StoreError> {
        let hold = commit.reservation.clone();
        match self
            .on_hold_in(step, &hold, CreditCommand::Commit(commit))
            .await?
        {
            None => Ok(CommitOutcome::NotFound),
            Some(CreditOutcome::Commit(outcome)) => Ok(outcome),
            Some(_) => Err(other_outcome()),
        }
    }

    /// Gives a hold back.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_in(
        &self,
        step: &mut PgConnection,
        release: Release,
    ) -> Result<ReleaseOutcome, StoreError> {
        let hold = release.reservation.clone();
        match self
            .on_hold_in(step, &hold, CreditCommand::Release(release))
            .await?
        {
            None => Ok(ReleaseOutcome::NotFound),
            Some(CreditOutcome::Release(outcome)) => Ok(outcome),
            Some(_) => Err(other_outcome()),
        }
    }

    /// Keeps a hold for longer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn extend_in(
        &self,
        step: &mut PgConnection,
        extend: Extend,
    ) -> Result<ExtendOutcome, StoreError> {
        let hold = extend.reservation.clone();
        match self
            .on_hold_in(step, &hold, CreditCommand::Extend(extend))
            .await?
        {
            None => Ok(ExtendOutcome::NotFound),
            Some(CreditOutcome::Extend(outcome)) => Ok(outcome),
            Some(_) => Err(other_outcome()),
        }
    }

    async fn on_hold_in(
        &self,
        step: &mut PgConnection,
        hold: &ReservationId,
        command: CreditCommand,
    ) -> Result<Option<CreditOutcome>, StoreError> {
        self.within(step, &Found::Hold(hold), &command).await
    }

    async fn within(
        &self,
        step: &mut PgConnection,
        found: &Found<'_>,
        command: &CreditCommand,
    ) -> Result<Option<CreditOutcome>, StoreError> {
        let commands = [Command::Credit(command)];
        match self.under_lock(step, found, &commands).await? {
            None => Ok(None),
            Some((decided, now)) => single(decided.told(now)).map(Some),
        }
    }
}
