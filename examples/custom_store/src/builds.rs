//! Builds: a row for each, and what a step may look for beside it.

use async_trait::async_trait;
use redb::{ReadableTable as _, TableDefinition};
use sheen_core::build::{
    BeatOutcome, Build, BuildReader, BuildStore, Change, Claimed, Finish, FinishDecision,
    FinishOutcome, NewBuild, ProjectLatest, Queued, StartDecision, StartOutcome, StartState,
    Status, check_batch, deadline, decide_beat, decide_claim, decide_files, decide_finish,
    decide_reap, decide_start,
};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::files::FileSet;
use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId, WorkerId};
use sheen_core::token::FencingToken;

use crate::rows::{BuildRow, Files, InputRow, ProjectRow};
use crate::{RedbStore, Step, corrupt, read, unavailable, written};

const BUILDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("builds");
/// Builds by user and session.
const SESSIONS: TableDefinition<'_, (&str, &str), &str> = TableDefinition::new("sessions");
const PROJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("projects");
/// Queued and building builds by project and admission.
const ACTIVE: TableDefinition<'_, (&str, u64), &str> = TableDefinition::new("active");
/// Queued builds by admission.
const QUEUE: TableDefinition<'_, u64, &str> = TableDefinition::new("queue");
/// Queued and building builds by deadline and admission.
const DUE: TableDefinition<'_, (i64, u64), &str> = TableDefinition::new("due");

