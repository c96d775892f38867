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

mod read;
mod rows;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sqlx::postgres::PgPool;

use super::decide::{
    Change, FinishDecision, StartDecision, StartState, deadline, decide_beat, decide_claim,
    decide_files, decide_finish, decide_start,
};
use super::store::BuildStore;
use super::types::{
    Authority, BeatOutcome, Build, BuildInput, BuildKind, Claimed, Deadlines, Finish,
    FinishOutcome, NewBuild, Queued, StartOutcome,
};
use crate::error::{StoreError, StoreErrorKind};
use crate::files::{FilePath, FileSet};
use crate::id::{BuildId, BuildSessionId, ProjectId, UserId, VersionId, WorkerId};
use crate::postgres::{escape, row};
use crate::time::Timestamp;
use crate::token::FencingToken;
use rows::{BuildRow, corrupt, files_text, kind_text, parse_files, position};

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
    pool: PgPool,
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

/// What a project has been made of so far.
#[derive(Default)]
struct Base {
    /// The build that says so.
    last: Option<BuildId>,
    files: FileSet,
}

/// How a start found its project.
struct Met {
    state: StartState,
    last: Option<BuildId>,
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

    /// The build as this process left it, if the claim with `token` is its own; else as it is.
    async fn remembered(&self, build: &BuildId, token: FencingToken) -> Result<Seen, StoreError> {
        let remembered = self.claimed().get(build).cloned();
        match remembered.filter(|build| build.token == token) {
            Some(build) => Ok(Seen {
                now: build.updated_at,
                build: Some(build),
                read: false,
            }),
            None => self.load(build).await,
        }
    }

