//! Rows of the database as values.

use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::postgres::step_error;
use sheen_core::time::Timestamp;
use sheen_core::token::FencingToken;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Decode, Row, Type};

use crate::log::decide::StreamPosition;
use crate::log::types::{Event, EventType, NewEvent, StreamHead, Visibility};

/// What the database holds cannot be read.
pub(super) fn corrupt(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, what)
}

/// A row with columns of a stream, of an event, or both.
pub(super) struct EventRow<'r>(pub(super) &'r PgRow);

/// What a named append wrote: after the first number, up to the second.
pub(super) struct Done {
    pub(super) head: (i64, i64),
    pub(super) hidden: (i64, i64),
}

impl<'r> EventRow<'r> {
    pub(super) fn get<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: Decode<'r, Postgres> + Type<Postgres>,
    {
        self.0.try_get(column).map_err(step_error)
    }

    fn number(&self, column: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.get::<i64>(column)?).map_err(corrupt)
    }

    pub(super) fn instant(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_millis(self.get(column)?))
    }

    fn ended_by(&self) -> Result<Option<EventType>, StoreError> {
        let kind: Option<&str> = self.get("ended_by")?;
        kind.map(|kind| EventType::parse(kind).map_err(corrupt))
            .transpose()
    }

    /// The stream, where the row holds one.
    pub(super) fn head(&self) -> Result<Option<StreamHead>, StoreError> {
        if self.get::<Option<&str>>("build_id")?.is_none() {
            return Ok(None);
        }
        let user = UserId::parse(self.get("user_id")?).map_err(corrupt)?;
        let session = BuildSessionId::parse(self.get("session_id")?).map_err(corrupt)?;
        let mut head = StreamHead::new(user, session, self.number("epoch")?);
        head.head = self.number("head")?;
        head.floor = self.number("floor")?;
        head.closed = self.get("closed")?;
        head.ended_by = self.ended_by()?;
        Ok(Some(head))
    }

    /// The same stream as a decision sees it.
    pub(super) fn position(&self) -> Result<StreamPosition, StoreError> {
        let last: Option<i64> = self.get("last_ms")?;
        Ok(StreamPosition {
            head: self.number("head")?,
            hidden_head: self.number("hidden_head")?,
            last_at: last.map(Timestamp::from_millis),
            token: FencingToken::from_u64(self.number("token")?),
            closed: self.get("closed")?,
            ended_by: self.ended_by()?,
        })
    }

    pub(super) fn done(&self) -> Result<Option<Done>, StoreError> {
        let Some(head_before) = self.get("head_before")? else {
            return Ok(None);
        };
        Ok(Some(Done {
            head: (head_before, self.get("head_after")?),
            hidden: (self.get("hidden_before")?, self.get("hidden_after")?),
        }))
    }

    pub(super) fn event(
        &self,
        build: &BuildId,
        session: &BuildSessionId,
    ) -> Result<Event, StoreError> {
        let seq: i64 = self.get("seq")?;
        let visibility = if seq > 0 {
            Visibility::User
        } else {
            Visibility::Operator
        };
        let event = NewEvent {
            kind: EventType::parse(self.get("event_type")?).map_err(corrupt)?,
            data: self.get::<&str>("data")?.into(),
            visibility,
        };
        let at = self.instant("created_ms")?;
        let (build, session) = (build.clone(), session.clone());
        Ok(Event::new(seq.unsigned_abs(), build, session, at, event))
    }
}
