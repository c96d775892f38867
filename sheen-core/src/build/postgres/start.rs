//! Starts, singly and in batches.

use std::collections::HashMap;

use sqlx::postgres::PgRow;

use super::Line;
use super::rows::{BuildRow, corrupt, files_text, kind_text, parse_files, position};
use super::{DECISIONS, token_number};
use crate::build::decide::{StartDecision, StartState, check_batch, decide_files, decide_start};
use crate::build::types::{Build, BuildInput, NewBuild, Queued, StartOutcome};
use crate::error::{StoreError, StoreErrorKind};
use crate::files::{FilePath, FileSet};
use crate::id::{BuildId, ProjectId, UserId};
use crate::postgres::escape;
use crate::time::Timestamp;

/// What a project has been made of so far.
#[derive(Default, Clone)]
pub(super) struct Base {
    /// The build that says so.
    last: Option<BuildId>,
    pub(super) files: FileSet,
}

/// How a start found its project.
struct Met {
    state: StartState,
    last: Option<BuildId>,
}

/// A start as it is sent: all that is decided before anything is known of its project.
struct Draft<'n> {
    new: &'n NewBuild,
    row: Build,
    files: String,
    last: Option<BuildId>,
    beside_others: bool,
    over_project: bool,
}

/// What came of a sent start.
type Sent = Result<Queued, Met>;

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

impl<'n> Draft<'n> {
    /// `new` over `base`, as a start in whose way nothing stands; `base` becomes what it leaves.
    fn of(new: &'n NewBuild, base: &mut Base) -> Result<Self, StoreError> {
        let decision = decide_start(&StartState::default(), new, Timestamp::EPOCH);
        let StartDecision::Insert(insertion) = decision else {
            return Err(corrupt("a start in whose way nothing stands was refused"));
        };
        let files = decide_files(&base.files, &new.input);
        let draft = Self {
            new,
            row: insertion.build,
            files: files_text(&files)?,
            last: base.last.replace(new.id.clone()),
            beside_others: starts_beside_others(new),
            over_project: works_over_project(&new.input),
        };
        base.files = files;
        Ok(draft)
    }
}

/// What a row says of the start it answers.
fn sent(row: &PgRow) -> Result<Sent, StoreError> {
    let row = BuildRow(row);
    let queued = match row.build()? {
        Some(build) => Some(Queued::new(build, position(&row)?)),
        None => None,
    };
    match queued {
        Some(queued) if row.get("hit")? => Ok(Ok(queued)),
        session => Ok(Err(Met {
            state: StartState::new(
                row.id("owner_id", UserId::parse)?,
                session,
                row.id("active_id", BuildId::parse)?,
            ),
            last: row.id("last_build_id", BuildId::parse)?,
        })),
    }
}

/// The project's files, and which build they are of.
pub(super) async fn base(line: &mut Line<'_>, project: &ProjectId) -> Result<Base, StoreError> {
    let found = line
        .row(|| sqlx::query(include_str!("sql/project_files.sql")).bind(project.as_str()))
        .await?;
    found.map_or(Ok(Base::default()), |found| base_of(&BuildRow(&found)))
}

fn base_of(row: &BuildRow<'_>) -> Result<Base, StoreError> {
    let files: Option<&str> = row.get("files")?;
    Ok(Base {
        last: row.id("last_build_id", BuildId::parse)?,
        files: files.map(parse_files).transpose()?.unwrap_or_default(),
    })
}

/// The same for each of `projects` that is there, in one statement.
async fn bases(
    line: &mut Line<'_>,
    projects: &[&str],
) -> Result<HashMap<String, Base>, StoreError> {
    let found = line
        .rows(|| sqlx::query(include_str!("sql/projects_files.sql")).bind(projects))
        .await?;
    let mut bases = HashMap::new();
    for found in &found {
        let found = BuildRow(found);
        bases.insert(found.get::<String>("project_id")?, base_of(&found)?);
    }
    Ok(bases)
}

async fn send_start(line: &mut Line<'_>, draft: &Draft<'_>) -> Result<Sent, StoreError> {
    let (new, first) = (draft.new, &draft.row);
    let started = line
        .row(|| {
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
                .bind(&draft.files)
                .bind(new.input.metadata.as_deref().map(escape))
                .bind(new.input.locale.as_str())
                .bind(first.status.as_str())
                .bind(token_number(first.token))
                .bind(draft.beside_others)
                .bind(draft.last.as_ref().map(BuildId::as_str))
                .bind(!draft.over_project)
        })
        .await?
        .ok_or_else(|| corrupt("no row for a start"))?;
    sent(&started)
}

/// Puts a build in the queue.
pub(super) async fn start(line: &mut Line<'_>, new: &NewBuild) -> Result<StartOutcome, StoreError> {
    let over_project = works_over_project(&new.input);
    let mut known = if over_project {
        base(line, &new.project).await?
    } else {
        Base::default()
    };
    for _ in 0..DECISIONS {
        // The statement compares just what lets `decide_start` insert: the project nobody's or the
        // user's, the session unknown, and no active build where that matters.
        let draft = Draft::of(new, &mut known.clone())?;
        let met = match send_start(line, &draft).await? {
            Ok(queued) => return Ok(StartOutcome::Started(queued)),
            Err(met) => met,
        };
        if let StartDecision::Refuse(outcome) = decide_start(&met.state, new, Timestamp::EPOCH) {
            return Ok(outcome);
        }
        if over_project && met.last != known.last {
            known = base(line, &new.project).await?;
        }
    }
    Err(StoreError::new(StoreErrorKind::Contended))
}