    async fn load(&self, build: &BuildId) -> Result<Seen, StoreError> {
        let found = row(&self.pool, || {
            sqlx::query(include_str!("sql/load.sql")).bind(build.as_str())
        })
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
    async fn write(&self, change: &Change, beat: bool) -> Result<Written, StoreError> {
        let (before, after) = (&change.relied_on, &change.after);
        let written = row(&self.pool, || {
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

    /// The project's files, and which build they are of.
    async fn base(&self, project: &ProjectId) -> Result<Base, StoreError> {
        let found = row(&self.pool, || {
            sqlx::query(include_str!("sql/project_files.sql")).bind(project.as_str())
        })
        .await?;
        let Some(found) = found else {
            return Ok(Base::default());
        };
        let found = BuildRow(&found);
        let files: Option<&str> = found.get("files")?;
        Ok(Base {
            last: found.id("last_build_id", BuildId::parse)?,
            files: files.map(parse_files).transpose()?.unwrap_or_default(),
        })
    }

    /// Sends a start; what it met when that is not what it assumed.
    async fn send_start(
        &self,
        new: &NewBuild,
        first: &Build,
        base: &Base,
    ) -> Result<Result<Queued, Met>, StoreError> {
        let files = files_text(&decide_files(&base.files, &new.input))?;
        let started = row(&self.pool, || {
            sqlx::query(include_str!("sql/start.sql"))
                .bind(new.id.as_str())
                .bind(new.version.as_str())
                .bind(new.user.as_str())
                .bind(new.project.as_str())
                .bind(new.session.as_str())
                .bind(kind_text(new.input.kind))
                .bind(new.allow_concurrent)
                .bind(new.hold.as_ref().map(|hold| hold.id.as_str()))
                .bind(new.hold.as_ref().map(|hold| hold.seconds.as_i64()))
                .bind(escape(&new.input.prompt))
                .bind(&files)
                .bind(new.input.metadata.as_deref().map(escape))
                .bind(new.input.locale.as_str())
                .bind(first.status.as_str())
                .bind(token_number(first.token))
                .bind(starts_beside_others(new))
                .bind(base.last.as_ref().map(BuildId::as_str))
                .bind(!works_over_project(&new.input))
        })
        .await?
        .ok_or_else(|| corrupt("no row for a start"))?;
        let started = BuildRow(&started);
        let queued = match started.build()? {
            Some(build) => Some(Queued::new(build, position(&started)?)),
            None => None,
        };
        match queued {
            Some(queued) if started.get("hit")? => Ok(Ok(queued)),
            session => Ok(Err(Met {
                state: StartState::new(
                    started.id("owner_id", UserId::parse)?,
                    session,
                    started.id("active_id", BuildId::parse)?,
                ),
                last: started.id("last_build_id", BuildId::parse)?,
            })),
        }
    }
}

/// The longest a token can be is what 2^63 claims of one build would make it.
fn token_number(token: FencingToken) -> i64 {
    i64::try_from(token.get()).unwrap_or(i64::MAX)
}

/// Whether `new` starts beside an active build too: then the apply need not compare that.
fn starts_beside_others(new: &NewBuild) -> bool {
    let state = StartState::new(Some(new.user.clone()), None, Some(new.id.clone()));
    let decision = decide_start(&state, new, Timestamp::EPOCH);
    matches!(decision, StartDecision::Insert(_))
}

/// Whether the files of a build depend on its project's: what is left of them when it brings none.
fn works_over_project(input: &BuildInput) -> bool {
    let probe = FilePath::parse("probe")
        .into_iter()
        .map(|path| (path, "".into()))
        .collect();
    let mut bare = input.clone();
    bare.files = FileSet::default();
    !decide_files(&probe, &bare).is_empty()
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
        let over_project = works_over_project(&new.input);
        let mut base = if over_project {
            self.base(&new.project).await?
        } else {
            Base::default()
        };
        let mut state = StartState::default();
        for _ in 0..DECISIONS {
            // The statement compares just what lets `decide_start` insert: the project nobody's
            // or the user's, the session unknown, and no active build where that matters.
            let insertion = match decide_start(&state, &new, Timestamp::EPOCH) {
                StartDecision::Refuse(outcome) => return Ok(outcome),
                StartDecision::Insert(insertion) => insertion,
            };
            match self.send_start(&new, &insertion.build, &base).await? {
                Ok(queued) => return Ok(StartOutcome::Started(queued)),
                Err(met) => {
                    if over_project && met.last != base.last {
                        base = self.base(&new.project).await?;
                    }
                    state = met.state;
                }
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn claim(&self, worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
        let change = claim_of_any()?;
        let claimed = row(&self.pool, || {
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
        self.remember(&build);
        let waited = build.updated_at.since(build.created_at);
        Ok(Some(Claimed::new(build, input, waited)))
    }

    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError> {
        let mut seen = self.remembered(build, token).await?;
        for _ in 0..DECISIONS {
            let Some(change) = decide_beat(seen.build.as_ref(), token, seen.now) else {
                self.forget(build);
                if seen.read {
                    return Ok(BeatOutcome::Lost);
                }
                seen = self.load(build).await?;
                continue;
            };
            match self.write(&change, true).await? {
                Written::Hit(alive) => {
                    self.remember(&alive);
                    let deadline = deadline(&alive, &self.deadlines)
                        .ok_or_else(|| corrupt("a heartbeat of an ended build"))?;
                    return Ok(BeatOutcome::Alive { deadline });
                }
                Written::Miss(fresh) => seen = fresh,
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn finish(&self, finish: Finish) -> Result<FinishOutcome, StoreError> {
        let mut seen = match finish.by {
            Authority::Claim(token) => self.remembered(&finish.build, token).await?,
            Authority::Owner(_) | Authority::Sweep => self.load(&finish.build).await?,
        };
        for _ in 0..DECISIONS {
            let decision = decide_finish(seen.build.as_ref(), &finish, seen.now, &self.deadlines);
            match decision {
                FinishDecision::Refuse(outcome) if seen.read => return Ok(outcome),
                FinishDecision::Refuse(_) => seen = self.load(&finish.build).await?,
                FinishDecision::Apply(change) => match self.write(&change, false).await? {
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
}
