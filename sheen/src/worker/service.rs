//! The worker: the family's steps under one name.

use std::sync::{Arc, Mutex};

use event_listener::{Event, EventListener};
use futures_channel::oneshot;
use sheen_billing::account::Reserve;
use sheen_billing::estimate::{self, Estimate, Estimator, OperationType, ProjectSize};
use sheen_core::build::{
    Authority, BeatOutcome, BuildKind, BuildReader, Claimed, Ending, FailureReason, Finish,
    NewBuild, ProjectLatest, Queued,
};
use sheen_core::entropy::Entropy;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId, VersionId, WorkerId};
use sheen_core::mode::BuildPermit;
use sheen_core::runtime::{Sleep, Spawn};
use sheen_core::time::Clock;
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, AppendOutcome, EventLog, EventType, NewEvent};
use sheen_events::wake::Wake;

use super::observer::{Observers, SettledObserver};
use super::settling::Settling;
use super::types::Start;
use crate::admission::{Admission, Admit, AdmitOutcome, ProjectReserveOutcome, SettleOutcome};
use crate::measuring::operation_of;
use crate::stop::Stop;

/// What a worker is made of.
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "wiring: a new part must be noticed"
)]
pub struct Parts {
    /// The atomic steps.
    pub admission: Arc<dyn Admission>,
    /// Reading builds.
    pub builds: Arc<dyn BuildReader>,
    /// The builds' events.
    pub log: Arc<dyn EventLog>,
    /// Telling readers to look.
    pub wake: Arc<dyn Wake>,
    /// The wall clock, for naming sessions.
    pub clock: Arc<dyn Clock>,
    /// Random bytes, for ids.
    pub entropy: Arc<dyn Entropy>,
    /// Tasks beside the caller.
    pub spawn: Arc<dyn Spawn>,
    /// Waiting.
    pub sleep: Arc<dyn Sleep>,
    /// Who hears of settled builds.
    pub observers: Vec<Arc<dyn SettledObserver>>,
}

/// Admits, steps, settles and reads builds. Share it behind an `Arc`.
#[derive(Debug)]
pub struct Worker {
    builds: Arc<dyn BuildReader>,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    spawn: Arc<dyn Spawn>,
    settling: Arc<Settling>,
    estimator: Option<Arc<Estimator>>,
}

