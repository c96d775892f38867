//! What a service supplies: the thing that builds.
//!
//! A [`Builder`] gets a build's files and prompt, reports events while it works, and says at the
//! end how it went. Everything else — claiming, heartbeats, fencing, money, the last event — is
//! the [runner's](crate::runner).

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sheen_core::build::{Build, BuildInput};
use sheen_core::error::StoreError;
use sheen_core::seconds::Seconds;
use sheen_core::token::FencingToken;
use sheen_events::log::{AppendOutcome, EventDataError, EventType, NewEvent};

use crate::stop::Stop;
use crate::worker::Worker;

/// Builds what a person asked for.
#[async_trait]
pub trait Builder: fmt::Debug + Send + Sync + 'static {
    /// Builds `job`, telling `progress` what happens. When [`Progress::stopped`] completes, the
    /// build is over already: clean up and return, whatever is returned then is not used. A future
    /// that does not return soon after is dropped.
    ///
    /// # Errors
    /// When the build failed; the text is shown to the person.
    async fn build(&self, job: &Job, progress: &Progress) -> Result<Built, BuildError>;
}

/// A build to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Job {
    /// The build.
    pub build: Build,
    /// What to build.
    pub input: BuildInput,
}

impl Job {
    /// `build` of `input`.
    #[must_use]
    pub const fn new(build: Build, input: BuildInput) -> Self {
        Self { build, input }
    }
}

/// A good end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Built {
    /// Where the result can be seen.
    pub preview_url: Arc<str>,
    /// How many AI seconds were used. They are charged, even beyond the estimate.
    pub seconds: Seconds,
}

impl Built {
    /// The result at `preview_url`, for `seconds`.
    pub fn new(preview_url: impl Into<Arc<str>>, seconds: Seconds) -> Self {
        Self {
            preview_url: preview_url.into(),
            seconds,
        }
    }
}

/// A bad end: the build fails as `BUILD_FAILED` with this text, and nothing is charged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct BuildError {
    /// What went wrong, for people.
    pub message: Arc<str>,
}

impl BuildError {
    /// A failure, in words for people.
    pub fn new(message: impl Into<Arc<str>>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl From<ProgressError> for BuildError {
    fn from(error: ProgressError) -> Self {
        Self::new(error.to_string())
    }
}

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgressError {
    /// The build is not this claim's any more: stop.
    #[error("the build was stopped")]
    Stopped,
    /// The event is not one.
    #[error("the event cannot be logged")]
    Event(#[from] EventDataError),
    /// The log failed.
    #[error("the event log failed")]
    Store(#[from] StoreError),
}

/// Takes a builder's events and tells it when to stop.
#[derive(Debug, Clone)]
pub struct Progress {
    pub(crate) worker: Arc<Worker>,
    pub(crate) build: Build,
    pub(crate) token: FencingToken,
    pub(crate) stop: Stop,
}

impl Progress {
    /// Reports an event: its type, its text for people, and what else stands in its data.
    ///
    /// # Errors
    /// When the build was stopped, the event is too large, or the log failed.
    pub async fn report(
        &self,
        kind: EventType,
        message: &str,
        data: serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), ProgressError> {
        let mut data = data;
        data.insert("message".to_owned(), message.into());
        self.append(vec![NewEvent::new(kind, &data)?]).await
    }

    /// Reports a line of output, as `build_log`.
    ///
    /// # Errors
    /// As [`Self::report`].
    pub async fn log(&self, line: &str) -> Result<(), ProgressError> {
        self.report(EventType::BUILD_LOG, line, serde_json::Map::new())
            .await
    }

    /// Reports several events in one step.
    ///
    /// # Errors
    /// As [`Self::report`].
    pub async fn append(&self, events: Vec<NewEvent>) -> Result<(), ProgressError> {
        if self.stop.is_stopped() {
            return Err(ProgressError::Stopped);
        }
        match self.worker.step(&self.build.id, self.token, events).await? {
            AppendOutcome::Appended(_) | AppendOutcome::Duplicate(_) => Ok(()),
            _ => Err(ProgressError::Stopped),
        }
    }

    /// Whether the build is over already.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Completes when the build is over: cancelled, taken over, or the process shuts down.
    pub async fn stopped(&self) {
        self.stop.stopped().await;
    }
}
