//! Retention in PostgreSQL. Each method is one statement.

use std::time::Duration;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::postgres::{row, rows};
use sheen_core::time::{Day, Timestamp};
use sqlx::postgres::PgPool;

use super::store::RetentionStore;
use super::types::{DailyCount, DayCount, Removal, Survey, status_of};
use crate::log::{EventStatus, EventType, Visibility};
use crate::postgres::{corrupt, get, unsigned};

/// Retention of the event logs in the database behind the caller's pool, which must have been
/// [migrated](crate::postgres::migrate).
#[derive(Debug, Clone)]
pub struct PgRetention {
    pool: PgPool,
}

impl PgRetention {
    /// Retention in the database behind `pool`.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

/// The types that tell how a build ended.
const ENDS: [EventType; 3] = [
    EventType::DEPLOY_COMPLETED,
    EventType::DEPLOY_FAILED,
    EventType::TASK_FAILED,
];

/// A day as PostgreSQL counts it: within what a `date` holds.
fn day_number(day: Day) -> i64 {
    day.number().clamp(-2_000_000, 2_000_000_000)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[async_trait]
impl RetentionStore for PgRetention {
    async fn survey(&self) -> Result<Survey, StoreError> {
        let found = rows(&self.pool, || sqlx::query(include_str!("sql/survey.sql"))).await?;
        let first = found
            .first()
            .ok_or_else(|| corrupt("no row for a survey"))?;
        let now = Timestamp::from_millis(get(first, "now_ms")?);
        let mut days = Vec::with_capacity(found.len());
        for found in &found {
            if let Some(day) = get::<Option<i64>>(found, "day")? {
                let day = Day::from_number(day);
                days.push(DayCount::new(day, unsigned(found, "events")?));
            }
        }
        Ok(Survey::new(now, days))
    }

    async fn remove(&self, last: Day, age: Duration, limit: u32) -> Result<Removal, StoreError> {
        let types = ENDS.each_ref().map(EventType::as_str);
        let statuses = ENDS.each_ref().map(|kind| status_of(kind).as_str());
        let done = row(&self.pool, || {
            sqlx::query(include_str!("sql/remove.sql"))
                .bind(last.end().as_millis())
                .bind(millis(age))
                .bind(i64::from(limit))
                .bind(types.to_vec())
                .bind(statuses.to_vec())
                .bind(EventStatus::Building.as_str())
        })
        .await?
        .ok_or_else(|| corrupt("no row for a removal"))?;
        let removed: Option<i64> = get(&done, "removed")?;
        removed.map_or(Ok(Removal::TooYoung), |removed| {
            u64::try_from(removed)
                .map(Removal::Removed)
                .map_err(corrupt)
        })
    }

    async fn counts(&self, first: Day, last: Day) -> Result<Vec<DailyCount>, StoreError> {
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/counts.sql"))
                .bind(day_number(first))
                .bind(day_number(last))
        })
        .await?;
        let count = |row| {
            let kind = EventType::parse(get(row, "event_type")?).map_err(corrupt)?;
            let visibility = if get(row, "user_visible")? {
                Visibility::User
            } else {
                Visibility::Operator
            };
            let day = Day::from_number(get(row, "day")?);
            Ok(DailyCount::new(
                day,
                kind,
                visibility,
                unsigned(row, "events")?,
            ))
        };
        found.iter().map(count).collect()
    }
}
