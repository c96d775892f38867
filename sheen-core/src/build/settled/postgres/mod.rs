//! The outbox in PostgreSQL. A trigger writes it with a build's end; each step here is one
//! statement.

use std::sync::Arc;

use async_trait::async_trait;

use super::decide::{LAPSED, Retry, decide_failed, kept, may_be_tried};
use super::store::{ObserverRegistry, SettledOutbox};
use super::types::{
    Delivery, DeliveryLease, Hearing, LEASE, Leased, MAX_ATTEMPTS, MAX_LEASED, MAX_OBSERVERS,
    Parked, PutBackOutcome, RegisterOutcome, ResolveOutcome, RetireOutcome,
};
use crate::build::PgBuildStore;
use crate::build::postgres::{BuildRow, Line, corrupt};
use crate::error::StoreError;
use crate::id::{BuildId, ObserverId, WorkerId};
use crate::postgres::{escape, unescape};
use crate::token::FencingToken;

fn count(row: &BuildRow<'_>, column: &'static str) -> Result<u64, StoreError> {
    u64::try_from(row.get::<i64>(column)?).map_err(corrupt)
}

fn attempts(row: &BuildRow<'_>) -> Result<u32, StoreError> {
    u32::try_from(row.get::<i64>("attempts")?).map_err(corrupt)
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

fn delivery(row: &BuildRow<'_>, observer: &ObserverId) -> Result<Delivery, StoreError> {
    let build = row.build()?.ok_or_else(|| corrupt("build_id"))?;
    let lease = DeliveryLease::new(
        observer.clone(),
        build.id.clone(),
        FencingToken::from_u64(count(row, "lease_token")?),
        attempts(row)?,
        row.instant("expires_ms")?,
    );
    Ok(Delivery::new(build, lease))
}

/// What becomes of a delivery when its lease is resolved.
enum Fate<'e> {
    Heard,
    Retry(Retry, &'e str),
}

impl PgBuildStore {
    async fn end_lease(&self, lease: &DeliveryLease, fate: Fate<'_>) -> Result<bool, StoreError> {
        let token = i64::try_from(lease.token.get()).unwrap_or(i64::MAX);
        let (parks, wait, error) = match &fate {
            Fate::Heard => (false, 0, None),
            Fate::Retry(Retry::Park, error) => (true, 0, Some(escape(error))),
            Fate::Retry(Retry::After(wait), error) => (false, millis(*wait), Some(escape(error))),
        };
        let resolved = Line::Pool(&self.pool)
            .row(|| {
                sqlx::query(include_str!("sql/resolve.sql"))
                    .bind(lease.observer.as_str())
                    .bind(lease.build.as_str())
                    .bind(token)
                    .bind(matches!(fate, Fate::Heard))
                    .bind(parks)
                    .bind(wait)
                    .bind(error.as_deref())
            })
            .await?
            .ok_or_else(|| corrupt("no row for a resolution"))?;
        BuildRow(&resolved).get("hit")
    }
}

#[async_trait]
impl SettledOutbox for PgBuildStore {
    async fn lease(
        &self,
        observer: &ObserverId,
        worker: &WorkerId,
        limit: u32,
    ) -> Result<Leased, StoreError> {
        let found = Line::Pool(&self.pool)
            .rows(|| {
                sqlx::query(include_str!("sql/lease.sql"))
                    .bind(observer.as_str())
                    .bind(worker.as_str())
                    .bind(millis(LEASE))
                    .bind(i64::from(limit.min(MAX_LEASED)))
            })
            .await?;
        let mut leased = Leased::default();
        for found in &found {
            let delivery = delivery(&BuildRow(found), observer)?;
            if may_be_tried(delivery.lease.attempt - 1) {
                leased.deliveries.push(delivery);
                continue;
            }
            // Its last try ended in silence; this lease is only to say so.
            let fate = Fate::Retry(Retry::Park, LAPSED);
            if self.end_lease(&delivery.lease, fate).await? {
                leased.parked += 1;
            }
        }
        Ok(leased)
    }

    async fn resolve(
        &self,
        lease: &DeliveryLease,
        hearing: Hearing,
    ) -> Result<ResolveOutcome, StoreError> {
        let (fate, outcome) = match &hearing {
            Hearing::Heard => (Fate::Heard, ResolveOutcome::Done),
            Hearing::Failed(error) => {
                let retry = decide_failed(lease);
                let outcome = match retry {
                    Retry::After(wait) => ResolveOutcome::Again(wait),
                    Retry::Park => ResolveOutcome::Parked,
                };
                (Fate::Retry(retry, kept(error)), outcome)
            }
        };
        match self.end_lease(lease, fate).await? {
            true => Ok(outcome),
            false => Ok(ResolveOutcome::Lost),
        }
    }
}

#[async_trait]
impl ObserverRegistry for PgBuildStore {
    async fn register(&self, observer: &ObserverId) -> Result<RegisterOutcome, StoreError> {
        let found = Line::Pool(&self.pool)
            .row(|| {
                sqlx::query(include_str!("sql/register.sql"))
                    .bind(observer.as_str())
                    .bind(i64::from(MAX_OBSERVERS))
            })
            .await?
            .ok_or_else(|| corrupt("no row for a registration"))?;
        let found = BuildRow(&found);
        Ok(match (found.get("known")?, found.get("added")?) {
            (true, _) => RegisterOutcome::AlreadyRegistered,
            (false, true) => RegisterOutcome::Registered,
            (false, false) => RegisterOutcome::TooMany,
        })
    }

    async fn retire(&self, observer: &ObserverId) -> Result<RetireOutcome, StoreError> {
        let found = Line::Pool(&self.pool)
            .row(|| sqlx::query(include_str!("sql/retire.sql")).bind(observer.as_str()))
            .await?
            .ok_or_else(|| corrupt("no row for a retirement"))?;
        let dropped: Option<i64> = BuildRow(&found).get("dropped")?;
        match dropped {
            None => Ok(RetireOutcome::NotRegistered),
            Some(dropped) => Ok(RetireOutcome::Retired {
                dropped: u64::try_from(dropped).map_err(corrupt)?,
            }),
        }
    }

    async fn parked(
        &self,
        observer: &ObserverId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Parked>, StoreError> {
        let found = Line::Pool(&self.pool)
            .rows(|| {
                sqlx::query(include_str!("sql/parked.sql"))
                    .bind(observer.as_str())
                    .bind(i64::try_from(after).unwrap_or(i64::MAX))
                    .bind(i64::from(limit))
            })
            .await?;
        let of = |row: BuildRow<'_>| {
            let error: &str = row.get("last_error")?;
            Ok(Parked::new(
                count(&row, "seq")?,
                row.build()?.ok_or_else(|| corrupt("build_id"))?,
                // The lease that parked one whose last try ended in silence was no try.
                attempts(&row)?.min(MAX_ATTEMPTS),
                Arc::from(&*unescape(error)),
                row.instant("due_ms")?,
            ))
        };
        found.iter().map(|found| of(BuildRow(found))).collect()
    }

    async fn put_back(
        &self,
        observer: &ObserverId,
        build: &BuildId,
    ) -> Result<PutBackOutcome, StoreError> {
        let found = Line::Pool(&self.pool)
            .row(|| {
                sqlx::query(include_str!("sql/put_back.sql"))
                    .bind(observer.as_str())
                    .bind(build.as_str())
            })
            .await?
            .ok_or_else(|| corrupt("no row for a delivery that is put back"))?;
        let parked: Option<bool> = BuildRow(&found).get("parked")?;
        Ok(match parked {
            None => PutBackOutcome::NotFound,
            Some(false) => PutBackOutcome::NotParked,
            Some(true) => PutBackOutcome::PutBack,
        })
    }
}
