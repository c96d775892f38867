//! Rows of the database as values, and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Decode, Row, Type};

use crate::build::types::{Build, BuildInput, BuildKind, FailureReason, HoldRef, Status};
use crate::error::{StoreError, StoreErrorKind};
use crate::files::{FilePath, FileSet};
use crate::id::{BuildId, BuildSessionId, IdError, ProjectId, ReservationId, UserId, VersionId};
use crate::locale::Locale;
use crate::postgres::{step_error, unescape};
use crate::seconds::Seconds;
use crate::time::Timestamp;
use crate::token::FencingToken;

/// What the database holds cannot be read.
pub(in crate::build) fn corrupt(
    what: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, what)
}

/// A row with the columns of a build, and maybe others.
pub(in crate::build) struct BuildRow<'r>(pub(in crate::build) &'r PgRow);

impl<'r> BuildRow<'r> {
    pub(in crate::build) fn get<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: Decode<'r, Postgres> + Type<Postgres>,
    {
        self.0.try_get(column).map_err(step_error)
    }

    pub(in crate::build) fn id<T>(
        &self,
        column: &'static str,
        parse: impl Fn(&str) -> Result<T, IdError>,
    ) -> Result<Option<T>, StoreError> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| parse(text).map_err(corrupt)).transpose()
    }

    pub(in crate::build) fn some_id<T>(
        &self,
        column: &'static str,
        parse: impl Fn(&str) -> Result<T, IdError>,
    ) -> Result<T, StoreError> {
        self.id(column, parse)?.ok_or_else(|| corrupt(column))
    }

    fn text(&self, column: &'static str) -> Result<Option<Arc<str>>, StoreError> {
        let text: Option<&str> = self.get(column)?;
        Ok(text.map(|text| unescape(text).into()))
    }

    pub(in crate::build) fn instant(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_millis(self.get(column)?))
    }

    fn seconds(&self, column: &'static str) -> Result<Option<Seconds>, StoreError> {
        let number: Option<i64> = self.get(column)?;
        let Some(number) = number else {
            return Ok(None);
        };
        let number = u64::try_from(number).map_err(corrupt)?;
        Ok(Some(Seconds::new(number).map_err(corrupt)?))
    }

    /// The build, where the row holds one.
    pub(in crate::build) fn build(&self) -> Result<Option<Build>, StoreError> {
        let Some(id) = self.id("build_id", BuildId::parse)? else {
            return Ok(None);
        };
        let token: i64 = self.get("token")?;
        let heartbeat: Option<i64> = self.get("heartbeat_ms")?;
        let hold = match self.id("hold_id", ReservationId::parse)? {
            Some(id) => Some(HoldRef::new(
                id,
                self.seconds("hold_seconds")?
                    .ok_or_else(|| corrupt("hold_seconds"))?,
            )),
            None => None,
        };
        let reason: Option<&str> = self.get("reason")?;
        Ok(Some(Build {
            id,
            version: self.some_id("version_id", VersionId::parse)?,
            user: self.some_id("user_id", UserId::parse)?,
            project: self.some_id("project_id", ProjectId::parse)?,
            session: self.some_id("session_id", BuildSessionId::parse)?,
            kind: parse_kind(self.get("kind")?)?,
            allow_concurrent: self.get("allow_concurrent")?,
            status: parse_status(self.get("status")?)?,
            token: FencingToken::from_u64(u64::try_from(token).map_err(corrupt)?),
            hold,
            reason: reason.map(parse_reason).transpose()?,
            error: self.text("error")?,
            preview_url: self.text("preview_url")?,
            seconds: self.seconds("seconds")?,
            created_at: self.instant("created_ms")?,
            updated_at: self.instant("updated_ms")?,
            heartbeat_at: heartbeat.map(Timestamp::from_millis),
        }))
    }

    /// The build's input, in a row that has it.
    pub(in crate::build) fn input(&self, kind: BuildKind) -> Result<BuildInput, StoreError> {
        let prompt = self.text("prompt")?.ok_or_else(|| corrupt("prompt"))?;
        let mut input = BuildInput::new(kind, prompt, parse_files(self.get("files")?)?);
        input.metadata = self.text("metadata")?;
        input.locale = Locale::from_tag(self.get("locale")?).ok_or_else(|| corrupt("locale"))?;
        Ok(input)
    }
}

/// The place in the queue, in a row that tells it.
pub(super) fn position(row: &BuildRow<'_>) -> Result<u64, StoreError> {
    u64::try_from(row.get::<i64>("queue_position")?).map_err(corrupt)
}

pub(super) const fn kind_text(kind: BuildKind) -> &'static str {
    match kind {
        BuildKind::Create => "create",
        BuildKind::Update => "update",
    }
}

fn parse_kind(text: &str) -> Result<BuildKind, StoreError> {
    [BuildKind::Create, BuildKind::Update]
        .into_iter()
        .find(|kind| kind_text(*kind) == text)
        .ok_or_else(|| corrupt("kind"))
}

fn parse_status(text: &str) -> Result<Status, StoreError> {
    Status::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| corrupt("status"))
}

fn parse_reason(text: &str) -> Result<FailureReason, StoreError> {
    [
        FailureReason::BuildFailed,
        FailureReason::TimedOut,
        FailureReason::Cancelled,
    ]
    .into_iter()
    .find(|reason| reason.as_str() == text)
    .ok_or_else(|| corrupt("reason"))
}

/// `{path: content}` as JSON; a NUL is escaped by JSON itself.
pub(super) fn files_text(files: &FileSet) -> Result<String, StoreError> {
    let map: BTreeMap<&str, &str> = files
        .iter()
        .map(|(path, content)| (path.as_str(), content))
        .collect();
    serde_json::to_string(&map)
        .map_err(|error| StoreError::with_source(StoreErrorKind::Rejected, error))
}

pub(super) fn parse_files(text: &str) -> Result<FileSet, StoreError> {
    let map: BTreeMap<String, String> = serde_json::from_str(text).map_err(corrupt)?;
    map.into_iter()
        .map(|(path, content)| {
            let path = FilePath::parse(&path).map_err(corrupt)?;
            Ok((path, Arc::from(content)))
        })
        .collect()
}
