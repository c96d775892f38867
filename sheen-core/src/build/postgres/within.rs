//! The same steps inside a caller's own transaction.

use sqlx::postgres::PgConnection;

use super::{BuildRow, DECISIONS, Line, PgBuildStore, Written, claim, load, start, write};
use crate::build::decide::{
    Change, FinishDecision, decide_beat, decide_finish, decide_project_claim,
};
use crate::build::types::{
    BeatOutcome, Build, Claimed, Finish, FinishOutcome, NewBuild, ProjectClaimOutcome, StartOutcome,
};
use crate::error::{StoreError, StoreErrorKind};
use crate::files::FileSet;
use crate::id::{BuildId, ProjectId, UserId, WorkerId};
use crate::time::Timestamp;
use crate::token::FencingToken;

/// Steps of a caller's transaction: they come and go with it.
///
/// 1. Each gives the outcome that its namesake of [`BuildStore`](crate::build::BuildStore) would,
///    and locks what it decided over until the transaction ends. Nobody else sees it before the
///    commit.
/// 2. What fails here fails the transaction: roll it back. Nothing is sent again from here, since
///    PostgreSQL takes no further statement; where the error is transient, repeat the transaction.
/// 3. Use READ COMMITTED, PostgreSQL's own isolation level. Above it a step that waited for another
///    fails as `Contended` instead of deciding over what the other left.
/// 4. Two transactions that touch several projects or builds in different orders may meet in a
///    deadlock, which PostgreSQL ends for one of them as `Contended`.
/// 5. A transaction that is dropped is rolled back when its connection is back in its pool, and its
///    locks last until then; await `rollback` to know that they are gone.
///
/// A build that ends and the next one of its project, both or neither:
///
/// ```no_run
/// # use sheen_core::build::{Finish, FinishOutcome, NewBuild, PgBuildStore, StartOutcome};
/// # async fn demo(
/// #     pool: sqlx::PgPool, builds: PgBuildStore, finish: Finish, next: NewBuild,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut step = pool.begin().await?;
/// if let FinishOutcome::Finished(_) = builds.finish_in(&mut step, finish).await? {
///     builds.start_in(&mut step, next).await?;
///     sqlx::query("UPDATE sites SET rebuilt = rebuilt + 1").execute(&mut *step).await?;
///     step.commit().await?;
/// }
/// # Ok(())
/// # }
/// ```
impl PgBuildStore {
    /// Puts a build in the queue of whoever claims from this store. Where that is a worker of the crate
    /// `sheen`, builds are admitted by its `Admission` instead: one without a stream in the event log
    /// stays at the head of its queue.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start_in(
        &self,
        step: &mut PgConnection,
        new: NewBuild,
    ) -> Result<StartOutcome, StoreError> {
        start::start(&mut Line::Step(step), &new).await
    }

    /// Puts builds in the queue, one after another. Here one that breaks a statement breaks the
    /// batch with the transaction.
    ///
    /// # Errors
    /// When the database fails or the batch is too large.
    pub async fn start_many_in(
        &self,
        step: &mut PgConnection,
        batch: Vec<NewBuild>,
    ) -> Result<Vec<StartOutcome>, StoreError> {
        let started = start::start_many(&mut Line::Step(step), &batch).await?;
        started.into_iter().collect()
    }

    /// Takes the oldest queued build for `worker`. Work on it once the transaction is committed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_in(
        &self,
        step: &mut PgConnection,
        worker: &WorkerId,
    ) -> Result<Option<Claimed>, StoreError> {
        claim(&mut Line::Step(step), worker).await
    }

    /// Says that the claim's holder is alive.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn beat_in(
        &self,
        step: &mut PgConnection,
        build: &BuildId,
        token: FencingToken,
    ) -> Result<BeatOutcome, StoreError> {
        match self.beaten_in(step, build, token).await? {
            None => Ok(BeatOutcome::Lost),
            Some((_, deadline)) => Ok(BeatOutcome::Alive { deadline }),
        }
    }

    /// The same, for who needs the build that is kept alive, with its next deadline: `None` when
    /// the claim is lost.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn beaten_in(
        &self,
        step: &mut PgConnection,
        build: &BuildId,
        token: FencingToken,
    ) -> Result<Option<(Build, Timestamp)>, StoreError> {
        let line = &mut Line::Step(step);
        lock(line, build).await?;
        let seen = load(line, build).await?;
        match decide_beat(seen.build.as_ref(), token, seen.now) {
            None => Ok(None),
            Some(change) => {
                let alive = written(line, &change, true).await?;
                let deadline = self.deadline(&alive)?;
                Ok(Some((alive, deadline)))
            }
        }
    }

    /// Ends a build.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish_in(
        &self,
        step: &mut PgConnection,
        finish: Finish,
    ) -> Result<FinishOutcome, StoreError> {
        let line = &mut Line::Step(step);
        lock(line, &finish.build).await?;
        // A clock that steps back between deciding and writing makes the sweep too early after all.
        for _ in 0..DECISIONS {
            let seen = load(line, &finish.build).await?;
            match decide_finish(seen.build.as_ref(), &finish, seen.now, &self.deadlines) {
                FinishDecision::Refuse(outcome) => return Ok(outcome),
                FinishDecision::Apply(change) => {
                    if let Written::Hit(ended) = write(line, &change, false).await? {
                        return Ok(FinishOutcome::Finished(ended));
                    }
                }
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }
}

/// Steps on a project alone.
impl PgBuildStore {
    /// Makes `user` the owner of a project that is nobody's. The project stays locked until the
    /// transaction ends.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_project_in(
        &self,
        step: &mut PgConnection,
        user: &UserId,
        project: &ProjectId,
    ) -> Result<ProjectClaimOutcome, StoreError> {
        let line = &mut Line::Step(step);
        // Twice in the usual case of a race: whoever made the project meanwhile has committed.
        for _ in 0..DECISIONS {
            let found = line
                .row(|| sqlx::query(include_str!("sql/lock_project.sql")).bind(project.as_str()))
                .await?;
            let owner = match &found {
                Some(found) => BuildRow(found).id("owner_id", UserId::parse)?,
                None => None,
            };
            let claim = decide_project_claim(owner.as_ref(), user);
            if claim != ProjectClaimOutcome::Claimed {
                return Ok(claim);
            }
            let made = line
                .row(|| {
                    sqlx::query(include_str!("sql/make_project.sql"))
                        .bind(project.as_str())
                        .bind(user.as_str())
                })
                .await?;
            if made.is_some() {
                return Ok(claim);
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    /// The project's files, as this transaction sees them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn project_files_in(
        &self,
        step: &mut PgConnection,
        project: &ProjectId,
    ) -> Result<FileSet, StoreError> {
        Ok(start::base(&mut Line::Step(step), project).await?.files)
    }
}

/// Waits for the build's row and keeps it; time is read in a later statement.
async fn lock(line: &mut Line<'_>, build: &BuildId) -> Result<(), StoreError> {
    line.row(|| sqlx::query(include_str!("sql/lock.sql")).bind(build.as_str()))
        .await?;
    Ok(())
}

/// Writes what was decided over a locked row.
async fn written(line: &mut Line<'_>, change: &Change, beat: bool) -> Result<Build, StoreError> {
    match write(line, change, beat).await? {
        Written::Hit(build) => Ok(build),
        Written::Miss(_) => Err(StoreError::new(StoreErrorKind::Contended)),
    }
}
