//! Builds in PostgreSQL: state is loaded or assumed, decided over in Rust, and applied in one
//! statement that compares what the decision relied on.
//!
//! 1. A start assumes that nothing stands in its way, so it is one statement; only a refusal or a
//!    race shows how things stand, in the same answer. An update reads the project's files first.
//! 2. A process remembers the builds it claimed, so its heartbeats and its finish are one
//!    statement too. What is remembered can only make a write, which is compared; a refusal is
//!    always decided over what was read.
//! 3. A decision that no longer fits is made again over the state that came back, a bounded number
//!    of times, then the step is [`StoreErrorKind::Contended`].
//! 4. No lock is held across a round trip, and time is read after the lock.
//! 5. In a caller's own transaction (`start_in`, `claim_in`, `beat_in`, `finish_in`) a step locks
//!    and loads, decides, writes; nothing is remembered of it.
//! 6. A batch of starts is one statement over arrays; a sweep is one that looks and one that writes
//!    what it may, passing by what others hold.

mod read;
mod rows;
mod start;
mod within;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sqlx::postgres::PgPool;

pub(super) use crate::postgres::Line;
pub(super) use rows::{BuildRow, corrupt};

use super::decide::{
    Change, FinishDecision, deadline, decide_beat, decide_claim, decide_finish, decide_reap,
};
use super::store::BuildStore;
use super::types::{
    Authority, BeatOutcome, Build, BuildInput, BuildKind, Claimed, Deadlines, Finish,
    FinishOutcome, NewBuild, StartOutcome,
};
use crate::error::{StoreError, StoreErrorKind};
use crate::files::FileSet;
use crate::id::{BuildId, BuildSessionId, ProjectId, UserId, VersionId, WorkerId};
use crate::postgres::escape;
use crate::time::Timestamp;
use crate::token::FencingToken;

/// How often one step is decided before it gives up. Each miss means that another step of the same
/// build or project went through.
const DECISIONS: u32 = 16;

/// How many claimed builds a process remembers. One forgotten costs a statement more.
const REMEMBERED: usize = 1024;

/// A store of builds in PostgreSQL, over the caller's pool. The database must have been
/// [migrated](crate::postgres::migrate).
///
/// ```no_run
/// use sheen_core::build::{Deadlines, PgBuildStore};
/// use sqlx::postgres::PgPoolOptions;
///
/// # async fn connect() -> Result<PgBuildStore, Box<dyn std::error::Error>> {
/// let pool = PgPoolOptions::new()
///     .test_before_acquire(false) // saves a round trip a step
///     .connect("postgres://localhost/sheen")
///     .await?;
/// sheen_core::postgres::migrate(&pool).await?;
/// let builds = PgBuildStore::new(pool, Deadlines::default());
/// # Ok(builds)
/// # }
/// ```
#[derive(Debug)]
pub struct PgBuildStore {
    pub(super) pool: PgPool,
    deadlines: Deadlines,
    claimed: Mutex<BTreeMap<BuildId, Build>>,
}

/// A build as a decision sees it.
struct Seen {
    build: Option<Build>,
    now: Timestamp,
    /// Read from the database, not remembered: what a refusal needs.
    read: bool,
}

/// What came of an apply statement.
enum Written {
    Hit(Build),
    Miss(Seen),
}

impl PgBuildStore {
    /// The builds in the database behind `pool`.
    #[must_use]
    pub const fn new(pool: PgPool, deadlines: Deadlines) -> Self {
        Self {
            pool,
            deadlines,
            claimed: Mutex::new(BTreeMap::new()),
        }
    }

    fn claimed(&self) -> MutexGuard<'_, BTreeMap<BuildId, Build>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, build: &Build) {
        let mut claimed = self.claimed();
        if claimed.len() >= REMEMBERED && !claimed.contains_key(&build.id) {
            claimed.pop_first();
        }
        claimed.insert(build.id.clone(), build.clone());
    }

    fn forget(&self, build: &BuildId) {
        self.claimed().remove(build);
    }

    /// The deadline of a build that was kept alive.
    fn deadline(&self, build: &Build) -> Result<Timestamp, StoreError> {
        deadline(build, &self.deadlines).ok_or_else(|| corrupt("a heartbeat of an ended build"))
    }

    /// The build as this process left it, if the claim with `token` is its own; else as it is.
    async fn remembered(&self, build: &BuildId, token: FencingToken) -> Result<Seen, StoreError> {
        let remembered = self.claimed().get(build).cloned();
        match remembered.filter(|build| build.token == token) {
            Some(build) => Ok(Seen {
                now: build.updated_at,
                build: Some(build),
                read: false,
            }),
            None => load(&mut Line::Pool(&self.pool), build).await,
        }
    }
}

