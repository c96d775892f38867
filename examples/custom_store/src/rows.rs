//! What is in the tables, and how it becomes what sheen-core decides over.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sheen_core::build::{Build, BuildInput, BuildKind, FailureReason, HoldRef, NewBuild, Status};
use sheen_core::error::StoreError;
use sheen_core::files::{FilePath, FileSet};
use sheen_core::id::{BuildId, BuildSessionId, ProjectId, ReservationId, UserId, VersionId};
use sheen_core::idempotency::{Fingerprint, Progress, Record, StoredAnswer};
use sheen_core::locale::Locale;
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;
use sheen_core::token::FencingToken;

use crate::corrupt;

/// A build, and when it was admitted among all.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BuildRow {
    pub(crate) admission: u64,
    id: BuildId,
    version: VersionId,
    user: UserId,
    project: ProjectId,
    session: BuildSessionId,
    kind: BuildKind,
    allow_concurrent: bool,
    status: Status,
    token: u64,
    hold: Option<(ReservationId, Seconds)>,
    reason: Option<FailureReason>,
    error: Option<String>,
    preview_url: Option<String>,
    seconds: Option<Seconds>,
    created_ms: i64,
    updated_ms: i64,
    heartbeat_ms: Option<i64>,
    /// Until it is claimed or ended.
    pub(crate) input: Option<InputRow>,
}

impl BuildRow {
    pub(crate) fn of(build: &Build, admission: u64, input: Option<InputRow>) -> Self {
        let text = |text: &Arc<str>| text.to_string();
        Self {
            admission,
            id: build.id.clone(),
            version: build.version.clone(),
            user: build.user.clone(),
            project: build.project.clone(),
            session: build.session.clone(),
            kind: build.kind,
            allow_concurrent: build.allow_concurrent,
            status: build.status,
            token: build.token.get(),
            hold: build
                .hold
                .as_ref()
                .map(|hold| (hold.id.clone(), hold.seconds)),
            reason: build.reason,
            error: build.error.as_ref().map(text),
            preview_url: build.preview_url.as_ref().map(text),
            seconds: build.seconds,
            created_ms: build.created_at.as_millis(),
            updated_ms: build.updated_at.as_millis(),
            heartbeat_ms: build.heartbeat_at.map(Timestamp::as_millis),
            input,
        }
    }

    /// A build is made queued and gets what was kept of it: its fields may grow, so that no other
    /// crate can make one out of all of them.
    pub(crate) fn build(&self) -> Build {
        let mut new = NewBuild::new(
            self.id.clone(),
            self.version.clone(),
            self.user.clone(),
            self.project.clone(),
            self.session.clone(),
            BuildInput::new(self.kind, "", FileSet::default()),
        );
        new.allow_concurrent = self.allow_concurrent;
        let hold = self.hold.clone();
        new.hold = hold.map(|(id, seconds)| HoldRef::new(id, seconds));
        let mut build = Build::queued(&new, Timestamp::from_millis(self.created_ms));
        build.status = self.status;
        build.token = FencingToken::from_u64(self.token);
        build.reason = self.reason;
        build.error = self.error.as_deref().map(Arc::from);
        build.preview_url = self.preview_url.as_deref().map(Arc::from);
        build.seconds = self.seconds;
        build.updated_at = Timestamp::from_millis(self.updated_ms);
        build.heartbeat_at = self.heartbeat_ms.map(Timestamp::from_millis);
        build
    }
}

/// What a build works on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InputRow {
    kind: BuildKind,
    prompt: String,
    files: Files,
    metadata: Option<String>,
    locale: String,
}

impl InputRow {
    pub(crate) fn of(input: &BuildInput) -> Self {
        Self {
            kind: input.kind,
            prompt: input.prompt.to_string(),
            files: Files::of(&input.files),
            metadata: input.metadata.as_deref().map(str::to_owned),
            locale: input.locale.as_str().to_owned(),
        }
    }

    pub(crate) fn input(self) -> Result<BuildInput, StoreError> {
        let mut input = BuildInput::new(self.kind, self.prompt, self.files.set()?);
        input.metadata = self.metadata.map(Arc::from);
        input.locale = Locale::from_tag(&self.locale).ok_or_else(|| corrupt("a language"))?;
        Ok(input)
    }
}

/// A project's files by path.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Files(BTreeMap<String, String>);

impl Files {
    pub(crate) fn of(files: &FileSet) -> Self {
        let pairs = files.iter();
        Self(
            pairs
                .map(|(path, content)| (path.to_string(), content.to_owned()))
                .collect(),
        )
    }

    pub(crate) fn set(&self) -> Result<FileSet, StoreError> {
        let pairs = self.0.iter().map(|(path, content)| {
            let path = FilePath::parse(path).map_err(corrupt)?;
            Ok((path, Arc::from(content.as_str())))
        });
        pairs.collect::<Result<Vec<_>, _>>().map(FileSet::from_iter)
    }
}

/// Whose a project is, and what it is made of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProjectRow {
    pub(crate) owner: UserId,
    pub(crate) files: Files,
    /// The build admitted last.
    pub(crate) latest: BuildId,
}

/// A key's record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    fingerprint: [u8; 32],
    token: u64,
    ends_ms: i64,
    answer: Option<AnswerRow>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AnswerRow {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    request_id: String,
}

impl KeyRow {
    pub(crate) fn of(record: &Record) -> Self {
        let answer = match &record.progress {
            Progress::Running { .. } => None,
            Progress::Done { answer, .. } => Some(AnswerRow {
                status: answer.status,
                headers: answer
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_string()))
                    .collect(),
                body: answer.body.to_vec(),
                request_id: answer.request_id.to_string(),
            }),
        };
        Self {
            fingerprint: *record.fingerprint.as_bytes(),
            token: record.token.get(),
            ends_ms: record.ends_at().as_millis(),
            answer,
        }
    }

    pub(crate) fn record(self) -> Result<Record, StoreError> {
        let end = Timestamp::from_millis(self.ends_ms);
        let progress = match self.answer {
            None => Progress::Running { expires_at: end },
            Some(answer) => {
                let headers = answer.headers.into_iter();
                let headers = headers.map(|(name, value)| (name.into(), value.into()));
                let answer = StoredAnswer::new(
                    answer.status,
                    headers.collect(),
                    answer.body,
                    answer.request_id,
                );
                Progress::Done {
                    answer: answer.map_err(corrupt)?,
                    forget_at: end,
                }
            }
        };
        Ok(Record::new(
            Fingerprint::from_bytes(self.fingerprint),
            FencingToken::from_u64(self.token),
            progress,
        ))
    }
}
