//! Recommendations in PostgreSQL. A step loads, decides, and writes in one statement that compares
//! what the decision saw; where others were first it decides again. Claims of all processes also
//! compare the version of the one queue, so that its bounds hold over all of them.

mod rows;

use std::sync::Arc;

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildSessionId, ProjectId, UserId};
use sheen_core::postgres::{row, rows as many};
use sheen_core::time::Timestamp;
use sheen_core::token::FencingToken;
use sqlx::postgres::{PgPool, PgRow};

use super::decide::{
    Decision, QueueView, after_end, after_step, decide_claim, decide_request, decide_settle,
    next_step, overdue,
};
use super::store::{RecommendQueue, RecommendStore};
use super::types::{
    ClaimOutcome, Due, Items, Key, NewRequest, Phase, QueueLimits, Record, RequestOutcome,
    SettleOutcome, Step,
};
use crate::postgres::{corrupt, get};
use rows::{Put, Seen, millis, now};

/// How often one step is decided before it gives up. Each miss means that another step of the same
/// record, or another claim, went through.
const DECISIONS: u32 = 32;

/// Records in PostgreSQL, over the caller's pool. The database must have been
/// [migrated](crate::postgres::migrate). All processes must give the same limits.
#[derive(Debug)]
pub struct PgRecommendStore {
    pool: PgPool,
    limits: QueueLimits,
}

impl PgRecommendStore {
    /// The records in the database behind `pool`.
    #[must_use]
    pub const fn new(pool: PgPool, limits: QueueLimits) -> Self {
        Self { pool, limits }
    }

    /// The record of `key`, where it is there, and the row that also has the time.
    async fn load(&self, key: &Key) -> Result<(Option<Seen>, PgRow), StoreError> {
        let statement = || {
            sqlx::query(include_str!("sql/load.sql"))
                .bind(key.project.as_str())
                .bind(key.session.as_str())
        };
        let found = row(&self.pool, statement).await?;
        let found = found.ok_or_else(|| corrupt("no row for a record"))?;
        Ok((Seen::of(&found)?, found))
    }

    /// Writes `record` where it still is as `put` says; `false` where it is not.
    async fn put(&self, put: &Put, record: &Record) -> Result<bool, StoreError> {
        let quick = record.request.quick.to_json();
        let items = match &record.phase {
            Phase::Ready(items) => Some(items.to_json()),
            _ => None,
        };
        let statement = || put.statement(record, &quick, items.as_deref());
        let done = row(&self.pool, statement).await?;
        get(&done.ok_or_else(|| corrupt("no row for a write"))?, "hit")
    }

    /// Writes the change of a record that is there.
    async fn put_over(&self, seen: &Seen, record: &Record) -> Result<bool, StoreError> {
        let put = Put {
            seen: seen.version,
            queue: None,
            anew: false,
        };
        self.put(&put, record).await
    }