impl Step<'_> {
    fn row(&self, build: &str) -> Result<Option<BuildRow>, StoreError> {
        let builds = self.transaction.open_table(BUILDS).map_err(unavailable)?;
        let row = builds.get(build).map_err(unavailable)?;
        row.map(|row| read(row.value())).transpose()
    }

    /// A row that an index names.
    fn indexed(&self, build: &str) -> Result<BuildRow, StoreError> {
        self.row(build)?
            .ok_or_else(|| corrupt("an index names no build"))
    }

    fn project(&self, project: &ProjectId) -> Result<Option<ProjectRow>, StoreError> {
        let projects = self.transaction.open_table(PROJECTS).map_err(unavailable)?;
        let row = projects.get(project.as_str()).map_err(unavailable)?;
        row.map(|row| read(row.value())).transpose()
    }

    /// A build with its place in the queue.
    fn queued(&self, row: &BuildRow) -> Result<Queued, StoreError> {
        let build = row.build();
        let queue = self.transaction.open_table(QUEUE).map_err(unavailable)?;
        let position = match build.status {
            Status::Queued => queue.range(..=row.admission).map_err(unavailable)?.count(),
            _ => 0,
        };
        let position = u64::try_from(position).unwrap_or(u64::MAX);
        Ok(Queued::new(build, position))
    }

    fn by_session(
        &self,
        user: &UserId,
        session: &BuildSessionId,
    ) -> Result<Option<Queued>, StoreError> {
        let found = {
            let sessions = self.transaction.open_table(SESSIONS).map_err(unavailable)?;
            let found = sessions.get((user.as_str(), session.as_str()));
            found
                .map_err(unavailable)?
                .map(|build| build.value().to_owned())
        };
        found
            .map(|build| self.queued(&self.indexed(&build)?))
            .transpose()
    }

    fn first_active(&self, project: &ProjectId) -> Result<Option<BuildId>, StoreError> {
        let active = self.transaction.open_table(ACTIVE).map_err(unavailable)?;
        let (from, to) = ((project.as_str(), 0), (project.as_str(), u64::MAX));
        let first = active.range(from..=to).map_err(unavailable)?.next();
        let first = first.transpose().map_err(unavailable)?;
        first
            .map(|(_, build)| BuildId::parse(build.value()).map_err(corrupt))
            .transpose()
    }

    fn start(&self, mut new: NewBuild) -> Result<StartOutcome, StoreError> {
        let project = self.project(&new.project)?;
        let state = StartState::new(
            project.as_ref().map(|project| project.owner.clone()),
            self.by_session(&new.user, &new.session)?,
            self.first_active(&new.project)?,
        );
        let build = match decide_start(&state, &new, self.now) {
            StartDecision::Refuse(outcome) => return Ok(outcome),
            StartDecision::Insert(insertion) => insertion.build,
        };
        if self.row(build.id.as_str())?.is_some() {
            let why = "another build has this id";
            return Err(StoreError::with_source(StoreErrorKind::Rejected, why));
        }
        let files = project.map_or_else(|| Ok(FileSet::default()), |row| row.files.set())?;
        new.input.files = decide_files(&files, &new.input);
        let project = ProjectRow {
            owner: build.user.clone(),
            files: Files::of(&new.input.files),
            latest: build.id.clone(),
        };
        let mut projects = self.transaction.open_table(PROJECTS).map_err(unavailable)?;
        let project = written(&project)?;
        let put = projects.insert(build.project.as_str(), project.as_slice());
        put.map_err(unavailable)?;
        let mut sessions = self.transaction.open_table(SESSIONS).map_err(unavailable)?;
        let session = (build.user.as_str(), build.session.as_str());
        sessions
            .insert(session, build.id.as_str())
            .map_err(unavailable)?;
        let admission = self.count("admissions")?;
        let row = BuildRow::of(&build, admission, Some(InputRow::of(&new.input)));
        self.put(None, &row)?;
        Ok(StartOutcome::Started(self.queued(&row)?))
    }

    /// Writes a row, and moves every index with it.
    fn put(&self, before: Option<&Build>, row: &BuildRow) -> Result<(), StoreError> {
        let (after, admission) = (row.build(), row.admission);
        let id = after.id.as_str();
        let mut due = self.transaction.open_table(DUE).map_err(unavailable)?;
        if let Some(was) = before.and_then(|before| deadline(before, &self.deadlines)) {
            due.remove((was.as_millis(), admission))
                .map_err(unavailable)?;
        }
        if let Some(is) = deadline(&after, &self.deadlines) {
            due.insert((is.as_millis(), admission), id)
                .map_err(unavailable)?;
        }
        let mut queue = self.transaction.open_table(QUEUE).map_err(unavailable)?;
        if after.status == Status::Queued {
            queue.insert(admission, id).map_err(unavailable)?;
        } else {
            queue.remove(admission).map_err(unavailable)?;
        }
        let mut active = self.transaction.open_table(ACTIVE).map_err(unavailable)?;
        let slot = (after.project.as_str(), admission);
        if after.status.is_active() {
            active.insert(slot, id).map_err(unavailable)?;
        } else {
            active.remove(slot).map_err(unavailable)?;
        }
        let mut builds = self.transaction.open_table(BUILDS).map_err(unavailable)?;
        builds
            .insert(id, written(row)?.as_slice())
            .map_err(unavailable)?;
        Ok(())
    }

    /// Writes what was decided over a row. Nobody else writes meanwhile, so it is as it was.
    fn apply(&self, row: BuildRow, change: Change) -> Result<Build, StoreError> {
        let (before, after) = (row.build(), change.after);
        let input = row.input.filter(|_| after.status == Status::Queued);
        let written = BuildRow::of(&after, row.admission, input);
        self.put(Some(&before), &written)?;
        Ok(after)
    }

    fn claim(&self) -> Result<Option<Claimed>, StoreError> {
        let oldest = {
            let queue = self.transaction.open_table(QUEUE).map_err(unavailable)?;
            let oldest = queue.first().map_err(unavailable)?;
            oldest.map(|(_, build)| build.value().to_owned())
        };
        let Some(oldest) = oldest else {
            return Ok(None);
        };
        let mut row = self.indexed(&oldest)?;
        let queued = row.build();
        let change = decide_claim(&queued, self.now).ok_or_else(|| corrupt("the queue"))?;
        let input = row
            .input
            .take()
            .ok_or_else(|| corrupt("no input"))?
            .input()?;
        let waited = self.now.since(queued.created_at);
        let build = self.apply(row, change)?;
        Ok(Some(Claimed::new(build, input, waited)))
    }

    fn overdue(&self, limit: u32) -> Result<Vec<BuildRow>, StoreError> {
        let mut names = Vec::new();
        {
            let due = self.transaction.open_table(DUE).map_err(unavailable)?;
            let now = (self.now.as_millis(), u64::MAX);
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            for found in due.range(..=now).map_err(unavailable)?.take(limit) {
                let (_, build) = found.map_err(unavailable)?;
                names.push(build.value().to_owned());
            }
        }
        names.iter().map(|build| self.indexed(build)).collect()
    }

    fn reap(&self, limit: u32) -> Result<Vec<Build>, StoreError> {
        let mut reaped = Vec::new();
        for row in self.overdue(limit)? {
            if let Some(change) = decide_reap(&row.build(), self.now, &self.deadlines) {
                reaped.push(self.apply(row, change)?);
            }
        }
        Ok(reaped)
    }
}