/// Puts builds in the queue, in order: one statement for all of them, and one before it for the
/// files of projects that are updated. What came of each, up to one whose project moved meanwhile.
async fn send_batch(
    line: &mut Line<'_>,
    batch: &[NewBuild],
) -> Result<Vec<Option<StartOutcome>>, StoreError> {
    let mut over: Vec<&str> = batch
        .iter()
        .filter(|new| works_over_project(&new.input))
        .map(|new| new.project.as_str())
        .collect();
    over.sort_unstable();
    over.dedup();
    let mut known = if over.is_empty() {
        HashMap::new()
    } else {
        bases(line, &over).await?
    };
    // Each is laid over what those before it leave: where one of them is refused, the statement ends.
    let drafts = batch
        .iter()
        .map(|new| {
            Draft::of(
                new,
                known.entry(new.project.as_str().to_owned()).or_default(),
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    let answers = send_drafts(line, &drafts).await?;
    if answers.is_empty() {
        return Err(corrupt("no row for a batch of starts"));
    }
    let mut outcomes = Vec::with_capacity(answers.len());
    for (answer, draft) in answers.iter().zip(&drafts) {
        outcomes.push(match sent(answer)? {
            Ok(queued) => Some(StartOutcome::Started(queued)),
            Err(met) => match decide_start(&met.state, draft.new, Timestamp::EPOCH) {
                StartDecision::Refuse(outcome) => Some(outcome),
                StartDecision::Insert(_) => None,
            },
        });
    }
    Ok(outcomes)
}

async fn send_drafts(line: &mut Line<'_>, drafts: &[Draft<'_>]) -> Result<Vec<PgRow>, StoreError> {
    fn each<'d, T>(drafts: &'d [Draft<'_>], of: impl Fn(&'d Draft<'_>) -> T) -> Vec<T> {
        drafts.iter().map(of).collect()
    }
    let of = |column: fn(&NewBuild) -> &str| each(drafts, |draft| column(draft.new));
    line.rows(|| {
        sqlx::query(include_str!("sql/start_many.sql"))
            .bind(of(|new| new.id.as_str()))
            .bind(of(|new| new.version.as_str()))
            .bind(of(|new| new.user.as_str()))
            .bind(of(|new| new.project.as_str()))
            .bind(of(|new| new.session.as_str()))
            .bind(of(|new| kind_text(new.input.kind)))
            .bind(each(drafts, |draft| draft.new.allow_concurrent))
            .bind(each(drafts, |draft| {
                draft.new.hold.as_ref().map(|hold| hold.id.as_str())
            }))
            .bind(each(drafts, |draft| {
                draft.new.hold.as_ref().map(|hold| hold.seconds.as_i64())
            }))
            .bind(each(drafts, |draft| {
                escape(&draft.new.input.prompt).into_owned()
            }))
            .bind(each(drafts, |draft| draft.files.as_str()))
            .bind(each(drafts, |draft| {
                draft
                    .new
                    .input
                    .metadata
                    .as_deref()
                    .map(|text| escape(text).into_owned())
            }))
            .bind(of(|new| new.input.locale.as_str()))
            .bind(each(drafts, |draft| draft.row.status.as_str()))
            .bind(each(drafts, |draft| token_number(draft.row.token)))
            .bind(each(drafts, |draft| draft.beside_others))
            .bind(each(drafts, |draft| {
                draft.last.as_ref().map(BuildId::as_str)
            }))
            .bind(each(drafts, |draft| !draft.over_project))
    })
    .await
}

/// Whether a statement's failure may be the fault of one member alone.
const fn may_be_a_members(kind: StoreErrorKind) -> bool {
    matches!(
        kind,
        StoreErrorKind::Rejected | StoreErrorKind::Corrupt | StoreErrorKind::Full
    )
}

/// Puts builds in the queue, one after another, with an answer each.
pub(super) async fn start_many(
    line: &mut Line<'_>,
    batch: &[NewBuild],
) -> Result<Vec<Result<StartOutcome, StoreError>>, StoreError> {
    check_batch(batch)?;
    let mut outcomes = Vec::with_capacity(batch.len());
    while outcomes.len() < batch.len() {
        let rest = &batch[outcomes.len()..];
        match send_batch(line, rest).await {
            Ok(answers) => {
                for answer in answers {
                    let new = &batch[outcomes.len()];
                    outcomes.push(match answer {
                        Some(outcome) => Ok(outcome),
                        None => start(line, new).await,
                    });
                }
            }
            // One of them broke the statement, which wrote nothing: singly it breaks its own alone.
            Err(error) if may_be_a_members(error.kind) && matches!(line, Line::Pool(_)) => {
                for new in rest {
                    outcomes.push(start(line, new).await);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(outcomes)
}