async fn load(line: &mut Line<'_>, build: &BuildId) -> Result<Seen, StoreError> {
    let found = line
        .row(|| sqlx::query(include_str!("sql/load.sql")).bind(build.as_str()))
        .await?
        .ok_or_else(|| corrupt("no row for a load"))?;
    let found = BuildRow(&found);
    Ok(Seen {
        build: found.build()?,
        now: found.instant("now_ms")?,
        read: true,
    })
}

/// Writes a decided row, if it is still the one that was decided over.
async fn write(line: &mut Line<'_>, change: &Change, beat: bool) -> Result<Written, StoreError> {
    let (before, after) = (&change.relied_on, &change.after);
    let written = line
        .row(|| {
            sqlx::query(include_str!("sql/write.sql"))
                .bind(after.id.as_str())
                .bind(before.status.as_str())
                .bind(token_number(before.token))
                .bind(before.heartbeat_at.map(Timestamp::as_millis))
                .bind(change.not_before.map(Timestamp::as_millis))
                .bind(after.status.as_str())
                .bind(token_number(after.token))
                .bind(beat)
                .bind(after.reason.map(|reason| reason.as_str()))
                .bind(after.error.as_deref().map(escape))
                .bind(after.preview_url.as_deref().map(escape))
                .bind(after.seconds.map(|seconds| seconds.as_i64()))
        })
        .await?
        .ok_or_else(|| corrupt("no row for a write"))?;
    let written = BuildRow(&written);
    let build = written.build()?;
    match build {
        Some(build) if written.get("hit")? => Ok(Written::Hit(build)),
        build => Ok(Written::Miss(Seen {
            build,
            now: written.instant("now_ms")?,
            read: true,
        })),
    }
}

/// Writes those of decided ends whose builds nobody else holds and are as they were decided over.
async fn write_many(line: &mut Line<'_>, changes: &[Change]) -> Result<Vec<Build>, StoreError> {
    fn each<'c, T>(changes: &'c [Change], of: impl Fn(&'c Change) -> T) -> Vec<T> {
        changes.iter().map(of).collect()
    }
    let written = line
        .rows(|| {
            sqlx::query(include_str!("sql/write_many.sql"))
                .bind(each(changes, |change| change.after.id.as_str()))
                .bind(each(changes, |change| change.relied_on.status.as_str()))
                .bind(each(changes, |change| token_number(change.relied_on.token)))
                .bind(each(changes, |change| {
                    change.relied_on.heartbeat_at.map(Timestamp::as_millis)
                }))
                .bind(each(changes, |change| {
                    change.not_before.map(Timestamp::as_millis)
                }))
                .bind(each(changes, |change| change.after.status.as_str()))
                .bind(each(changes, |change| token_number(change.after.token)))
                .bind(each(changes, |change| {
                    change.after.reason.map(|reason| reason.as_str())
                }))
                .bind(each(changes, |change| {
                    change
                        .after
                        .error
                        .as_deref()
                        .map(|text| escape(text).into_owned())
                }))
        })
        .await?;
    written
        .iter()
        .map(|row| BuildRow(row).build()?.ok_or_else(|| corrupt("build_id")))
        .collect()
}

/// Takes the build queued longest that no other step holds.
async fn claim(line: &mut Line<'_>, worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
    let change = claim_of_any()?;
    let claimed = line
        .row(|| {
            sqlx::query(include_str!("sql/claim.sql"))
                .bind(worker.as_str())
                .bind(token_number(change.relied_on.token))
                .bind(change.after.status.as_str())
                .bind(token_number(change.after.token))
        })
        .await?
        .ok_or_else(|| corrupt("no row for a claim"))?;
    let claimed = BuildRow(&claimed);
    let Some(build) = claimed.build()? else {
        return Ok(None);
    };
    let input = claimed.input(build.kind)?;
    let waited = build.updated_at.since(build.created_at);
    Ok(Some(Claimed::new(build, input, waited)))
}

