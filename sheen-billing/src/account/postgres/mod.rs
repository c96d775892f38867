//! Accounts in PostgreSQL: state is remembered or loaded, decided over in Rust, and applied in one
//! statement that compares what the decision relied on.
//!
//! 1. A step over a remembered account is one statement, and so is the first step on a new one: an
//!    account nobody here has seen is assumed absent. A refusal is always decided over what the
//!    database just said.
//! 2. Decisions are made by the store's clock as it was last read, plus what passed since. The
//!    statement locks the account, reads the clock after, and compares it with the decision's
//!    [`Window`](super::decide::Window); instants are counted from the clock it read.
//! 3. What no longer fits comes back with the state as it is, and is decided again: four times,
//!    then once with the account's row locked.
//! 4. Steps of one process on one account queue in memory, so they never miss one another.
//! 5. A batch is one statement for each account in it. Several batches, each on an account of its
//!    own, are one statement together, which passes by what another session holds, and what is not
//!    there yet: to make an account waits for who is making the same.
//! 6. In a caller's own transaction (`reserve_in`, `commit_in`, `release_in`, `extend_in`) a step
//!    locks and loads, decides, writes; nothing is remembered of it.
//! 7. No lock but the account's row is waited for before it, and who holds several has waited for
//!    none, so steps cannot deadlock. A payment's key is taken after the account and holds up
//!    nobody who holds what its owner waits for.

mod cache;
mod columns;
mod read;
mod rows;
mod session;
mod several;
mod step;
mod sweep;
mod verify;
mod within;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::{ReservationId, UserId};
use sheen_core::time::{Clock, SystemClock, Timestamp};
use sqlx::postgres::PgPool;

use self::cache::Cache;
use self::rows::corrupt;
use self::session::{Command, Outcome};
use self::step::Found;
use super::decide::DecideError;
use super::refund::{Refund, RefundOutcome};
use super::store::{CreditStore, GrantStore};
use super::types::{
    Commit, CommitOutcome, CreditCommand, CreditOutcome, Extend, ExtendOutcome, Purchase,
    PurchaseOutcome, Release, ReleaseOutcome, Reserve, ReserveOutcome,
};
use super::{CreditPolicy, CreditState};

/// A credit store in PostgreSQL, over the caller's pool. The database must have been
/// [migrated](crate::postgres::migrate).
#[derive(Debug)]
pub struct PgCreditStore {
    pool: PgPool,
    policy: CreditPolicy,
    cache: Cache,
    /// For time that passes only.
    clock: SystemClock,
    /// The store's clock as last read, and when that was.
    reading: Mutex<Option<(Timestamp, Duration)>>,
}

impl PgCreditStore {
    /// The most commands of one batch.
    pub const MAX_BATCH: usize = CreditState::MAX_BATCH;

    /// The accounts in the database behind `pool`, fed and bounded by `policy`.
    #[must_use]
    pub fn new(pool: PgPool, policy: CreditPolicy) -> Self {
        Self {
            pool,
            policy,
            cache: Cache::default(),
            clock: SystemClock::new(),
            reading: Mutex::new(None),
        }
    }

    /// The store's clock about now, once it was read.
    fn estimate(&self) -> Option<Timestamp> {
        let reading = *self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, at) = reading?;
        Some(read.plus(self.clock.monotonic().saturating_sub(at)))
    }

    fn note_clock(&self, now: Timestamp) {
        let at = self.clock.monotonic();
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, at));
    }

    /// One command on an account that is found by one of its holds; nothing when no account has
    /// such a hold.
    async fn on_hold(
        &self,
        reservation: &ReservationId,
        command: CreditCommand,
    ) -> Result<Option<CreditOutcome>, StoreError> {
        let commands = [Command::Credit(&command)];
        let (user, loaded) = match self.cache.holder(reservation) {
            Some(user) => (user, None),
            None => match self.load(&Found::Hold(reservation), &commands).await? {
                Some(loaded) => (loaded.user().clone(), Some(loaded)),
                None => return Ok(None),
            },
        };
        let outcomes = self.step(&user, &commands, loaded).await?;
        single(outcomes).map(Some)
    }

    /// Whose holds these are, where anyone's.
    async fn holders(
        &self,
        asked: &[&ReservationId],
    ) -> Result<BTreeMap<ReservationId, UserId>, StoreError> {
        let mut holders = BTreeMap::new();
        let mut unknown = Vec::new();
        for reservation in asked {
            match self.cache.holder(reservation) {
                Some(user) => {
                    holders.insert((*reservation).clone(), user);
                }
                None => unknown.push(reservation.as_str()),
            }
        }
        if !unknown.is_empty() {
            self.read_holders(&unknown, &mut holders).await?;
        }
        Ok(holders)
    }
}

fn single(outcomes: Vec<Outcome>) -> Result<CreditOutcome, StoreError> {
    match outcomes.into_iter().next() {
        Some(Outcome::Credit(outcome)) => Ok(outcome),
        _ => Err(other_outcome()),
    }
}

/// An outcome of another kind than its command.
fn other_outcome() -> StoreError {
    corrupt("an outcome of another step")
}

fn is_malformed(command: &CreditCommand) -> bool {
    matches!(command, CreditCommand::Reserve(wish) if wish.seconds.is_zero())
}

