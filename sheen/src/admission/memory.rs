//! The steps across rooms over the memory stores: all locks in one order, all decided, all applied.

use std::sync::{Arc, MutexGuard};

use async_trait::async_trait;
use sheen_billing::account::{
    Commit, CommitOutcome, CreditState, Extend, ExtendOutcome, MemoryCreditStore, Release,
    ReleaseOutcome, Reserve, ReserveOutcome,
};
use sheen_core::build::{
    BeatOutcome, Build, BuildState, Claimed, Ending, FailureReason, Finish, FinishOutcome, HoldRef,
    MemoryBuildStore, ProjectClaimOutcome, Queued, StartOutcome,
};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildId, WorkerId};
use sheen_core::idempotency::{
    BeginOutcome, IdempotencyState, MemoryIdempotencyStore, StoredAnswer,
};
use sheen_core::time::{Clock, Timestamp};
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, AppendOutcome, LogState, MemoryEventLog, NewStream};

use super::events;
use super::store::Admission;
use super::types::{
    Admit, AdmitOutcome, Admitted, Charge, ProjectReserveOutcome, SettleOutcome, Settled,
    operation_id,
};

/// Admission over memory stores that share one clock.
#[derive(Debug)]
pub struct MemoryAdmission {
    clock: Arc<dyn Clock>,
    idempotency: Arc<MemoryIdempotencyStore>,
    builds: Arc<MemoryBuildStore>,
    credits: Arc<MemoryCreditStore>,
    log: Arc<MemoryEventLog>,
}

/// All rooms, locked in the one order there is.
struct Rooms<'a> {
    now: Timestamp,
    idempotency: MutexGuard<'a, IdempotencyState>,
    builds: MutexGuard<'a, BuildState>,
    credits: MutexGuard<'a, CreditState>,
    log: MutexGuard<'a, LogState>,
}

impl MemoryAdmission {
    /// Admission over these stores. Give them the same clock.
    #[must_use]
    pub const fn new(
        clock: Arc<dyn Clock>,
        idempotency: Arc<MemoryIdempotencyStore>,
        builds: Arc<MemoryBuildStore>,
        credits: Arc<MemoryCreditStore>,
        log: Arc<MemoryEventLog>,
    ) -> Self {
        Self {
            clock,
            idempotency,
            builds,
            credits,
            log,
        }
    }

    fn lock(&self) -> Rooms<'_> {
        let idempotency = self.idempotency.lock();
        let builds = self.builds.lock();
        let credits = self.credits.lock();
        let log = self.log.lock();
        // The clock is read once all locks are held: what was waited for has passed.
        Rooms {
            now: self.clock.now(),
            idempotency,
            builds,
            credits,
            log,
        }
    }
}

#[async_trait]
impl Admission for MemoryAdmission {
    async fn admit(&self, admit: Admit) -> Result<AdmitOutcome, StoreError> {
        self.lock().admit(admit)
    }

    async fn claim(&self, _worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
        self.lock().claim()
    }

    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError> {
        self.lock().beat(build, token)
    }

    async fn settle(&self, finish: Finish) -> Result<SettleOutcome, StoreError> {
        self.lock().settle(finish)
    }

    async fn reserve(&self, reserve: Reserve) -> Result<ProjectReserveOutcome, StoreError> {
        self.lock().reserve(reserve)
    }
}

