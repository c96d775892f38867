//! What a service supplies: the thing that builds.
//!
//! A [`Builder`] gets a build's files and prompt, reports events while it works, and says at the
//! end how it went. Everything else — claiming, heartbeats, fencing, money, the last event — is
//! the [runner's](crate::runner).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future;
use sheen_core::build::{Build, BuildInput};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::runtime::Sleep;
use sheen_core::seconds::Seconds;
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, AppendOutcome, EventDataError, EventType, NewEvent};

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

/// Whether a failed append is worth another try: a log that is full stays full.
const fn may_pass(error: &StoreError) -> bool {
    error.is_transient() && !matches!(error.kind, StoreErrorKind::Full)
}

/// Takes a builder's events and tells it when to stop.
///
/// A log that fails for a moment costs no build: an append is tried again for [`PATIENCE`], under
/// one key, so that events whose answer was lost are not logged twice.
///
/// [`PATIENCE`]: Progress::PATIENCE
#[derive(Debug, Clone)]
pub struct Progress {
    pub(crate) worker: Arc<Worker>,
    pub(crate) build: Build,
    pub(crate) token: FencingToken,
    pub(crate) stop: Stop,
    pub(crate) sleep: Arc<dyn Sleep>,
    /// Appends so far, of this and all its clones.
    pub(crate) appends: Arc<AtomicU64>,
}

impl Progress {
    /// For how long an append whose log fails is tried again, as the sum of the pauses: 30 s.
    pub const PATIENCE: Duration = Duration::from_secs(30);

    const FIRST_WAIT: Duration = Duration::from_millis(100);
    const LONGEST_WAIT: Duration = Duration::from_secs(2);

    /// Reports an event: its type, its text for people, and what else stands in its data.
    ///
    /// # Errors
    /// When the build was stopped, the event is too large, or the log failed for longer than
    /// [`PATIENCE`](Self::PATIENCE).
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
        let number = self.appends.fetch_add(1, Ordering::Relaxed);
        let key = format!("progress {} {number}", self.token);
        let append = Append::new(self.build.id.clone(), self.token, events).with_key(key);
        let (mut wait, mut waited) = (Self::FIRST_WAIT, Duration::ZERO);
        loop {
            if self.stop.is_stopped() {
                return Err(ProgressError::Stopped);
            }
            match self.worker.append(append.clone()).await {
                Ok(AppendOutcome::Appended(_) | AppendOutcome::Duplicate(_)) => return Ok(()),
                Ok(_) => return Err(ProgressError::Stopped),
                Err(error) if !may_pass(&error) || waited >= Self::PATIENCE => {
                    return Err(error.into());
                }
                Err(error) => {
                    tracing::warn!(build_id = %self.build.id, %error, "append failed, trying again");
                }
            }
            future::select(self.sleep.sleep(wait), Box::pin(self.stop.stopped())).await;
            waited += wait;
            wait = (wait * 2).min(Self::LONGEST_WAIT);
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
