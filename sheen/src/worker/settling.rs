//! What a settlement does beyond its step: builders stop, readers look, observers hear. It runs in
//! a task of its own, so that no caller can take half of it away.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use sheen_core::build::{Build, BuildReader, Finish, FinishOutcome};
use sheen_core::error::StoreError;
use sheen_core::id::BuildId;
use sheen_events::wake::Wake;

use super::observer::Observers;
use crate::admission::{Admission, Charge, SettleOutcome, Settled};
use crate::stop::Stop;

/// The most settlements without an answer that are remembered; one more is logged only.
const MAX_UNANSWERED: usize = 10_000;

#[derive(Debug)]
pub(super) struct Settling {
    pub(super) admission: Arc<dyn Admission>,
    pub(super) wake: Arc<dyn Wake>,
    pub(super) observers: Observers,
    /// Builds that this process works on. Bounded by the runner's concurrency.
    pub(super) running: Mutex<HashMap<BuildId, Stop>>,
    /// Builds that may have been settled here: the answer was lost. Observers are yet to hear.
    pub(super) unanswered: Mutex<HashSet<BuildId>>,
    /// Rung when a build may have been queued, or a project's slot is free.
    pub(super) queue: Event,
}

impl Settling {
    pub(super) async fn settle(&self, finish: Finish) -> Result<SettleOutcome, StoreError> {
        let id = finish.build.clone();
        let outcome = self.admission.settle(finish).await;
        let outcome = outcome.inspect_err(|_| self.is_unanswered(&id))?;
        match &outcome {
            SettleOutcome::Settled(settled) => {
                self.unanswered().remove(&id);
                self.announce(settled);
            }
            // It is over, by whomever and whenever: the first answer may have been lost on its
            // way, and with it what should have followed.
            SettleOutcome::Unchanged(
                FinishOutcome::Fenced(build)
                | FinishOutcome::AlreadySo(build)
                | FinishOutcome::AlreadyEnded(build),
            ) => {
                self.wake.ring(&id);
                self.stop_running(&id);
                self.has_ended(build);
            }
            SettleOutcome::Unchanged(_) => {}
        }
        Ok(outcome)
    }

    fn is_unanswered(&self, build: &BuildId) {
        let mut unanswered = self.unanswered();
        if unanswered.len() < MAX_UNANSWERED {
            unanswered.insert(build.clone());
        } else {
            tracing::error!(build_id = %build, "observers may not hear of this build: too many settlements failed");
        }
    }

    /// Tells observers of a build whose settlement had no answer, if it is over.
    fn has_ended(&self, build: &Build) {
        if !build.status.is_active() && self.unanswered().remove(&build.id) {
            self.announce(&Settled::new(build.clone(), Charge::Unknown));
        }
    }

    /// Looks what became of the settlements that had no answer.
    pub(super) async fn ask_again(&self, builds: &dyn BuildReader) -> Result<(), StoreError> {
        let unanswered: Vec<BuildId> = self.unanswered().iter().cloned().collect();
        for id in unanswered {
            match builds.get(&id).await? {
                Some(found) => self.has_ended(&found.build),
                None => _ = self.unanswered().remove(&id),
            }
        }
        Ok(())
    }

    fn announce(&self, settled: &Settled) {
        let build = &settled.build;
        tracing::info!(build_id = %build.id, user_id = %build.user, project_id = %build.project,
            status = build.status.as_str(), reason = build.reason.map(|reason| reason.as_str()),
            charge = ?settled.charge, "build settled");
        self.wake.ring(&build.id);
        self.stop_running(&build.id);
        self.observers.notify(settled);
        self.queue.notify(usize::MAX);
    }

    fn stop_running(&self, build: &BuildId) {
        if let Some(stop) = self.running().get(build) {
            stop.stop();
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, HashSet<BuildId>> {
        self.unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn running(&self) -> MutexGuard<'_, HashMap<BuildId, Stop>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
