//! Ending a build (C7–C10).

use sheen_billing::account::{CommitOutcome, ReleaseOutcome};
use sheen_core::build::{Build, Ending, Finish, FinishOutcome};
use sheen_core::error::StoreError;
use sheen_events::log::Append;
use sqlx::postgres::PgConnection;

use super::{Done, PgAdmission};
use crate::admission::closing::{Closing, Unpaid, committed};
use crate::admission::events;
use crate::admission::refusal::inconsistent;
use crate::admission::types::{Charge, SettleOutcome, Settled};

/// What a try at a settlement comes to: the error is why a build that would have been deployed
/// cannot be paid for.
pub(super) type Ended = Result<SettleOutcome, Unpaid>;

impl PgAdmission {
    pub(super) async fn settle_in(
        &self,
        step: &mut PgConnection,
        finish: &Finish,
    ) -> Result<Done<Ended>, StoreError> {
        let build = match self.builds.finish_in(step, finish.clone()).await? {
            FinishOutcome::Finished(build) => build,
            refusal => return Ok(Done::Undo(Ok(SettleOutcome::Unchanged(refusal)))),
        };
        let charge = match self.close_hold(step, &build, &finish.ending).await? {
            Ok(charge) => charge,
            Err(why) if matches!(finish.ending, Ending::Deployed { .. }) => {
                return Ok(Done::Undo(Err(why)));
            }
            Err(why) => why.charge(),
        };
        let last = events::ended(&build, build.updated_at)?;
        self.raise(step, &build.id, build.token).await?;
        self.say(step, Append::new(build.id.clone(), build.token, vec![last]))
            .await?;
        if !self.leaves_streams_open && !self.log.close_in(step, &build.id).await? {
            return Err(inconsistent("a build has no stream"));
        }
        let settled = SettleOutcome::Settled(Settled::new(build, charge));
        Ok(Done::Keep(Ok(settled)))
    }

    /// Charges the build's hold or gives it back.
    async fn close_hold(
        &self,
        step: &mut PgConnection,
        build: &Build,
        ending: &Ending,
    ) -> Result<Result<Charge, Unpaid>, StoreError> {
        Ok(match Closing::of(build, ending) {
            Closing::NoHold => Ok(Charge::None),
            Closing::Commit(commit) => match self.credits.commit_in(step, commit).await? {
                CommitOutcome::Committed(done) => Ok(committed(&done)),
                refusal => Err(Unpaid::by_commit(&refusal)),
            },
            Closing::Release(release) => match self.credits.release_in(step, release).await? {
                ReleaseOutcome::Released(_) => Ok(Charge::Released),
                refusal => Err(Unpaid::by_release(&refusal)),
            },
        })
    }
}
