//! Releasing holds that nobody closed.

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::postgres::{rows, step_error};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::PgCreditStore;
use super::rows::corrupt;
use super::session::{Command, Outcome, Session};
use super::step::{Applied, Loaded};
use crate::account::store::CreditSweep;

/// How often the share of one account is decided. What is missed is left to the next sweep.
const DECISIONS: u32 = 4;

impl PgCreditStore {
    async fn expire_row(&self, row: &PgRow, share: usize) -> Result<u32, StoreError> {
        match Loaded::read(row)? {
            Some(loaded) => self.expire_of(loaded, share).await,
            None => Ok(0),
        }
    }

    /// Gives back at most `share` lapsed holds of an account, in one statement. An account that
    /// another session works on is passed by: that step gives them back itself.
    async fn expire_of(&self, mut loaded: Loaded, share: usize) -> Result<u32, StoreError> {
        for _ in 0..DECISIONS {
            let account = loaded.account()?;
            let mut session = Session::new(&self.policy, account, None, loaded.now());
            // It relies on what has lapsed, not on what has not.
            session.window.until = loaded.now().day().end();
            let (outcome, _) = session.decide(&Command::Expire(share))?;
            if !session.writes.any {
                return Ok(0);
            }
            match self.apply(None, &session, true).await? {
                Applied::Hit(_) => {
                    let Outcome::Expired(released) = outcome else {
                        return Err(corrupt("an outcome of another step"));
                    };
                    return Ok(u32::try_from(released).unwrap_or(u32::MAX));
                }
                Applied::Miss(fresh) => loaded = *fresh,
                Applied::Busy => return Ok(0),
            }
        }
        Ok(0)
    }
}

#[async_trait]
impl CreditSweep for PgCreditStore {
    async fn expire(&self, limit: u32) -> Result<u32, StoreError> {
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/lapsed.sql")).bind(i64::from(limit))
        })
        .await?;
        let (mut released, mut corrupted) = (0u32, None);
        for row in &found {
            let share: i32 = row.try_get("share").map_err(step_error)?;
            let share = usize::try_from(share).map_err(corrupt)?;
            match self.expire_row(row, share).await {
                Ok(more) => released = released.saturating_add(more),
                // One account whose rows were changed by hand holds no other up, and is told last.
                Err(error) if error.kind == StoreErrorKind::Corrupt => corrupted = Some(error),
                Err(error) => return Err(error),
            }
        }
        corrupted.map_or(Ok(released), Err)
    }
}
