//! The contract of the atomic steps across rooms.

use std::fmt::Debug;

use async_trait::async_trait;
use sheen_billing::account::Reserve;
use sheen_core::build::{BeatOutcome, Claimed, Finish};
use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, WorkerId};
use sheen_core::token::FencingToken;

use super::types::{Admit, AdmitOutcome, ProjectReserveOutcome, SettleOutcome};

/// Steps over idempotency records, projects, accounts, builds and streams at once. Each is atomic:
/// another process sees all of it or nothing, and a refusal writes nothing.
///
/// 1. **C1** An admission makes the build, its hold, its stream with `build_queued` as event 1,
///    and the kept answer, together.
/// 2. **C2** Refusals stand in the order of [`AdmitOutcome`]: replayed answer, ownership, session
///    known, build active, project too large, caps, credits.
/// 3. **C3** A repeat under the same key gets the same bytes; another call under it is
///    `KeyReused`. Of any number of equal calls at once, one is admitted.
/// 4. **C4** A refused admission leaves key, project, account, queue and log as they were, so that
///    the same call goes through once the reason is gone.
/// 5. **C5** A claim makes the oldest build `building`, raises its stream's token, extends its
///    hold and appends `build_started`.
/// 6. **C6** A heartbeat keeps build and hold alive together: the hold outlives the build's
///    deadline. When either is gone it is `Lost`.
/// 7. **C7** A settlement ends the build, commits its hold (deployed) or releases it (failed),
///    appends exactly one `deploy_completed` or `deploy_failed`, and closes the stream, unless it was
///    made to leave streams open for what follows a build.
/// 8. **C8** Of any settlements of one build at once, one settles; the others change nothing.
/// 9. **C9** After a claim or a settlement the token before it appends nothing any more.
/// 10. **C10** A build whose hold can no longer be charged is not deployed: where the hold lapsed it
///     is settled as `TIMED_OUT`, where others closed it as `BUILD_FAILED`.
/// 11. **C11** A reserve for a project makes its user the owner if it goes through, and is
///     `NotOwner` for anyone else's.
/// 12. **C12** Repeating any step whose answer was lost changes nothing further; but a repeated
///     claim takes the next build, and the one whose answer was lost is swept.
#[async_trait]
pub trait Admission: Debug + Send + Sync + 'static {
    /// Admits a build (C1–C4).
    ///
    /// # Errors
    /// When a store fails; repeat the call.
    async fn admit(&self, admit: Admit) -> Result<AdmitOutcome, StoreError>;

    /// Takes the oldest queued build for `worker` (C5).
    ///
    /// # Errors
    /// When a store fails.
    async fn claim(&self, worker: &WorkerId) -> Result<Option<Claimed>, StoreError>;

    /// Keeps a build and its hold alive (C6).
    ///
    /// # Errors
    /// When a store fails.
    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError>;

    /// Ends a build (C7–C10).
    ///
    /// # Errors
    /// When a store fails; repeat the call.
    async fn settle(&self, finish: Finish) -> Result<SettleOutcome, StoreError>;

    /// Holds seconds for a project (C11).
    ///
    /// # Errors
    /// When a store fails; repeat the call.
    async fn reserve(&self, reserve: Reserve) -> Result<ProjectReserveOutcome, StoreError>;
}
