//! Records as rows, and back.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Decode, Row, Type};

use crate::error::{StoreError, StoreErrorKind};
use crate::idempotency::decide::{Progress, Record};
use crate::idempotency::types::{Fingerprint, IdempotencyKey, Scope, StoredAnswer};
use crate::postgres::{escape, step_error, unescape};
use crate::time::Timestamp;
use crate::token::FencingToken;

/// What the database holds cannot be read.
pub(super) fn corrupt(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, what)
}

pub(super) fn get<'r, T>(row: &'r PgRow, column: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(column).map_err(step_error)
}

/// A sequence of `bigint` draws no token that does not fit.
pub(super) fn number(token: FencingToken) -> i64 {
    i64::try_from(token.get()).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

fn token(row: &PgRow) -> Result<Option<FencingToken>, StoreError> {
    let token: Option<i64> = get(row, "token")?;
    token
        .map(|token| {
            Ok(FencingToken::from_u64(
                u64::try_from(token).map_err(corrupt)?,
            ))
        })
        .transpose()
}

fn ends_at(row: &PgRow) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_millis(get(row, "ends_ms")?))
}

/// A key as a decision sees it.
pub(super) struct Seen {
    pub(super) record: Option<Record>,
    pub(super) now: Timestamp,
    /// Another caller's transaction is busy with the key.
    pub(super) held: bool,
}

impl Seen {
    /// A key nobody used yet: what a first call takes its own to be.
    pub(super) const fn absent() -> Self {
        Self {
            record: None,
            now: Timestamp::EPOCH,
            held: false,
        }
    }

    /// What a row shows that has the columns of a record and `now_ms`.
    pub(super) fn of(row: &PgRow, held: bool) -> Result<Self, StoreError> {
        let record = match token(row)? {
            None => None,
            Some(token) => {
                let fingerprint: &[u8] = get(row, "fingerprint")?;
                let fingerprint = Fingerprint::from_bytes(fingerprint.try_into().map_err(corrupt)?);
                let ends_at = ends_at(row)?;
                let progress = match answer(row)? {
                    None => Progress::Running {
                        expires_at: ends_at,
                    },
                    Some(answer) => Progress::Done {
                        answer,
                        forget_at: ends_at,
                    },
                };
                Some(Record::new(fingerprint, token, progress))
            }
        };
        Ok(Self {
            record,
            now: Timestamp::from_millis(get(row, "now_ms")?),
            held,
        })
    }
}

fn answer(row: &PgRow) -> Result<Option<StoredAnswer>, StoreError> {
    let status: Option<i16> = get(row, "status")?;
    let Some(status) = status else {
        return Ok(None);
    };
    let status = u16::try_from(status).map_err(corrupt)?;
    let headers: Vec<(String, String)> =
        serde_json::from_str(get(row, "headers")?).map_err(corrupt)?;
    let headers = headers
        .into_iter()
        .map(|(name, value)| (Arc::from(name), Arc::from(value)))
        .collect();
    let body: &[u8] = get(row, "body")?;
    let request_id = unescape(get(row, "request_id")?);
    let answer = StoredAnswer::new(status, headers, body, &*request_id);
    answer.map(Some).map_err(corrupt)
}

/// One write of a record, and what it relies on.
pub(super) struct Put<'a> {
    scope: &'a Scope,
    key: &'a IdempotencyKey,
    seen: Option<&'a Record>,
    life: Duration,
    /// A new holder's call; `None` keeps call and token.
    pub(super) begins: Option<Fingerprint>,
    /// `None` while the call runs.
    pub(super) answer: Option<&'a StoredAnswer>,
}

impl<'a> Put<'a> {
    /// Writes a record that lives for `life`, where `seen` still is what there is.
    pub(super) const fn new(
        scope: &'a Scope,
        key: &'a IdempotencyKey,
        seen: Option<&'a Record>,
        life: Duration,
    ) -> Self {
        Self {
            scope,
            key,
            seen,
            life,
            begins: None,
            answer: None,
        }
    }

    /// The answer's headers as text. The text of [`Self::statement`]'s argument.
    pub(super) fn headers(&self) -> Result<Option<String>, StoreError> {
        self.answer
            .map(|answer| {
                let headers: Vec<(&str, &str)> = answer
                    .headers
                    .iter()
                    .map(|(name, value)| (&**name, &**value))
                    .collect();
                serde_json::to_string(&headers)
            })
            .transpose()
            .map_err(|error| StoreError::with_source(StoreErrorKind::Rejected, error))
    }

    pub(super) fn statement<'q>(
        &'q self,
        headers: Option<&'q str>,
    ) -> Query<'q, Postgres, PgArguments> {
        // A beginning relies on the seen record's end, and on the clock having reached it; a
        // lease's holder relies on neither.
        let seen_end = self.seen.map(|seen| seen.ends_at().as_millis());
        let relied_end = self.begins.and(seen_end);
        let done = |seen: &Record| matches!(seen.progress, Progress::Done { .. });
        sqlx::query(include_str!("sql/put.sql"))
            .bind(self.scope.principal.as_str())
            .bind(self.scope.user.as_str())
            .bind(self.key.as_str())
            .bind(self.seen.map(|seen| number(seen.token)))
            .bind(self.seen.map(done))
            .bind(relied_end)
            .bind(relied_end)
            .bind(self.begins.is_some())
            .bind(self.begins.map(|call| call.as_bytes().to_vec()))
            .bind(millis(self.life))
            .bind(self.answer.map(|answer| answer.status.cast_signed()))
            .bind(headers)
            .bind(self.answer.map(|answer| &*answer.body))
            .bind(self.answer.map(|answer| escape(&answer.request_id)))
    }
}

/// What came of an apply statement.
pub(super) enum Written {
    Hit {
        token: FencingToken,
        ends_at: Timestamp,
    },
    Miss(Seen),
}

impl Written {
    pub(super) fn of(row: &PgRow) -> Result<Self, StoreError> {
        if get(row, "hit")? {
            return Ok(Self::Hit {
                token: token(row)?.ok_or_else(|| corrupt("token"))?,
                ends_at: ends_at(row)?,
            });
        }
        Ok(Self::Miss(Seen::of(row, get(row, "held")?)?))
    }
}