fn not_found(command: &CreditCommand) -> Option<CreditOutcome> {
    Some(match command {
        CreditCommand::Reserve(_) => return None,
        CreditCommand::Commit(_) => CreditOutcome::Commit(CommitOutcome::NotFound),
        CreditCommand::Release(_) => CreditOutcome::Release(ReleaseOutcome::NotFound),
        CreditCommand::Extend(_) => CreditOutcome::Extend(ExtendOutcome::NotFound),
    })
}

fn named_hold(command: &CreditCommand) -> Option<&ReservationId> {
    match command {
        CreditCommand::Reserve(_) => None,
        CreditCommand::Commit(wish) => Some(&wish.reservation),
        CreditCommand::Release(wish) => Some(&wish.reservation),
        CreditCommand::Extend(wish) => Some(&wish.reservation),
    }
}

#[async_trait]
impl CreditStore for PgCreditStore {
    async fn reserve(&self, reserve: Reserve) -> Result<ReserveOutcome, StoreError> {
        let user = reserve.user.clone();
        let command = CreditCommand::Reserve(reserve);
        let commands = [Command::Credit(&command)];
        match single(self.step(&user, &commands, None).await?)? {
            CreditOutcome::Reserve(outcome) => Ok(outcome),
            _ => Err(other_outcome()),
        }
    }

    async fn commit(&self, commit: Commit) -> Result<CommitOutcome, StoreError> {
        let hold = commit.reservation.clone();
        match self.on_hold(&hold, CreditCommand::Commit(commit)).await? {
            None => Ok(CommitOutcome::NotFound),
            Some(CreditOutcome::Commit(outcome)) => Ok(outcome),
            Some(_) => Err(other_outcome()),
        }
    }

    async fn release(&self, release: Release) -> Result<ReleaseOutcome, StoreError> {
        let hold = release.reservation.clone();
        match self.on_hold(&hold, CreditCommand::Release(release)).await? {
            None => Ok(ReleaseOutcome::NotFound),
            Some(CreditOutcome::Release(outcome)) => Ok(outcome),
            Some(_) => Err(other_outcome()),
        }
    }

    async fn extend(&self, extend: Extend) -> Result<ExtendOutcome, StoreError> {
        let hold = extend.reservation.clone();
        match self.on_hold(&hold, CreditCommand::Extend(extend)).await? {
            None => Ok(ExtendOutcome::NotFound),
            Some(CreditOutcome::Extend(outcome)) => Ok(outcome),
            Some(_) => Err(other_outcome()),
        }
    }

    async fn batch(&self, commands: Vec<CreditCommand>) -> Result<Vec<CreditOutcome>, StoreError> {
        if commands.len() > Self::MAX_BATCH || commands.iter().any(is_malformed) {
            return Err(DecideError::Malformed.into());
        }
        let reserved: BTreeMap<ReservationId, &UserId> = commands
            .iter()
            .filter_map(|command| match command {
                CreditCommand::Reserve(wish) => Some((wish.reservation_id(), &wish.user)),
                _ => None,
            })
            .collect();
        let named = commands.iter().filter_map(named_hold);
        let elsewhere: Vec<_> = named.filter(|hold| !reserved.contains_key(*hold)).collect();
        let holders = self.holders(&elsewhere).await?;

        // Accounts do not know of one another, so only the order within each counts.
        let mut outcomes: Vec<Option<CreditOutcome>> = commands.iter().map(not_found).collect();
        let mut shares: BTreeMap<&UserId, Vec<usize>> = BTreeMap::new();
        for (index, command) in commands.iter().enumerate() {
            let user = match command {
                CreditCommand::Reserve(wish) => Some(&wish.user),
                _ => named_hold(command)
                    .and_then(|hold| reserved.get(hold).copied().or_else(|| holders.get(hold))),
            };
            if let Some(user) = user {
                shares.entry(user).or_default().push(index);
            }
        }
        for (user, share) in shares {
            let steps: Vec<_> = share
                .iter()
                .map(|index| Command::Credit(&commands[*index]))
                .collect();
            let done = self.step(user, &steps, None).await?;
            for (index, outcome) in share.into_iter().zip(done) {
                outcomes[index] = match outcome {
                    Outcome::Credit(outcome) => Some(outcome),
                    _ => None,
                };
            }
        }
        let outcomes: Option<Vec<_>> = outcomes.into_iter().collect();
        outcomes.ok_or_else(other_outcome)
    }

    async fn several(
        &self,
        batches: Vec<Vec<CreditCommand>>,
    ) -> Result<Vec<Option<Vec<CreditOutcome>>>, StoreError> {
        let commands = batches.iter().map(Vec::len).sum::<usize>();
        if commands > Self::MAX_BATCH || batches.iter().flatten().any(is_malformed) {
            return Err(DecideError::Malformed.into());
        }
        self.step_together(&batches).await
    }
}

#[async_trait]
impl GrantStore for PgCreditStore {
    async fn credit(&self, purchase: Purchase) -> Result<PurchaseOutcome, StoreError> {
        let commands = [Command::Purchase(&purchase)];
        let outcomes = self.step(&purchase.user, &commands, None).await?;
        match outcomes.into_iter().next() {
            Some(Outcome::Purchase(outcome)) => Ok(outcome),
            _ => Err(other_outcome()),
        }
    }

    async fn refund(&self, refund: Refund) -> Result<RefundOutcome, StoreError> {
        let commands = [Command::Refund(&refund)];
        let outcomes = self.step(&refund.user, &commands, None).await?;
        match outcomes.into_iter().next() {
            Some(Outcome::Refund(outcome)) => Ok(outcome),
            _ => Err(other_outcome()),
        }
    }
}
