//! The contract of a store of builds.

use std::fmt::Debug;

use async_trait::async_trait;

use super::types::{
    BeatOutcome, Build, Claimed, Finish, FinishOutcome, NewBuild, ProjectLatest, Queued,
    StartOutcome,
};
use crate::error::StoreError;
use crate::files::FileSet;
use crate::id::{BuildId, BuildSessionId, ProjectId, UserId, WorkerId};
use crate::token::FencingToken;

/// The steps that change builds. Each is atomic: another process sees all of it or nothing.
///
/// 1. **C1** A start of a project nobody owns makes its user the owner; a refused start does not.
/// 2. **C2** A start for another user's project is `NotOwner`, before anything else is looked at.
/// 3. **C3** A session of a user names one build for ever: a repeat of it is `SessionKnown` with
///    that build, whatever else it says and however the build ended.
/// 4. **C4** While a build of the project is active, a start is `ProjectBusy` naming one of them,
///    unless it says `allow_concurrent`; of any number of starts at once, one succeeds.
/// 5. **C5** A started build is `queued` with token zero, its input is kept, and its position counts
///    the queued builds up to and with itself. Its files become the project's; those of an update
///    are laid over the project's first, and the build works on the result.
/// 6. **C6** A claim takes the build queued longest, makes it `building`, raises its token and
///    counts as a heartbeat; of any number of claims at once, one gets it. Without a queued build
///    it is `None`.
/// 7. **C7** A heartbeat counts only from the last claim of a building build; every other is
///    `Lost` and writes nothing. It is decided by the clock after any lock was waited for, and a
///    build already overdue but not yet swept may still be kept alive by it.
/// 8. **C8** A finish by claim needs the last claim's token; with an older one it is `Fenced`.
/// 9. **C9** A finish by the owner needs the owner; for another user it is `NotFound`. It ends
///    queued and building builds alike, as failed only.
/// 10. **C10** A finish by the sweep ends only what is overdue by the store's clock (from the very
///     instant of its deadline on), as failed only; else it is `NotOverdue`.
/// 11. **C11** Nothing leaves `deployed` or `failed`: the repeat of the same finish is
///     `AlreadySo`, any other is `AlreadyEnded`, and neither writes.
/// 12. **C12** `queued` cannot become `deployed`: `NotAllowed`.
/// 13. **C13** A finish frees the project's slot in the same step and raises the token, so that
///     no later heartbeat or finish of that claim counts.
/// 14. **C14** Repeating any step whose answer was lost changes nothing further, except a claim: a
///     repeated claim takes the next build, and that of the lost answer is left to the sweep.
/// 15. **C15** A batch of starts is its starts one after another, in order, with an answer each,
///     those of one project or session among them; one that is refused or fails changes nothing for
///     the others, and another caller's step may come between two of them. Over
///     [`NewBuild::MAX_BATCH`] it is refused whole.
/// 16. **C16** Reaping ends overdue builds as a finish by the sweep would, as `TIMED_OUT`, the
///     oldest deadline first, at most `limit`, and tells which. A build that another step holds at
///     that moment it may pass by; of any number of reapers at once one ends each build.
#[async_trait]
pub trait BuildStore: Debug + Send + Sync + 'static {
    /// Puts a build in the queue, if the project and its user allow it (C1–C5).
    ///
    /// # Errors
    /// When the store fails; the step may then have been done or not, and may be repeated. An id
    /// that another build has is [`Rejected`](crate::error::StoreErrorKind::Rejected).
    async fn start(&self, new: NewBuild) -> Result<StartOutcome, StoreError>;

    /// Puts several builds in the queue, each as a start would (C15).
    ///
    /// # Errors
    /// When the batch is too large or the store fails as a whole; each start may then have been done
    /// or not, and the batch may be repeated. What fails for one start alone stands in its place.
    async fn start_many(
        &self,
        batch: Vec<NewBuild>,
    ) -> Result<Vec<Result<StartOutcome, StoreError>>, StoreError>;

    /// Takes the oldest queued build for `worker` (C6).
    ///
    /// # Errors
    /// When the store fails. A claim whose answer was lost is swept after the heartbeat deadline.
    async fn claim(&self, worker: &WorkerId) -> Result<Option<Claimed>, StoreError>;

    /// Says that the claim's holder is alive (C7).
    ///
    /// # Errors
    /// When the store fails.
    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError>;

    /// Ends a build (C8–C13).
    ///
    /// # Errors
    /// When the store fails; repeat it until it answers.
    async fn finish(&self, finish: Finish) -> Result<FinishOutcome, StoreError>;

    /// Ends what is overdue, in a batch (C16). For builds that hold credits use the sweep of the
    /// worker, which settles the hold in the same step.
    ///
    /// # Errors
    /// When the store fails; what it ended is ended, and a repeat goes on.
    async fn reap(&self, limit: u32) -> Result<Vec<Build>, StoreError>;
}

/// Reading builds. Answers are of one instant each.
///
/// 1. **R1** A build that a step returned is found by id, with the same content.
/// 2. **R2** Ownership is not checked here: the caller compares `Build::user`.
/// 3. **R3** `overdue` lists builds whose deadline has passed by the store's clock, oldest
///    deadline first, at most `limit`.
/// 4. **R4** `latest` answers in the order asked, leaves out what does not exist, and takes the
///    build admitted last; a project that is owned and had no build yet is there without one.
/// 5. **R5** `project_files` is what the last started build made the project's files.
#[async_trait]
pub trait BuildReader: Debug + Send + Sync + 'static {
    /// The build with this id and its place in the queue.
    ///
    /// # Errors
    /// When the store fails.
    async fn get(&self, build: &BuildId) -> Result<Option<Queued>, StoreError>;

    /// The build that `session` of `user` names.
    ///
    /// # Errors
    /// When the store fails.
    async fn by_session(
        &self,
        user: &UserId,
        session: &BuildSessionId,
    ) -> Result<Option<Queued>, StoreError>;

    /// Each of `projects` that has an owner, with its latest build (R4).
    ///
    /// # Errors
    /// When the store fails.
    async fn latest(&self, projects: &[ProjectId]) -> Result<Vec<ProjectLatest>, StoreError>;

    /// Who owns `project`, if anyone does.
    ///
    /// # Errors
    /// When the store fails.
    async fn owner(&self, project: &ProjectId) -> Result<Option<UserId>, StoreError>;

    /// The project's files; empty when nobody has started a build for it.
    ///
    /// # Errors
    /// When the store fails.
    async fn project_files(&self, project: &ProjectId) -> Result<FileSet, StoreError>;

    /// Builds that the sweep should end.
    ///
    /// # Errors
    /// When the store fails.
    async fn overdue(&self, limit: u32) -> Result<Vec<Build>, StoreError>;
}
