//! What a settlement does beyond its step: builders stop, readers look, observers hear. It runs in
//! a task of its own, so that no caller can take half of it away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use sheen_core::build::{Finish, FinishOutcome};
use sheen_core::error::StoreError;
use sheen_core::id::BuildId;
use sheen_events::wake::Wake;

use super::observer::Observers;
use crate::admission::{Admission, SettleOutcome, Settled};
use crate::stop::Stop;

#[derive(Debug)]
pub(super) struct Settling {
    pub(super) admission: Arc<dyn Admission>,
    pub(super) wake: Arc<dyn Wake>,
    pub(super) observers: Observers,
    /// Builds that this process works on. Bounded by the runner's concurrency.
    pub(super) running: Mutex<HashMap<BuildId, Stop>>,
    /// Rung when a build may have been queued, or a project's slot is free.
    pub(super) queue: Event,
}

impl Settling {
    pub(super) async fn settle(&self, finish: Finish) -> Result<SettleOutcome, StoreError> {
        let id = finish.build.clone();
        let outcome = self.admission.settle(finish).await?;
        match &outcome {
            SettleOutcome::Settled(settled) => self.announce(settled),
            // It is over, by whomever and whenever: the first answer may have been lost on its
            // way, and with it what should have followed.
            SettleOutcome::Unchanged(
                FinishOutcome::Fenced(_)
                | FinishOutcome::AlreadySo(_)
                | FinishOutcome::AlreadyEnded(_),
            ) => {
                self.wake.ring(&id);
                self.stop_running(&id);
            }
            SettleOutcome::Unchanged(_) => {}
        }
        Ok(outcome)
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

    pub(super) fn running(&self) -> MutexGuard<'_, HashMap<BuildId, Stop>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
