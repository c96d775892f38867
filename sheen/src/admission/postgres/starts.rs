//! Admitting a build and holding seconds for a project (C1–C4, C11).

use std::time::Duration;

use sheen_billing::account::{Reserve, ReserveOutcome};
use sheen_core::build::{
    BuildKind, HoldRef, NewBuild, ProjectClaimOutcome, StartOutcome, decide_files,
};
use sheen_core::error::StoreError;
use sheen_core::files::FileSet;
use sheen_core::idempotency::{Claim, ClaimOutcome, StoredAnswer};
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, NewStream};
use sqlx::postgres::PgConnection;

use super::{Done, PgAdmission};
use crate::admission::events;
use crate::admission::refusal::{by_credits, inconsistent, render};
use crate::admission::types::{Admit, AdmitOutcome, Admitted, ProjectReserveOutcome};

/// How long a call waits for another one with its key.
const FOR_A_KEY: Duration = Duration::from_secs(5);

impl PgAdmission {
    pub(super) async fn admit_in(
        &self,
        step: &mut PgConnection,
        admit: &Admit,
    ) -> Result<Done<AdmitOutcome>, StoreError> {
        let claim = match self.claim_key(step, admit).await? {
            Ok(claim) => claim,
            Err(answered) => return Ok(Done::Undo(answered)),
        };
        let reserve = admit.reserve();
        let mut new = admit.build.clone();
        new.hold = Some(HoldRef::new(reserve.reservation_id(), admit.seconds));
        let queued = match self.builds.start_in(step, new).await? {
            StartOutcome::Started(queued) => queued,
            StartOutcome::NotOwner => return Ok(Done::Undo(AdmitOutcome::NotOwner)),
            StartOutcome::ProjectBusy { active } => {
                return Ok(Done::Undo(AdmitOutcome::ProjectBusy { active }));
            }
            StartOutcome::SessionKnown(queued) => {
                let known = Admitted::new(queued);
                let answer = render(admit, &known)?;
                self.keep(step, claim, &answer).await?;
                return Ok(Done::Keep(AdmitOutcome::SessionKnown(known, answer)));
            }
            _ => return Err(inconsistent("a start was refused in an unknown way")),
        };
        if !self.files_in(step, &admit.build).await?.is_within_bounds() {
            return Ok(Done::Undo(AdmitOutcome::ProjectTooLarge));
        }
        match self.credits.reserve_in(step, reserve).await? {
            ReserveOutcome::Reserved(_) => {}
            refusal => return by_credits(refusal).map(Done::Undo),
        }
        let first = events::queued(queued.position, admit.seconds)?;
        let admitted = Admitted::new(queued);
        let answer = render(admit, &admitted)?;
        let build = &admitted.queued.build;
        let stream = NewStream::new(build.id.clone(), build.user.clone(), build.session.clone());
        self.log.open_in(step, stream).await?;
        let first = Append::new(build.id.clone(), FencingToken::ZERO, vec![first]);
        self.say(step, first).await?;
        self.keep(step, claim, &answer).await?;
        Ok(Done::Keep(AdmitOutcome::Admitted(admitted, answer)))
    }

    /// The right to answer the call, where it has a key; else what was answered before.
    async fn claim_key(
        &self,
        step: &mut PgConnection,
        admit: &Admit,
    ) -> Result<Result<Option<Claim>, AdmitOutcome>, StoreError> {
        let Some(call) = &admit.call else {
            return Ok(Ok(None));
        };
        let claimed = self
            .once
            .claim_in(step, &call.scope, &call.key, call.fingerprint, FOR_A_KEY);
        Ok(match claimed.await? {
            ClaimOutcome::Claimed(claim) => Ok(Some(claim)),
            ClaimOutcome::Reused => Err(AdmitOutcome::KeyReused),
            ClaimOutcome::Replay(answer) => Err(AdmitOutcome::Replayed(answer)),
            ClaimOutcome::InProgress => Err(AdmitOutcome::InProgress),
            _ => return Err(inconsistent("a key was refused in an unknown way")),
        })
    }

    async fn keep(
        &self,
        step: &mut PgConnection,
        claim: Option<Claim>,
        answer: &StoredAnswer,
    ) -> Result<(), StoreError> {
        match claim {
            Some(claim) => self.once.keep_in(step, claim, answer).await,
            None => Ok(()),
        }
    }

    /// The files that the started build works on.
    async fn files_in(
        &self,
        step: &mut PgConnection,
        new: &NewBuild,
    ) -> Result<FileSet, StoreError> {
        match new.input.kind {
            // Its start laid them over the project's, which nobody else can change meanwhile.
            BuildKind::Update => self.builds.project_files_in(step, &new.project).await,
            _ => Ok(decide_files(&FileSet::default(), &new.input)),
        }
    }

    pub(super) async fn reserve_in(
        &self,
        step: &mut PgConnection,
        reserve: &Reserve,
    ) -> Result<Done<ProjectReserveOutcome>, StoreError> {
        if let Some(project) = &reserve.project {
            let claim = self
                .builds
                .claim_project_in(step, &reserve.user, project)
                .await?;
            if claim == ProjectClaimOutcome::NotOwner {
                return Ok(Done::Undo(ProjectReserveOutcome::NotOwner));
            }
        }
        let outcome = self.credits.reserve_in(step, reserve.clone()).await?;
        let kept = matches!(outcome, ReserveOutcome::Reserved(_));
        let outcome = ProjectReserveOutcome::Reserve(outcome);
        Ok(if kept {
            Done::Keep(outcome)
        } else {
            Done::Undo(outcome)
        })
    }
}
