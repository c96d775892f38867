//! Records as rows, and back.

use std::sync::Arc;
use std::time::Duration;

use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId};
use sheen_core::locale::Locale;
use sheen_core::time::Timestamp;
use sheen_core::token::FencingToken;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;

use crate::postgres::{corrupt, get, signed, unsigned};
use crate::recommend::types::{Items, NewRequest, Phase, Record};

/// A record and the version that whoever writes it compares.
pub(super) struct Seen {
    pub(super) record: Record,
    pub(super) version: i64,
}

pub(super) fn instant(row: &PgRow, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    let millis: Option<i64> = get(row, column)?;
    Ok(millis.map(Timestamp::from_millis))
}

pub(super) fn now(row: &PgRow) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_millis(get(row, "now_ms")?))
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

fn phase(row: &PgRow) -> Result<Phase, StoreError> {
    Ok(match get::<&str>(row, "phase")? {
        "queued" => Phase::Queued,
        "running" => Phase::Running,
        "ready" => Phase::Ready(Items::from_json(get(row, "items")?).map_err(corrupt)?),
        "failed" => Phase::Failed(Arc::from(get::<&str>(row, "error")?)),
        _ => return Err(corrupt("an unknown phase")),
    })
}

impl Seen {
    /// The record of a row, `None` where the row has none.
    pub(super) fn of(row: &PgRow) -> Result<Option<Self>, StoreError> {
        let version: Option<i64> = get(row, "version")?;
        let Some(version) = version else {
            return Ok(None);
        };
        let text = |column| get::<&str>(row, column);
        let request = NewRequest::new(
            UserId::parse(text("user_id")?).map_err(corrupt)?,
            ProjectId::parse(text("project_id")?).map_err(corrupt)?,
            BuildId::parse(text("build_id")?).map_err(corrupt)?,
            BuildSessionId::parse(text("session_id")?).map_err(corrupt)?,
        );
        let locale = Locale::from_tag(text("locale")?).unwrap_or_default();
        let quick = Items::from_json(text("quick")?).map_err(corrupt)?;
        let requested_at = Timestamp::from_millis(get(row, "requested_ms")?);
        let mut record = Record::new(request.with_quick(locale, quick), requested_at);
        record.phase = phase(row)?;
        record.attempt = FencingToken::from_u64(unsigned(row, "attempt")?);
        record.started_at = instant(row, "started_ms")?;
        record.ended_at = instant(row, "ended_ms")?;
        record.is_told = get(row, "told")?;
        record.is_closed = get(row, "closed")?;
        Ok(Some(Self { record, version }))
    }
}

/// A write, and what it relies on.
pub(super) struct Put {
    /// The version that was seen; 0 for a record that was not there.
    pub(super) seen: i64,
    /// The queue's version, where the write relies on it.
    pub(super) queue: Option<i64>,
    /// Whether it goes to the end of the order of requests.
    pub(super) anew: bool,
}

impl Put {
    pub(super) fn statement<'q>(
        &self,
        record: &'q Record,
        quick: &'q str,
        items: Option<&'q str>,
    ) -> Query<'q, Postgres, PgArguments> {
        let request = &record.request;
        let (phase, error) = match &record.phase {
            Phase::Queued => ("queued", None),
            Phase::Running => ("running", None),
            Phase::Ready(_) => ("ready", None),
            Phase::Failed(error) => ("failed", Some(&**error)),
        };
        sqlx::query(include_str!("sql/put.sql"))
            .bind(self.seen)
            .bind(self.queue)
            .bind(self.anew)
            .bind(request.project.as_str())
            .bind(request.session.as_str())
            .bind(request.user.as_str())
            .bind(request.build.as_str())
            .bind(request.locale.as_str())
            .bind(quick)
            .bind(phase)
            .bind(items)
            .bind(error)
            .bind(signed(record.attempt.get()))
            .bind(record.requested_at.as_millis())
            .bind(record.started_at.map(Timestamp::as_millis))
            .bind(record.ended_at.map(Timestamp::as_millis))
            .bind(record.is_told)
            .bind(record.is_closed)
    }
}
