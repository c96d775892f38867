//! Steps on several accounts in one statement.

use std::collections::BTreeMap;
use std::sync::Arc;

use sheen_core::error::StoreError;
use sheen_core::id::UserId;
use sheen_core::postgres::{row, step_error};
use sqlx::Row;
use tokio::sync::OwnedMutexGuard;

use super::cache::Known;
use super::columns::Columns;
use super::rows::corrupt;
use super::session::{Command, Outcome};
use super::step::{Applied, Decided, Seen, Undecided, knows_holds};
use super::{PgCreditStore, named_hold};
use crate::account::decide::Account;
use crate::account::types::{CreditCommand, CreditOutcome};

/// The outcomes of each batch, `None` of one that was left undone.
type Told = Vec<Option<Vec<CreditOutcome>>>;

/// A batch that was decided, and the place of its account, taken until the statement is through.
struct Part<'p> {
    index: usize,
    user: UserId,
    known: OwnedMutexGuard<Known>,
    decided: Decided<'p>,
}

impl PgCreditStore {
    /// The account that all of a batch is on, where that is known without asking.
    fn account_of(&self, batch: &[CreditCommand]) -> Option<UserId> {
        let mut user: Option<UserId> = None;
        for command in batch {
            let found = match command {
                CreditCommand::Reserve(wish) => Some(wish.user.clone()),
                other => named_hold(other).and_then(|hold| {
                    let made = batch.iter().find_map(|command| match command {
                        CreditCommand::Reserve(wish) if wish.reservation_id() == *hold => {
                            Some(wish.user.clone())
                        }
                        _ => None,
                    });
                    made.or_else(|| self.cache.holder(hold))
                }),
            }?;
            if user.get_or_insert_with(|| found.clone()) != &found {
                return None;
            }
        }
        user
    }

    /// Decides a batch over what is remembered, unless another step works on its account or the
    /// database would have to be asked first.
    fn part<'p>(&'p self, index: usize, user: UserId, batch: &[CreditCommand]) -> Option<Part<'p>> {
        let slot = self.cache.slot(&user);
        let mut known = Arc::clone(&slot).try_lock_owned().ok()?;
        let now = self.estimate()?;
        let commands: Vec<_> = batch.iter().map(Command::Credit).collect();
        // Lost until there is an answer: whoever drops this midway leaves it so.
        let account = match std::mem::replace(&mut *known, Known::Lost) {
            Known::As(account) => *account,
            Known::Unseen => Account::untouched(user.clone()),
            Known::Lost => return None,
        };
        if !knows_holds(&account, &commands) {
            *known = remembered(account);
            return None;
        }
        let seen = Seen {
            account,
            payment: None,
            now,
            fresh: false,
        };
        match self.decide(&commands, seen) {
            Ok(decided) => Some(Part {
                index,
                user,
                known,
                decided,
            }),
            Err(Undecided::Stale(Some(account))) => {
                *known = remembered(*account);
                None
            }
            Err(_) => None,
        }
    }

    /// Does what can be done of the batches in one statement.
    pub(super) async fn step_together(
        &self,
        batches: &[Vec<CreditCommand>],
    ) -> Result<Told, StoreError> {
        let mut told: Told = batches.iter().map(|_| None).collect();
        let mut accounts: BTreeMap<UserId, usize> = BTreeMap::new();
        for (index, batch) in batches.iter().enumerate() {
            if let Some(user) = self.account_of(batch) {
                // Of two on one account the second is left.
                accounts.entry(user).or_insert(index);
            }
        }
        // In the order of accounts, as the statement takes its locks.
        let parts: Vec<Part<'_>> = accounts
            .into_iter()
            .filter_map(|(user, index)| self.part(index, user, &batches[index]))
            .collect();
        if parts.is_empty() {
            return Ok(told);
        }
        let applied = self.apply_many(&parts).await?;
        for (part, applied) in parts.into_iter().zip(applied) {
            let Part {
                index,
                user,
                mut known,
                decided,
            } = part;
            match applied {
                Applied::Hit(now) => {
                    let outcomes = self.done(&mut known, &user, decided, now);
                    let outcomes = outcomes.into_iter().map(|outcome| match outcome {
                        Outcome::Credit(outcome) => Some(outcome),
                        _ => None,
                    });
                    told[index] = outcomes.collect();
                }
                Applied::Miss(loaded) => *known = remembered(loaded.account()?),
                // It is made by a step of its own, which takes it for a new one too.
                Applied::Busy if decided.session.version == 0 => *known = Known::Unseen,
                Applied::Busy => {}
            }
        }
        Ok(told)
    }

    async fn apply_many(&self, parts: &[Part<'_>]) -> Result<Vec<Applied>, StoreError> {
        let mut columns = Columns::default();
        for part in parts {
            columns.add(&part.decided.session)?;
        }
        let read = row(&self.pool, || columns.many()).await?;
        let read = read.ok_or_else(|| corrupt("no row for an apply"))?;
        let told: Vec<String> = read.try_get("told").map_err(step_error)?;
        if told.len() != parts.len() {
            return Err(corrupt("accounts that were not told of"));
        }
        told.iter().map(|told| self.applied(told)).collect()
    }
}

fn remembered(account: Account) -> Known {
    if account.version() > 0 {
        Known::As(Box::new(account))
    } else {
        Known::Unseen
    }
}
