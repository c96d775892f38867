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
/// How many times a batch is looked past where nothing in it can be given back.
const FARTHEST: u32 = 64;

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

/// What came of one look at the oldest lapsed holds.
struct Swept {
    released: u32,
    /// Whether there may be more.
    full: bool,
    /// Of an account whose rows were changed by hand.
    spoilt: Option<StoreError>,
}

impl PgCreditStore {
    /// Looks at the oldest `look` lapsed holds and gives back at most `limit` of them.
    async fn sweep(&self, look: u32, limit: u32) -> Result<Swept, StoreError> {
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/lapsed.sql")).bind(i64::from(look))
        })
        .await?;
        let (mut released, mut seen, mut spoilt) = (0u32, 0u32, None);
        for row in &found {
            let share: i32 = row.try_get("share").map_err(step_error)?;
            let share = u32::try_from(share).map_err(corrupt)?;
            seen = seen.saturating_add(share);
            let share = share.min(limit.saturating_sub(released));
            let share = usize::try_from(share).map_err(corrupt)?;
            match self.expire_row(row, share).await {
                Ok(more) => released = released.saturating_add(more),
                // It holds no other account up, and is told last.
                Err(error) if is_spoilt(error.kind) => spoilt = Some(error),
                Err(error) => return Err(error),
            }
        }
        Ok(Swept {
            released,
            full: seen >= look,
            spoilt,
        })
    }
}

/// Of figures that do not fit, and of rows where the account's next ones belong.
const fn is_spoilt(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Corrupt | StoreErrorKind::Rejected)
}

#[async_trait]
impl CreditSweep for PgCreditStore {
    async fn expire(&self, limit: u32) -> Result<u32, StoreError> {
        let mut look = limit;
        loop {
            let swept = self.sweep(look, limit).await?;
            let is_blocked = swept.released == 0 && swept.full;
            if !is_blocked || look >= limit.saturating_mul(FARTHEST) {
                return swept.spoilt.map_or(Ok(swept.released), Err);
            }
            // Accounts that are spoilt or worked on are all that it saw: those behind them are not
            // to wait.
            look = look.saturating_mul(4);
        }
    }
}