    /// Loads the record of `key`, and writes what `decide` makes of it, until it could. The record
    /// as it is afterwards; `None` when there is none.
    async fn change(
        &self,
        key: &Key,
        decide: impl Fn(&Record, Timestamp) -> Option<Record> + Send,
    ) -> Result<Option<Record>, StoreError> {
        for _ in 0..DECISIONS {
            let (seen, found) = self.load(key).await?;
            let Some(seen) = seen else {
                return Ok(None);
            };
            let Some(after) = decide(&seen.record, now(&found)?) else {
                return Ok(Some(seen.record));
            };
            if self.put_over(&seen, &after).await? {
                return Ok(Some(after));
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn fail_what_is_late(&self, limit: u32) -> Result<(), StoreError> {
        let statement = || {
            sqlx::query(include_str!("sql/late.sql"))
                .bind(millis(self.limits.try_limit))
                .bind(millis(self.limits.patience))
                .bind(i64::from(limit))
        };
        for found in many(&self.pool, statement).await? {
            let seen = Seen::of(&found)?.ok_or_else(|| corrupt("a late row is no record"))?;
            if let Some(failed) = overdue(&seen.record, now(&found)?, &self.limits) {
                // Missed, it has just moved on, and is looked at again.
                self.put_over(&seen, &failed).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl RecommendStore for PgRecommendStore {
    async fn request(&self, new: NewRequest) -> Result<RequestOutcome, StoreError> {
        let key = Key::new(new.project.clone(), new.session.clone());
        for _ in 0..DECISIONS {
            let (seen, found) = self.load(&key).await?;
            let waiting = u32::try_from(get::<i64>(&found, "waiting")?).unwrap_or(u32::MAX);
            let known = seen.as_ref().map(|seen| &seen.record);
            let now = now(&found)?;
            let record = match decide_request(known, waiting, now, new.clone(), &self.limits) {
                Decision::Refuse(outcome) => return Ok(outcome),
                Decision::Put(record) => record,
            };
            let put = Put {
                seen: seen.map_or(0, |seen| seen.version),
                queue: None,
                anew: true,
            };
            if self.put(&put, &record).await? {
                return Ok(RequestOutcome::Taken(record));
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn read(
        &self,
        user: &UserId,
        project: &ProjectId,
        session: Option<&BuildSessionId>,
    ) -> Result<Option<Record>, StoreError> {
        let seen = match session {
            Some(session) => {
                let key = Key::new(project.clone(), session.clone());
                self.load(&key).await?.0
            }
            None => {
                let statement = || {
                    sqlx::query(include_str!("sql/last.sql"))
                        .bind(project.as_str())
                        .bind(user.as_str())
                };
                match row(&self.pool, statement).await? {
                    Some(found) => Seen::of(&found)?,
                    None => None,
                }
            }
        };
        let record = seen.map(|seen| seen.record);
        Ok(record.filter(|it| it.request.user == *user))
    }

    async fn build_ended(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.change(key, after_end).await
    }
}

#[async_trait]
impl RecommendQueue for PgRecommendStore {
    async fn claim(&self) -> Result<ClaimOutcome, StoreError> {
        for _ in 0..DECISIONS {
            let statement = || sqlx::query(include_str!("sql/queue.sql"));
            let found = row(&self.pool, statement).await?;
            let found = found.ok_or_else(|| corrupt("the queue has no row"))?;
            let starts: Vec<i64> = get(&found, "starts")?;
            let seen = Seen::of(&found)?;
            let view = QueueView {
                running: u32::try_from(get::<i64>(&found, "running")?).unwrap_or(u32::MAX),
                starts: starts.into_iter().map(Timestamp::from_millis).collect(),
                oldest: seen.as_ref().map(|seen| seen.record.clone()),
            };
            let record = match decide_claim(view, now(&found)?, &self.limits) {
                Decision::Refuse(outcome) => return Ok(outcome),
                Decision::Put(record) => record,
            };
            let put = Put {
                seen: seen.map_or(0, |seen| seen.version),
                queue: Some(get(&found, "queue_version")?),
                anew: false,
            };
            if self.put(&put, &record).await? {
                return Ok(ClaimOutcome::Claimed(record));
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn settle(
        &self,
        key: &Key,
        attempt: FencingToken,
        result: Result<Items, Arc<str>>,
    ) -> Result<SettleOutcome, StoreError> {
        for _ in 0..DECISIONS {
            let (seen, _) = self.load(key).await?;
            let known = seen.as_ref().map(|seen| &seen.record);
            let record = match decide_settle(known, attempt, result.clone()) {
                Decision::Refuse(outcome) => return Ok(outcome),
                Decision::Put(record) => record,
            };
            let seen = seen.ok_or_else(|| corrupt("a settlement of no record"))?;
            if self.put_over(&seen, &record).await? {
                return Ok(SettleOutcome::Settled(record));
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn due(&self, limit: u32) -> Result<Vec<Due>, StoreError> {
        // What is late is bounded by what may wait and run.
        self.fail_what_is_late(u32::MAX).await?;
        let statement = || {
            sqlx::query(include_str!("sql/due.sql"))
                .bind(millis(self.limits.stream_waits))
                .bind(i64::from(limit))
        };
        let mut due = Vec::new();
        for found in many(&self.pool, statement).await? {
            let seen = Seen::of(&found)?.ok_or_else(|| corrupt("a due row is no record"))?;
            if let Some(step) = next_step(&seen.record, now(&found)?, &self.limits) {
                due.push(Due::new(seen.record, step));
            }
        }
        Ok(due)
    }

    async fn done(&self, key: &Key, attempt: FencingToken, step: Step) -> Result<(), StoreError> {
        let of_attempt =
            |record: &Record, _| (record.attempt == attempt).then(|| after_step(record, step));
        self.change(key, of_attempt).await?;
        Ok(())
    }

    async fn forget(&self, limit: u32) -> Result<u32, StoreError> {
        let statement = || {
            sqlx::query(include_str!("sql/forget.sql"))
                .bind(millis(self.limits.kept))
                .bind(i64::from(limit))
        };
        let done = row(&self.pool, statement).await?;
        let done = done.ok_or_else(|| corrupt("no row for a sweep"))?;
        u32::try_from(get::<i64>(&done, "removed")?).map_err(corrupt)
    }
}