#[async_trait]
impl BuildStore for RedbStore {
    async fn start(&self, new: NewBuild) -> Result<StartOutcome, StoreError> {
        self.step(move |step| step.start(new)).await
    }

    /// One after another: a start that fails must not take those before it with it.
    async fn start_many(
        &self,
        batch: Vec<NewBuild>,
    ) -> Result<Vec<Result<StartOutcome, StoreError>>, StoreError> {
        check_batch(&batch)?;
        let mut answers = Vec::with_capacity(batch.len());
        for new in batch {
            answers.push(self.start(new).await);
        }
        Ok(answers)
    }

    async fn claim(&self, _worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
        self.step(|step| step.claim()).await
    }

    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError> {
        let build = build.clone();
        self.step(move |step| {
            let Some(row) = step.row(build.as_str())? else {
                return Ok(BeatOutcome::Lost);
            };
            let Some(change) = decide_beat(Some(&row.build()), token, step.now) else {
                return Ok(BeatOutcome::Lost);
            };
            let alive = step.apply(row, change)?;
            let deadline = deadline(&alive, &step.deadlines);
            Ok(
                deadline.map_or(BeatOutcome::Lost, |deadline| BeatOutcome::Alive {
                    deadline,
                }),
            )
        })
        .await
    }

    async fn finish(&self, finish: Finish) -> Result<FinishOutcome, StoreError> {
        self.step(move |step| {
            let row = step.row(finish.build.as_str())?;
            let build = row.as_ref().map(BuildRow::build);
            match (
                decide_finish(build.as_ref(), &finish, step.now, &step.deadlines),
                row,
            ) {
                (FinishDecision::Refuse(outcome), _) => Ok(outcome),
                (FinishDecision::Apply(change), Some(row)) => {
                    Ok(FinishOutcome::Finished(step.apply(row, change)?))
                }
                (FinishDecision::Apply(_), None) => Err(corrupt("an end of no build")),
            }
        })
        .await
    }

    async fn reap(&self, limit: u32) -> Result<Vec<Build>, StoreError> {
        self.step(move |step| step.reap(limit)).await
    }
}

#[async_trait]
impl BuildReader for RedbStore {
    async fn get(&self, build: &BuildId) -> Result<Option<Queued>, StoreError> {
        let build = build.clone();
        self.step(move |step| {
            let row = step.row(build.as_str())?;
            row.map(|row| step.queued(&row)).transpose()
        })
        .await
    }

    async fn by_session(
        &self,
        user: &UserId,
        session: &BuildSessionId,
    ) -> Result<Option<Queued>, StoreError> {
        let (user, session) = (user.clone(), session.clone());
        self.step(move |step| step.by_session(&user, &session))
            .await
    }

    async fn latest(&self, projects: &[ProjectId]) -> Result<Vec<ProjectLatest>, StoreError> {
        let projects = projects.to_vec();
        self.step(move |step| {
            let mut latest = Vec::new();
            for id in projects {
                if let Some(project) = step.project(&id)? {
                    let build = step.indexed(project.latest.as_str())?.build();
                    latest.push(ProjectLatest::new(id, project.owner, Some(build)));
                }
            }
            Ok(latest)
        })
        .await
    }

    async fn owner(&self, project: &ProjectId) -> Result<Option<UserId>, StoreError> {
        let project = project.clone();
        self.step(move |step| Ok(step.project(&project)?.map(|project| project.owner)))
            .await
    }

    async fn project_files(&self, project: &ProjectId) -> Result<FileSet, StoreError> {
        let project = project.clone();
        self.step(move |step| {
            let project = step.project(&project)?;
            project.map_or_else(|| Ok(FileSet::default()), |project| project.files.set())
        })
        .await
    }

    async fn overdue(&self, limit: u32) -> Result<Vec<Build>, StoreError> {
        self.step(move |step| Ok(step.overdue(limit)?.iter().map(BuildRow::build).collect()))
            .await
    }
}
