//! The steps across rooms over the memory stores: all locks in one order, all decided, all applied.

use std::sync::{Arc, MutexGuard};

use async_trait::async_trait;
use sheen_billing::account::{
    CommitOutcome, CreditState, Extend, ExtendOutcome, MemoryCreditStore, ReleaseOutcome, Reserve,
};
use sheen_core::build::{
    BeatOutcome, Build, BuildState, Claimed, Ending, Finish, FinishDecision, FinishOutcome,
    HoldRef, MemoryBuildStore, NewBuild, ProjectClaimOutcome, Queued, StartOutcome, decide_files,
};
use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, WorkerId};
use sheen_core::idempotency::{
    BeginOutcome, IdempotencyState, MemoryIdempotencyStore, StoredAnswer,
};
use sheen_core::time::{Clock, Timestamp};
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, LogState, MemoryEventLog, NewStream};

use super::closing::{Closing, Unpaid, committed};
use super::events;
use super::refusal::{by_credits, inconsistent, render};
use super::store::Admission;
use super::types::{
    Admit, AdmitOutcome, Admitted, Charge, ProjectReserveOutcome, SettleOutcome, Settled,
};

/// Admission over memory stores that share one clock.
#[derive(Debug)]
pub struct MemoryAdmission {
    clock: Arc<dyn Clock>,
    idempotency: Arc<MemoryIdempotencyStore>,
    builds: Arc<MemoryBuildStore>,
    credits: Arc<MemoryCreditStore>,
    log: Arc<MemoryEventLog>,
    leaves_streams_open: bool,
}

/// All rooms, locked in the one order there is.
struct Rooms<'a> {
    now: Timestamp,
    idempotency: MutexGuard<'a, IdempotencyState>,
    builds: MutexGuard<'a, BuildState>,
    credits: MutexGuard<'a, CreditState>,
    log: MutexGuard<'a, LogState>,
    leaves_streams_open: bool,
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
            leaves_streams_open: false,
        }
    }

    /// Leaves the streams of settled builds open for what follows: whoever asks for this closes
    /// them, as [`EndStreams`](crate::recommending::EndStreams) does.
    #[must_use]
    pub const fn leave_streams_open(mut self) -> Self {
        self.leaves_streams_open = true;
        self
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
            leaves_streams_open: self.leaves_streams_open,
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
        if let Some(refusal) = self.too_large(&admit.build) {
            return Ok(refusal);
        }
        if let Some(refusal) = self.credits.check_reserve(now, &reserve)? {
            return by_credits(refusal);
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

    fn too_large(&self, new: &NewBuild) -> Option<AdmitOutcome> {
        let known = self.builds.project_files(&new.project);
        let files = decide_files(&known, &new.input);
        (!files.is_within_bounds()).then_some(AdmitOutcome::ProjectTooLarge)
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
        let Some(oldest) = self.builds.peek_claim() else {
            return Ok(None);
        };
        let hold = oldest.hold.clone();
        let mut first = Append::new(oldest.id.clone(), oldest.token, vec![events::started()?]);
        self.check_append(&first)?;
        if let Some(hold) = hold {
            // A hold that was closed or lapsed in the queue is found by the settlement (C10).
            let extend = Extend::new(hold.id, Reserve::DEFAULT_TTL);
            self.credits.extend(now, &extend)?;
        }
        // Decided: what follows cannot refuse any more, and has room.
        let Some(claimed) = self.builds.claim(now) else {
            return Err(inconsistent("the oldest queued build could not be claimed"));
        };
        first.token = claimed.build.token;
        self.log.raise(&claimed.build.id, first.token);
        self.log.append(now, first)?;
        Ok(Some(claimed))
    }

    /// That the log has room for `append`, by the token it accepts now.
    fn check_append(&self, append: &Append) -> Result<(), StoreError> {
        match self.log.check_append(append)? {
            None => Ok(()),
            Some(_) => Err(inconsistent("a stream is not as its build is")),
        }
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
        let Some(before) = self.builds.get_build(&finish.build).cloned() else {
            return Ok(SettleOutcome::Unchanged(FinishOutcome::NotFound));
        };
        if let Some(refusal) = self.builds.check_finish(now, &finish) {
            return Ok(SettleOutcome::Unchanged(refusal));
        }
        let closing = Closing::of(&before, &finish.ending);
        let unpaid = self.unpaid(&closing)?;
        if let (Some(why), Ending::Deployed { .. }) = (unpaid, &finish.ending) {
            finish.ending = why.ending();
        }
        let after = match self.builds.decide_finish(now, &finish) {
            FinishDecision::Refuse(outcome) => return Ok(SettleOutcome::Unchanged(outcome)),
            FinishDecision::Apply(change) => change.after,
        };
        let mut last = Append::new(before.id, before.token, vec![events::ended(&after, now)?]);
        self.check_append(&last)?;
        // Decided: what follows cannot refuse any more, and has room.
        let charge = match unpaid {
            Some(why) => why.charge(),
            None => self.close_hold(closing)?,
        };
        let FinishOutcome::Finished(build) = self.builds.finish(now, &finish) else {
            return Err(inconsistent("a checked end of a build was refused"));
        };
        last.token = build.token;
        self.log.raise(&build.id, build.token);
        self.log.append(now, last)?;
        if !self.leaves_streams_open {
            self.log.close(&build.id);
        }
        Ok(SettleOutcome::Settled(Settled::new(build, charge)))
    }

    /// Why the build's hold cannot be closed, without writing.
    fn unpaid(&self, closing: &Closing) -> Result<Option<Unpaid>, StoreError> {
        Ok(match closing {
            Closing::NoHold => None,
            Closing::Commit(commit) => {
                let refusal = self.credits.check_commit(self.now, commit)?;
                refusal.map(|refusal| Unpaid::by_commit(&refusal))
            }
            Closing::Release(release) => {
                let refusal = self.credits.check_release(self.now, release)?;
                refusal.map(|refusal| Unpaid::by_release(&refusal))
            }
        })
    }

    fn close_hold(&mut self, closing: Closing) -> Result<Charge, StoreError> {
        match closing {
            Closing::NoHold => Ok(Charge::None),
            Closing::Commit(commit) => match self.credits.commit(self.now, &commit)? {
                CommitOutcome::Committed(done) => Ok(committed(&done)),
                _ => Err(inconsistent("a checked commit was refused")),
            },
            Closing::Release(release) => match self.credits.release(self.now, &release)? {
                ReleaseOutcome::Released(_) => Ok(Charge::Released),
                _ => Err(inconsistent("a checked release was refused")),
            },
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