/// The longest a token can be is what 2^63 claims of one build would make it.
fn token_number(token: FencingToken) -> i64 {
    i64::try_from(token.get()).unwrap_or(i64::MAX)
}

/// The claim of any queued build. They differ in nothing a claim relies on, so it is decided over
/// a made-up one, and the statement picks the build.
fn claim_of_any() -> Result<Change, StoreError> {
    let made_up = |error| StoreError::with_source(StoreErrorKind::Rejected, error);
    let input = BuildInput::new(BuildKind::Create, "", FileSet::default());
    let new = NewBuild::new(
        BuildId::parse("any").map_err(made_up)?,
        VersionId::parse("any").map_err(made_up)?,
        UserId::parse("any").map_err(made_up)?,
        ProjectId::parse("any").map_err(made_up)?,
        BuildSessionId::parse("any").map_err(made_up)?,
        input,
    );
    decide_claim(&Build::queued(&new, Timestamp::EPOCH), Timestamp::EPOCH)
        .ok_or_else(|| corrupt("a queued build that cannot be claimed"))
}

#[async_trait]
impl BuildStore for PgBuildStore {
    async fn start(&self, new: NewBuild) -> Result<StartOutcome, StoreError> {
        start::start(&mut Line::Pool(&self.pool), &new).await
    }

    async fn start_many(
        &self,
        batch: Vec<NewBuild>,
    ) -> Result<Vec<Result<StartOutcome, StoreError>>, StoreError> {
        start::start_many(&mut Line::Pool(&self.pool), &batch).await
    }

    async fn claim(&self, worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
        let claimed = claim(&mut Line::Pool(&self.pool), worker).await?;
        if let Some(claimed) = &claimed {
            self.remember(&claimed.build);
        }
        Ok(claimed)
    }

    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError> {
        let line = &mut Line::Pool(&self.pool);
        let mut seen = self.remembered(build, token).await?;
        for _ in 0..DECISIONS {
            let Some(change) = decide_beat(seen.build.as_ref(), token, seen.now) else {
                self.forget(build);
                if seen.read {
                    return Ok(BeatOutcome::Lost);
                }
                seen = load(line, build).await?;
                continue;
            };
            match write(line, &change, true).await? {
                Written::Hit(alive) => {
                    self.remember(&alive);
                    let deadline = self.deadline(&alive)?;
                    return Ok(BeatOutcome::Alive { deadline });
                }
                Written::Miss(fresh) => seen = fresh,
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn finish(&self, finish: Finish) -> Result<FinishOutcome, StoreError> {
        let line = &mut Line::Pool(&self.pool);
        let mut seen = match finish.by {
            Authority::Claim(token) => self.remembered(&finish.build, token).await?,
            Authority::Owner(_) | Authority::Sweep => load(line, &finish.build).await?,
        };
        for _ in 0..DECISIONS {
            let decision = decide_finish(seen.build.as_ref(), &finish, seen.now, &self.deadlines);
            match decision {
                FinishDecision::Refuse(outcome) if seen.read => return Ok(outcome),
                FinishDecision::Refuse(_) => seen = load(line, &finish.build).await?,
                FinishDecision::Apply(change) => match write(line, &change, false).await? {
                    Written::Hit(ended) => {
                        self.forget(&finish.build);
                        return Ok(FinishOutcome::Finished(ended));
                    }
                    Written::Miss(fresh) => seen = fresh,
                },
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn reap(&self, limit: u32) -> Result<Vec<Build>, StoreError> {
        let line = &mut Line::Pool(&self.pool);
        let (now, overdue) = read::overdue(line, &self.deadlines, limit).await?;
        let changes: Vec<Change> = overdue
            .iter()
            .filter_map(|build| decide_reap(build, now, &self.deadlines))
            .collect();
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let ended = write_many(line, &changes).await?;
        for build in &ended {
            self.forget(&build.id);
        }
        Ok(ended)
    }
}
