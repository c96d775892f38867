//! Claiming a build and keeping it alive (C5, C6).

use sheen_billing::account::{Extend, ExtendOutcome, Reserve};
use sheen_core::build::{BeatOutcome, Claimed};
use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, WorkerId};
use sheen_core::token::FencingToken;
use sheen_events::log::Append;
use sqlx::postgres::PgConnection;

use super::{Done, PgAdmission};
use crate::admission::events;
use crate::admission::refusal::inconsistent;

impl PgAdmission {
    pub(super) async fn claim_in(
        &self,
        step: &mut PgConnection,
        worker: &WorkerId,
    ) -> Result<Done<Option<Claimed>>, StoreError> {
        let Some(claimed) = self.builds.claim_in(step, worker).await? else {
            return Ok(Done::Undo(None));
        };
        let build = &claimed.build;
        if let Some(hold) = &build.hold {
            // A hold that was closed or lapsed in the queue is found by the settlement (C10).
            let extend = Extend::new(hold.id.clone(), Reserve::DEFAULT_TTL);
            self.credits.extend_in(step, extend).await?;
        }
        self.raise(step, &build.id, build.token).await?;
        let started = vec![events::started()?];
        self.say(step, Append::new(build.id.clone(), build.token, started))
            .await?;
        Ok(Done::Keep(Some(claimed)))
    }

    /// From now on only `token` may append to the build's stream.
    pub(super) async fn raise(
        &self,
        step: &mut PgConnection,
        build: &BuildId,
        token: FencingToken,
    ) -> Result<(), StoreError> {
        if self.log.raise_in(step, build, token).await? {
            return Ok(());
        }
        Err(inconsistent("a build has no stream"))
    }

    pub(super) async fn beat_in(
        &self,
        step: &mut PgConnection,
        build: &BuildId,
        token: FencingToken,
    ) -> Result<Done<BeatOutcome>, StoreError> {
        let Some((alive, deadline)) = self.builds.beaten_in(step, build, token).await? else {
            return Ok(Done::Undo(BeatOutcome::Lost));
        };
        if let Some(hold) = alive.hold {
            let extend = Extend::new(hold.id, Reserve::DEFAULT_TTL);
            let extended = self.credits.extend_in(step, extend).await?;
            if !matches!(extended, ExtendOutcome::Extended { .. }) {
                return Ok(Done::Undo(BeatOutcome::Lost));
            }
        }
        Ok(Done::Keep(BeatOutcome::Alive { deadline }))
    }
}