impl Rooms<'_> {
    fn admit(&mut self, mut admit: Admit) -> Result<AdmitOutcome, StoreError> {
        let now = self.now;
        if let Some(refusal) = self.answered_before(&admit) {
            return Ok(refusal);
        }
        let reserve = admit.reserve();
        let hold = HoldRef::new(reserve.reservation_id(), admit.seconds);
        admit.build.hold = Some(hold);
        if let Some(refusal) = self.builds.check_start(now, &admit.build)? {
            return self.refused_by_builds(&admit, refusal);
        }
        if let Some(refusal) = self.credits.check_reserve(now, &reserve)? {
            return refused_by_credits(refusal);
        }
        // Decided: what follows cannot refuse any more, and has room.
        let position = self.builds.queued() + 1;
        let admitted = Admitted::new(Queued::new(Build::queued(&admit.build, now), position));
        let answer = render(&admit, &admitted)?;
        let first = Append::new(
            admit.build.id.clone(),
            FencingToken::ZERO,
            vec![events::queued(position, admit.seconds)?],
        );
        let stream = NewStream::new(
            admit.build.id.clone(),
            admit.build.user.clone(),
            admit.build.session.clone(),
        );
        self.log.check_open(&stream)?;
        self.check_record(&admit)?;
        self.credits.reserve(now, &reserve)?;
        self.log.open(stream)?;
        self.log.append(now, first)?;
        self.record(&admit, &answer)?;
        self.builds.start(now, admit.build)?;
        Ok(AdmitOutcome::Admitted(admitted, answer))
    }

    fn answered_before(&self, admit: &Admit) -> Option<AdmitOutcome> {
        let call = admit.call.as_ref()?;
        let found = self
            .idempotency
            .look(self.now, &call.scope, &call.key, call.fingerprint)?;
        match found {
            BeginOutcome::Reused => Some(AdmitOutcome::KeyReused),
            BeginOutcome::Replay(answer) => Some(AdmitOutcome::Replayed(answer)),
            BeginOutcome::InProgress => Some(AdmitOutcome::InProgress),
            _ => None,
        }
    }

    fn refused_by_builds(
        &mut self,
        admit: &Admit,
        refusal: StartOutcome,
    ) -> Result<AdmitOutcome, StoreError> {
        match refusal {
            StartOutcome::NotOwner => Ok(AdmitOutcome::NotOwner),
            StartOutcome::ProjectBusy { active } => Ok(AdmitOutcome::ProjectBusy { active }),
            StartOutcome::SessionKnown(queued) => {
                let known = Admitted::new(queued);
                let answer = render(admit, &known)?;
                self.check_record(admit)?;
                self.record(admit, &answer)?;
                Ok(AdmitOutcome::SessionKnown(known, answer))
            }
            _ => Err(inconsistent("a start was refused in an unknown way")),
        }
    }

    fn check_record(&self, admit: &Admit) -> Result<(), StoreError> {
        if admit.call.is_none() {
            return Ok(());
        }
        self.idempotency.check_room(self.now)
    }

    fn record(&mut self, admit: &Admit, answer: &StoredAnswer) -> Result<(), StoreError> {
        let Some(call) = &admit.call else {
            return Ok(());
        };
        let answer = answer.clone();
        self.idempotency
            .record(self.now, &call.scope, &call.key, call.fingerprint, answer)
    }

    fn claim(&mut self) -> Result<Option<Claimed>, StoreError> {
        let now = self.now;
        let started = events::started()?;
        let Some(claimed) = self.builds.claim(now) else {
            return Ok(None);
        };
        let build = &claimed.build;
        if let Some(hold) = &build.hold {
            // A hold that lapsed in the queue is found by the settlement (C10).
            let _ = self
                .credits
                .extend(now, &Extend::new(hold.id.clone(), Reserve::DEFAULT_TTL))?;
        }
        self.log.raise(&build.id, build.token);
        self.log.append(
            now,
            Append::new(build.id.clone(), build.token, vec![started]),
        )?;
        Ok(Some(claimed))
    }

    fn beat(&mut self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError> {
        let now = self.now;
        if let Some(lost) = self.builds.check_beat(build, token) {
            return Ok(lost);
        }
        let hold = self
            .builds
            .get_build(build)
            .and_then(|build| build.hold.clone());
        if let Some(hold) = hold {
            let extend = Extend::new(hold.id, Reserve::DEFAULT_TTL);
            let ExtendOutcome::Extended { .. } = self.credits.extend(now, &extend)? else {
                return Ok(BeatOutcome::Lost);
            };
        }
        Ok(self.builds.beat(now, build, token))
    }

    fn settle(&mut self, mut finish: Finish) -> Result<SettleOutcome, StoreError> {
        let now = self.now;
        if let Some(refusal) = self.builds.check_finish(now, &finish) {
            return Ok(SettleOutcome::Unchanged(refusal));
        }
        let Some(build) = self.builds.get_build(&finish.build).cloned() else {
            return Ok(SettleOutcome::Unchanged(FinishOutcome::NotFound));
        };
        let charge = self.close_hold(&build, &finish.ending)?;
        if charge == Charge::Lapsed && matches!(finish.ending, Ending::Deployed { .. }) {
            finish.ending = Ending::Failed {
                reason: FailureReason::TimedOut,
                error: "The build took longer than its credits were held.".into(),
            };
        }
        let FinishOutcome::Finished(build) = self.builds.finish(now, &finish) else {
            return Err(inconsistent("a checked end of a build was refused"));
        };
        self.log.raise(&build.id, build.token);
        let last = Append::new(
            build.id.clone(),
            build.token,
            vec![events::ended(&build, now)?],
        );
        match self.log.append(now, last)? {
            AppendOutcome::Appended(_) => {}
            _ => return Err(inconsistent("a stream refused the last event of its build")),
        }
        self.log.close(&build.id);
        Ok(SettleOutcome::Settled(Settled::new(build, charge)))
    }

    fn close_hold(&mut self, build: &Build, ending: &Ending) -> Result<Charge, StoreError> {
        let Some(hold) = &build.hold else {
            return Ok(Charge::None);
        };
        let operation = operation_id(&build.id, build.kind, &build.session);
        if let Ending::Deployed { seconds, .. } = ending {
            let commit = Commit::new(hold.id.clone(), operation, *seconds);
            return match self.credits.commit(self.now, &commit)? {
                CommitOutcome::Committed(done) | CommitOutcome::AlreadyCommitted(done) => {
                    Ok(Charge::Committed {
                        charged: done.charged,
                        shortfall: done.shortfall,
                    })
                }
                CommitOutcome::Expired => Ok(Charge::Lapsed),
                // Somebody closed the build's hold by the credit routes: the build still ends.
                _ => Ok(Charge::None),
            };
        }
        match self
            .credits
            .release(self.now, &Release::new(hold.id.clone(), operation))?
        {
            ReleaseOutcome::Released(_) | ReleaseOutcome::AlreadyReleased(_) => {
                Ok(Charge::Released)
            }
            ReleaseOutcome::Expired => Ok(Charge::Lapsed),
            _ => Ok(Charge::None),
        }
    }

    fn reserve(&mut self, reserve: Reserve) -> Result<ProjectReserveOutcome, StoreError> {
        let now = self.now;
        if let Some(project) = &reserve.project {
            let claim = self.builds.check_project_claim(&reserve.user, project)?;
            if claim == Some(ProjectClaimOutcome::NotOwner) {
                return Ok(ProjectReserveOutcome::NotOwner);
            }
        }
        if let Some(refusal) = self.credits.check_reserve(now, &reserve)? {
            return Ok(ProjectReserveOutcome::Reserve(refusal));
        }
        if let Some(project) = &reserve.project {
            self.builds.claim_project(&reserve.user, project)?;
        }
        Ok(ProjectReserveOutcome::Reserve(
            self.credits.reserve(now, &reserve)?,
        ))
    }
}

fn refused_by_credits(refusal: ReserveOutcome) -> Result<AdmitOutcome, StoreError> {
    match refusal {
        ReserveOutcome::CapReached { cap, reset_at } => {
            Ok(AdmitOutcome::CapReached { cap, reset_at })
        }
        ReserveOutcome::Insufficient {
            required,
            available,
        } => Ok(AdmitOutcome::Insufficient {
            required,
            available,
        }),
        // The operation is named after a build id that is new here.
        _ => Err(inconsistent("a new build's hold was there before")),
    }
}

fn render(admit: &Admit, admitted: &Admitted) -> Result<StoredAnswer, StoreError> {
    (admit.render)(admitted)
        .map_err(|error| StoreError::with_source(StoreErrorKind::Rejected, error))
}

/// A fault of ours: two rooms disagree.
fn inconsistent(what: &'static str) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, what)
}