impl Worker {
    /// A worker of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            builds: parts.builds,
            log: parts.log,
            clock: parts.clock,
            entropy: parts.entropy,
            settling: Arc::new(Settling {
                admission: parts.admission,
                wake: parts.wake,
                observers: Observers::new(parts.observers, Arc::clone(&parts.spawn), parts.sleep),
                running: Mutex::default(),
                unanswered: Mutex::default(),
                queue: Event::new(),
            }),
            spawn: parts.spawn,
            estimator: None,
        }
    }

    /// The same, with estimates from what was measured
    /// ([`MeasureBuilds`](crate::measuring::MeasureBuilds)) instead of by default.
    #[must_use]
    pub fn with_estimator(mut self, estimator: Arc<Estimator>) -> Self {
        self.estimator = Some(estimator);
        self
    }

    /// How long `operation` on a project of `size` takes.
    ///
    /// # Errors
    /// When the store of samples fails and never answered before.
    pub async fn estimate(
        &self,
        operation: OperationType,
        size: ProjectSize,
    ) -> Result<Estimate, StoreError> {
        match &self.estimator {
            Some(estimator) => estimator.estimate(operation, size).await,
            None => Ok(estimate::estimate(operation, size)),
        }
    }

    /// Admits a build: once per key and session, one at a time per project, paid for. What it
    /// holds is the estimate for the operation and the size of the project's files.
    ///
    /// # Errors
    /// When a store fails; repeat the call with the same key or session.
    pub async fn start(
        &self,
        _permit: BuildPermit,
        start: Start,
    ) -> Result<AdmitOutcome, StoreError> {
        let size = ProjectSize::of_files(self.files_of(&start).await?);
        let estimate = self.estimate(operation_of(start.input.kind), size).await?;
        let seconds = estimate.estimated_seconds;
        let session = start.session.unwrap_or_else(|| {
            BuildSessionId::generate(&start.project, self.clock.now(), &*self.entropy)
        });
        let mut build = NewBuild::new(
            BuildId::generate(&*self.entropy),
            VersionId::generate(&*self.entropy),
            start.user,
            start.project,
            session,
            start.input,
        );
        build.allow_concurrent = start.allow_concurrent;
        let id = build.id.clone();
        let outcome = self
            .settling
            .admission
            .admit(Admit::new(start.call, build, seconds, start.render))
            .await?;
        if let AdmitOutcome::Admitted(admitted, _) = &outcome {
            let build = &admitted.queued.build;
            tracing::info!(build_id = %id, user_id = %build.user, project_id = %build.project,
                seconds = seconds.get(), "build admitted");
            self.settling.queue.notify(usize::MAX);
            self.settling.wake.ring(&id);
        }
        Ok(outcome)
    }

    /// How many files the project will have. Another update may come between this and the step:
    /// then the estimate is for the files as they were.
    async fn files_of(&self, start: &Start) -> Result<usize, StoreError> {
        let files = &start.input.files;
        if start.input.kind != BuildKind::Update {
            return Ok(files.len());
        }
        let known = self.builds.project_files(&start.project).await?;
        Ok(known.overlaid_by(files).len())
    }

    /// Holds seconds for a project of the user's, or for no project.
    ///
    /// # Errors
    /// When a store fails; repeat the call.
    pub async fn reserve(&self, reserve: Reserve) -> Result<ProjectReserveOutcome, StoreError> {
        self.settling.admission.reserve(reserve).await
    }

    /// Takes the oldest queued build, if there is one.
    ///
    /// # Errors
    /// When a store fails.
    pub async fn claim(&self, worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
        let claimed = self.settling.admission.claim(worker).await?;
        if let Some(claimed) = &claimed {
            let build = &claimed.build;
            tracing::info!(build_id = %build.id, user_id = %build.user, project_id = %build.project,
                token = %build.token, waited_ms = claimed.waited.as_millis(), "build claimed");
            self.settling.wake.ring(&build.id);
        }
        Ok(claimed)
    }

    /// Appends a claim's events to its build's log. How a build ends is said by
    /// [`finish`](Self::finish) alone, once: events of those types are refused here.
    ///
    /// # Errors
    /// When the log fails, or an event says that the build ended.
    pub async fn step(
        &self,
        build: &BuildId,
        token: FencingToken,
        events: Vec<NewEvent>,
    ) -> Result<AppendOutcome, StoreError> {
        self.append(Append::new(build.clone(), token, events)).await
    }

    /// As [`step`](Self::step); with a key it can be repeated, and its events are logged once.
    pub(crate) async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError> {
        let ends = [EventType::DEPLOY_COMPLETED, EventType::DEPLOY_FAILED];
        if append.events.iter().any(|event| ends.contains(&event.kind)) {
            return Err(StoreError::new(StoreErrorKind::Rejected));
        }
        let build = append.build.clone();
        let outcome = self.log.append(append).await?;
        // Of a repeat, too: the ring may have been lost with the answer.
        if matches!(
            outcome,
            AppendOutcome::Appended(_) | AppendOutcome::Duplicate(_)
        ) {
            self.settling.wake.ring(&build);
        }
        Ok(outcome)
    }

    /// Keeps a claim alive, and its hold with it.
    ///
    /// # Errors
    /// When a store fails.
    pub async fn heartbeat(
        &self,
        build: &BuildId,
        token: FencingToken,
    ) -> Result<BeatOutcome, StoreError> {
        self.settling.admission.beat(build, token).await
    }

    /// Ends a claim's build.
    ///
    /// # Errors
    /// When a store fails; repeat the call until it answers.
    pub async fn finish(
        &self,
        build: &BuildId,
        token: FencingToken,
        ending: Ending,
    ) -> Result<SettleOutcome, StoreError> {
        self.settle(Finish::new(build.clone(), Authority::Claim(token), ending))
            .await
    }

    /// Calls a build off for its owner.
    ///
    /// # Errors
    /// When a store fails; repeat the call.
    pub async fn cancel(
        &self,
        user: &UserId,
        build: &BuildId,
    ) -> Result<SettleOutcome, StoreError> {
        let ending = Ending::Failed {
            reason: FailureReason::Cancelled,
            error: "The build was cancelled.".into(),
        };
        self.settle(Finish::new(
            build.clone(),
            Authority::Owner(user.clone()),
            ending,
        ))
        .await
    }

    /// Ends builds whose queue or heartbeat deadline has passed, at most `limit`; says how many.
    /// One that cannot be ended now is left for the next sweep and holds no other up. Observers hear
    /// of settlements whose answer was lost.
    ///
    /// # Errors
    /// When the store does not say which builds are overdue.
    pub async fn sweep(&self, limit: u32) -> Result<u32, StoreError> {
        self.settling.ask_again(&*self.builds).await?;
        let mut ended = 0;
        for build in self.builds.overdue(limit).await? {
            let ending = Ending::Failed {
                reason: FailureReason::TimedOut,
                error: "The build took too long and was stopped.".into(),
            };
            let finish = Finish::new(build.id.clone(), Authority::Sweep, ending);
            match self.settle(finish).await {
                Ok(SettleOutcome::Settled(_)) => ended += 1,
                Ok(SettleOutcome::Unchanged(_)) => {}
                Err(error) => {
                    tracing::warn!(build_id = %build.id, %error, "an overdue build was not ended");
                }
            }
        }
        Ok(ended)
    }

    /// Settles in a task of its own: a caller that goes away takes neither the settlement nor
    /// what follows from it along.
    async fn settle(&self, finish: Finish) -> Result<SettleOutcome, StoreError> {
        let settling = Arc::clone(&self.settling);
        let (answer, answered) = oneshot::channel();
        self.spawn.spawn(Box::pin(async move {
            // Nobody may be left to hear it.
            let _ = answer.send(settling.settle(finish).await);
        }));
        let lost = StoreError::with_source(StoreErrorKind::OutcomeUnknown, "the task ended early");
        answered.await.unwrap_or(Err(lost))
    }

    /// The user's build and its place in the queue; `None` for another user's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn build(
        &self,
        user: &UserId,
        build: &BuildId,
    ) -> Result<Option<Queued>, StoreError> {
        let found = self.builds.get(build).await?;
        Ok(found.filter(|queued| queued.build.user == *user))
    }

    /// The user's of `projects`, each with the build admitted last, in the order asked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn latest_builds(
        &self,
        user: &UserId,
        projects: &[ProjectId],
    ) -> Result<Vec<ProjectLatest>, StoreError> {
        let mut found = self.builds.latest(projects).await?;
        found.retain(|project| project.owner == *user);
        Ok(found)
    }

    /// Who owns `project`, if anyone does.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn owner(&self, project: &ProjectId) -> Result<Option<UserId>, StoreError> {
        self.builds.owner(project).await
    }

    /// Completes when a build may have been queued since the listener was made.
    pub(crate) fn listen_to_queue(&self) -> EventListener {
        self.settling.queue.listen()
    }

    pub(crate) fn run_begins(&self, build: &BuildId, stop: Stop) {
        self.settling.running().insert(build.clone(), stop);
    }

    pub(crate) fn run_ends(&self, build: &BuildId) {
        self.settling.running().remove(build);
    }

    /// Completes when every observer has heard of every build settled until now, or was given up.
    pub(crate) async fn observers_heard(&self) {
        self.settling.observers.all_heard().await;
    }
}
