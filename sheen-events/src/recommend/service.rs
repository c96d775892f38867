//! Asking, reading, and telling streams.

use std::sync::Arc;

use event_listener::{Event, EventListener};
use serde_json::{Map, Value, json};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId};

use super::decide::{next_step, state_of};
use super::provider::WriterToken;
use super::store::{RecommendQueue, RecommendStore};
use super::types::{
    Key, NewRequest, Phase, QueueLimits, RecommendState, Record, RequestOutcome, Source, Step,
};
use crate::log::{Append, AppendOutcome, EventLog, EventType, NewEvent};
use crate::wake::Wake;

/// How often a step is tried at once while the build's token moves.
const TRIES: u32 = 4;

/// What recommendations stand on.
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "wiring: a new part must be noticed"
)]
pub struct RecommendParts {
    /// Asking and reading.
    pub store: Arc<dyn RecommendStore>,
    /// The queue; usually the same store.
    pub queue: Arc<dyn RecommendQueue>,
    /// The streams that are told.
    pub log: Arc<dyn EventLog>,
    /// Under which token they take events.
    pub tokens: Arc<dyn WriterToken>,
    /// Telling readers to look.
    pub wake: Arc<dyn Wake>,
    /// The limits that the store has.
    pub limits: QueueLimits,
}

/// Recommendations of builds. Clones are the same service.
#[derive(Debug, Clone)]
pub struct Recommendations(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: RecommendParts,
    /// Rung when something may have been queued.
    queued: Event,
}

impl Recommendations {
    /// The service of these parts. It takes and reads requests; a
    /// [runner](super::run) works on them.
    #[must_use]
    pub fn new(parts: RecommendParts) -> Self {
        Self(Arc::new(Shared {
            parts,
            queued: Event::new(),
        }))
    }

    /// Asks for recommendations; a repeat within 5 min is the same request.
    ///
    /// # Errors
    /// When the store fails; repeat it.
    pub async fn request(&self, new: NewRequest) -> Result<RequestOutcome, StoreError> {
        let outcome = self.0.parts.store.request(new).await?;
        if matches!(outcome, RequestOutcome::Taken(_)) {
            self.0.queued.notify(usize::MAX);
        }
        Ok(outcome)
    }

    /// How the recommendations of the user's project stand: those of `session`, or the last ones.
    /// `Idle` where nobody asked for any, or another user did.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn state(
        &self,
        user: &UserId,
        project: &ProjectId,
        session: Option<&BuildSessionId>,
    ) -> Result<RecommendState, StoreError> {
        let found = self.0.parts.store.read(user, project, session).await?;
        Ok(match &found {
            Some(record) => state_of(record),
            None => RecommendState::idle(session.cloned()),
        })
    }

    /// The build has ended, and its log was left open for recommendations: ends the log now where
    /// there are none to wait for, else once they have settled, 30 s later at the latest.
    ///
    /// # Errors
    /// When a store fails; repeat it.
    pub async fn build_ended(
        &self,
        project: &ProjectId,
        session: &BuildSessionId,
        build: &BuildId,
    ) -> Result<(), StoreError> {
        let key = Key::new(project.clone(), session.clone());
        let found = self.0.parts.store.build_ended(&key).await?;
        let Some(record) = found.filter(|record| record.request.build == *build) else {
            return self.close(build).await;
        };
        self.settle_stream(record).await
    }

    /// Does for the stream of `record` all that can be done now.
    ///
    /// # Errors
    /// When a store fails; what is left to do is found by the runner.
    pub(super) async fn settle_stream(&self, mut record: Record) -> Result<(), StoreError> {
        // The time plays no part: what is only due by time is the runner's.
        let limits = &self.0.parts.limits;
        while let Some(step) = next_step(&record, record.requested_at, limits) {
            self.step(&record, step).await?;
            record = super::decide::after_step(&record, step);
        }
        Ok(())
    }

    /// Does `step` for the stream of `record` and notes that it was done. Done twice it is done
    /// once.
    ///
    /// # Errors
    /// When a store fails.
    pub(super) async fn step(&self, record: &Record, step: Step) -> Result<(), StoreError> {
        match step {
            Step::Announce => self.announce(record).await?,
            Step::Close => self.close(&record.request.build).await?,
        }
        let queue = &self.0.parts.queue;
        queue.done(&record.key(), record.attempt, step).await
    }

    async fn close(&self, build: &BuildId) -> Result<(), StoreError> {
        self.0.parts.log.close(build).await?;
        self.0.parts.wake.ring(build);
        Ok(())
    }

    /// Appends what came of a record to its build's log. The event has a key, so that two processes
    /// that announce the same thing append it once.
    async fn announce(&self, record: &Record) -> Result<(), StoreError> {
        let build = &record.request.build;
        let key = format!("recommendations {}", record.attempt.get());
        for _ in 0..TRIES {
            let Some(token) = self.0.parts.tokens.token(build).await? else {
                // No such build: there is nobody to tell.
                return Ok(());
            };
            let event = event_of(record)?;
            let append = Append::new(build.clone(), token, vec![event]).with_key(key.as_str());
            let outcome = match self.0.parts.log.append(append).await {
                // It stands in the store, and a log that has no room for it is yet to be closed.
                Err(error) if error.kind == StoreErrorKind::Full => return Ok(()),
                outcome => outcome?,
            };
            match outcome {
                // Claimed or settled in between: its token has moved.
                AppendOutcome::Fenced => {}
                AppendOutcome::Appended(_) => {
                    self.0.parts.wake.ring(build);
                    return Ok(());
                }
                AppendOutcome::Duplicate(_) | AppendOutcome::Closed | AppendOutcome::NotFound => {
                    return Ok(());
                }
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    pub(super) fn queue(&self) -> &dyn RecommendQueue {
        &*self.0.parts.queue
    }

    pub(super) fn limits(&self) -> &QueueLimits {
        &self.0.parts.limits
    }

    /// Completes when something may have been queued since the listener was made.
    pub(super) fn listen(&self) -> EventListener {
        self.0.queued.listen()
    }
}

/// What a settled record is to its build's readers.
fn event_of(record: &Record) -> Result<NewEvent, StoreError> {
    let state = state_of(record);
    let source = state.source.map(Source::as_str);
    let (kind, data) = match &record.phase {
        Phase::Failed(error) => (
            EventType::RECOMMENDATIONS_FAILED,
            json!({
                "message": "There are no recommendations for your site.",
                "reason": "RECOMMENDATIONS_FAILED",
                "error": &**error,
                "readySource": source,
            }),
        ),
        _ => (
            EventType::RECOMMENDATIONS_READY,
            json!({
                "message": "Recommendations for your site are ready.",
                "readySource": source,
                "count": state.recommendations.as_slice().len(),
            }),
        ),
    };
    let data: Map<String, Value> = match data {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    NewEvent::new(kind, &data)
        .map_err(|error| StoreError::with_source(StoreErrorKind::Rejected, error))
}
