//! What the memory store holds: every step at an instant the caller names.

use std::collections::{BTreeMap, HashMap};

use super::MemoryBuildStore;
use crate::build::decide::{
    Change, FinishDecision, StartDecision, StartState, check_batch, deadline, decide_beat,
    decide_claim, decide_files, decide_finish, decide_project_claim, decide_reap, decide_start,
};
use crate::build::settled::OutboxState;
use crate::build::types::{
    BeatOutcome, Build, BuildInput, Claimed, Deadlines, Finish, FinishOutcome, NewBuild,
    ProjectClaimOutcome, ProjectLatest, Queued, StartOutcome, Status,
};
use crate::error::{StoreError, StoreErrorKind};
use crate::files::FileSet;
use crate::id::{BuildId, BuildSessionId, ProjectId, UserId};
use crate::time::Timestamp;
use crate::token::FencingToken;

/// The order in which builds were admitted.
type Admission = u64;

#[derive(Debug)]
struct Entry {
    build: Build,
    admission: Admission,
    /// There until it is claimed or ended.
    input: Option<BuildInput>,
}

#[derive(Debug)]
struct Project {
    owner: UserId,
    files: FileSet,
    active: BTreeMap<Admission, BuildId>,
    latest: Option<BuildId>,
}

/// What a [`MemoryBuildStore`] holds. Every method is one step of
/// [`BuildStore`](crate::build::BuildStore) or [`BuildReader`](crate::build::BuildReader) at an instant the caller names.
#[derive(Debug)]
pub struct BuildState {
    deadlines: Deadlines,
    capacity: usize,
    pub(super) max_bytes: usize,
    /// Of all projects' files.
    bytes: usize,
    admitted: Admission,
    builds: HashMap<BuildId, Entry>,
    sessions: HashMap<UserId, HashMap<BuildSessionId, BuildId>>,
    projects: HashMap<ProjectId, Project>,
    queue: BTreeMap<Admission, BuildId>,
    due: BTreeMap<(Timestamp, Admission), BuildId>,
    pub(super) outbox: OutboxState,
}

impl BuildState {
    pub(super) fn new(deadlines: Deadlines, capacity: usize) -> Self {
        Self {
            deadlines,
            capacity,
            max_bytes: MemoryBuildStore::DEFAULT_MAX_BYTES,
            bytes: 0,
            admitted: 0,
            builds: HashMap::new(),
            sessions: HashMap::new(),
            projects: HashMap::new(),
            queue: BTreeMap::new(),
            due: BTreeMap::new(),
            outbox: OutboxState::default(),
        }
    }

    /// What a start would be refused with; `None` when it would go through.
    ///
    /// # Errors
    /// When the store is full, or another build has this id.
    pub fn check_start(
        &self,
        now: Timestamp,
        new: &NewBuild,
    ) -> Result<Option<StartOutcome>, StoreError> {
        match self.start_decision(now, new)? {
            StartDecision::Refuse(outcome) => Ok(Some(outcome)),
            StartDecision::Insert(_) => Ok(None),
        }
    }

    fn start_decision(&self, now: Timestamp, new: &NewBuild) -> Result<StartDecision, StoreError> {
        let project = self.projects.get(&new.project);
        let state = StartState::new(
            project.map(|project| project.owner.clone()),
            self.by_session(&new.user, &new.session),
            project.and_then(|project| project.active.values().next().cloned()),
        );
        let decision = decide_start(&state, new, now);
        if let StartDecision::Insert(insertion) = &decision {
            if self.builds.contains_key(&new.id) {
                return Err(StoreError::with_source(
                    StoreErrorKind::Rejected,
                    "another build has this id",
                ));
            }
            let no_project = insertion.claims_project && self.projects.len() >= self.capacity;
            let no_room = self.bytes_after(new) > self.max_bytes;
            if no_project || no_room || self.builds.len() >= self.capacity {
                return Err(StoreError::new(StoreErrorKind::Full));
            }
        }
        Ok(decision)
    }

    /// How many bytes the files of all projects would have with `new` started.
    fn bytes_after(&self, new: &NewBuild) -> usize {
        let before = self.project_files(&new.project);
        let after = decide_files(&before, &new.input).bytes();
        self.bytes - before.bytes() + after
    }

    /// Puts a build in the queue ([`BuildStore::start`](crate::build::BuildStore::start)).
    ///
    /// # Errors
    /// When the store is full, or another build has this id.
    pub fn start(&mut self, now: Timestamp, mut new: NewBuild) -> Result<StartOutcome, StoreError> {
        let build = match self.start_decision(now, &new)? {
            StartDecision::Refuse(outcome) => return Ok(outcome),
            StartDecision::Insert(insertion) => insertion.build,
        };
        self.bytes = self.bytes_after(&new);
        self.admitted += 1;
        let admission = self.admitted;
        let project = self
            .projects
            .entry(build.project.clone())
            .or_insert_with(|| Project::of(&build.user));
        new.input.files = decide_files(&project.files, &new.input);
        project.files = new.input.files.clone();
        project.active.insert(admission, build.id.clone());
        project.latest = Some(build.id.clone());
        self.sessions
            .entry(build.user.clone())
            .or_default()
            .insert(build.session.clone(), build.id.clone());
        self.queue.insert(admission, build.id.clone());
        if let Some(due) = deadline(&build, &self.deadlines) {
            self.due.insert((due, admission), build.id.clone());
        }
        let entry = Entry {
            build: build.clone(),
            admission,
            input: Some(new.input),
        };
        self.builds.insert(build.id.clone(), entry);
        let position = self.queued();
        Ok(StartOutcome::Started(Queued::new(build, position)))
    }

    /// The build that a claim would take.
    #[must_use]
    pub fn peek_claim(&self) -> Option<&Build> {
        let oldest = self.queue.values().next()?;
        self.builds.get(oldest).map(|entry| &entry.build)
    }

    /// Takes the oldest queued build ([`BuildStore::claim`](crate::build::BuildStore::claim)).
    pub fn claim(&mut self, now: Timestamp) -> Option<Claimed> {
        let oldest = self.queue.values().next()?.clone();
        let entry = self.builds.get_mut(&oldest)?;
        let change = decide_claim(&entry.build, now)?;
        let input = entry.input.take()?;
        let waited = now.since(entry.build.created_at);
        Some(Claimed::new(self.apply(change)?, input, waited))
    }

    /// What a heartbeat would be refused with; `None` when it would count.
    #[must_use]
    pub fn check_beat(&self, build: &BuildId, token: FencingToken) -> Option<BeatOutcome> {
        match decide_beat(self.get_build(build), token, Timestamp::EPOCH) {
            Some(_) => None,
            None => Some(BeatOutcome::Lost),
        }
    }

    /// Notes that a claim's holder is alive ([`BuildStore::beat`](crate::build::BuildStore::beat)).
    pub fn beat(&mut self, now: Timestamp, build: &BuildId, token: FencingToken) -> BeatOutcome {
        let alive = decide_beat(self.get_build(build), token, now)
            .and_then(|change| self.apply(change))
            .and_then(|build| deadline(&build, &self.deadlines));
        match alive {
            Some(deadline) => BeatOutcome::Alive { deadline },
            None => BeatOutcome::Lost,
        }
    }

    /// What an end would come to, without writing it.
    #[must_use]
    pub fn decide_finish(&self, now: Timestamp, finish: &Finish) -> FinishDecision {
        decide_finish(self.get_build(&finish.build), finish, now, &self.deadlines)
    }

    /// What an end would be refused with; `None` when it would go through.
    #[must_use]
    pub fn check_finish(&self, now: Timestamp, finish: &Finish) -> Option<FinishOutcome> {
        match self.decide_finish(now, finish) {
            FinishDecision::Refuse(outcome) => Some(outcome),
            FinishDecision::Apply(_) => None,
        }
    }

    /// Ends a build ([`BuildStore::finish`](crate::build::BuildStore::finish)).
    pub fn finish(&mut self, now: Timestamp, finish: &Finish) -> FinishOutcome {
        match self.decide_finish(now, finish) {
            FinishDecision::Refuse(outcome) => outcome,
            FinishDecision::Apply(change) => match self.apply(change) {
                Some(build) => FinishOutcome::Finished(build),
                None => FinishOutcome::NotFound,
            },
        }
    }

    /// Puts builds in the queue, one after another ([`BuildStore::start_many`]).
    ///
    /// [`BuildStore::start_many`]: crate::build::BuildStore::start_many
    ///
    /// # Errors
    /// When there are more than [`NewBuild::MAX_BATCH`].
    pub fn start_many(
        &mut self,
        now: Timestamp,
        batch: Vec<NewBuild>,
    ) -> Result<Vec<Result<StartOutcome, StoreError>>, StoreError> {
        check_batch(&batch)?;
        Ok(batch.into_iter().map(|new| self.start(now, new)).collect())
    }

    /// Ends overdue builds ([`BuildStore::reap`]).
    ///
    /// [`BuildStore::reap`]: crate::build::BuildStore::reap
    pub fn reap(&mut self, now: Timestamp, limit: u32) -> Vec<Build> {
        let deadlines = self.deadlines;
        self.overdue(now, limit)
            .into_iter()
            .filter_map(|build| decide_reap(&build, now, &deadlines))
            .filter_map(|change| self.apply(change))
            .collect()
    }

    /// Writes a decided row and moves every index with it. The lock was held since it was decided,
    /// so its revision cannot have changed.
    fn apply(&mut self, change: Change) -> Option<Build> {
        let entry = self.builds.get_mut(&change.after.id)?;
        let admission = entry.admission;
        if let Some(was_due) = deadline(&entry.build, &self.deadlines) {
            self.due.remove(&(was_due, admission));
        }
        let after = change.after;
        if let Some(due) = deadline(&after, &self.deadlines) {
            self.due.insert((due, admission), after.id.clone());
        }
        if after.status != Status::Queued {
            self.queue.remove(&admission);
        }
        if !after.status.is_active() {
            entry.input = None;
            if let Some(project) = self.projects.get_mut(&after.project) {
                project.active.remove(&admission);
            }
            self.outbox.settled(&after.id, after.updated_at);
        }
        entry.build = after.clone();
        Some(after)
    }

    /// Whose the project would be once `user` claimed it, when that would write nothing; `None`
    /// when it would become the user's.
    ///
    /// # Errors
    /// When it would become the user's and the store is full.
    pub fn check_project_claim(
        &self,
        user: &UserId,
        project: &ProjectId,
    ) -> Result<Option<ProjectClaimOutcome>, StoreError> {
        match decide_project_claim(self.owner(project), user) {
            ProjectClaimOutcome::Claimed if self.projects.len() >= self.capacity => {
                Err(StoreError::new(StoreErrorKind::Full))
            }
            ProjectClaimOutcome::Claimed => Ok(None),
            refusal => Ok(Some(refusal)),
        }
    }

    /// Makes `user` the owner of a project nobody owns: what an accepted call that names a project
    /// does, beside a start (wire.md §15).
    ///
    /// # Errors
    /// When the store is full.
    pub fn claim_project(
        &mut self,
        user: &UserId,
        project: &ProjectId,
    ) -> Result<ProjectClaimOutcome, StoreError> {
        if let Some(outcome) = self.check_project_claim(user, project)? {
            return Ok(outcome);
        }
        self.projects.insert(project.clone(), Project::of(user));
        Ok(ProjectClaimOutcome::Claimed)
    }

    /// The build with this id.
    #[must_use]
    pub fn get_build(&self, build: &BuildId) -> Option<&Build> {
        self.builds.get(build).map(|entry| &entry.build)
    }

    /// The build with this id and its place in the queue ([`BuildReader::get`](crate::build::BuildReader::get)).
    #[must_use]
    pub fn get(&self, build: &BuildId) -> Option<Queued> {
        let entry = self.builds.get(build)?;
        let position = match entry.build.status {
            Status::Queued => self.queue.range(..=entry.admission).count(),
            _ => 0,
        };
        let position = u64::try_from(position).unwrap_or(u64::MAX);
        Some(Queued::new(entry.build.clone(), position))
    }

    /// The build that `session` of `user` names ([`BuildReader::by_session`](crate::build::BuildReader::by_session)).
    #[must_use]
    pub fn by_session(&self, user: &UserId, session: &BuildSessionId) -> Option<Queued> {
        self.get(self.sessions.get(user)?.get(session)?)
    }

    /// Each of `projects` with its latest build ([`BuildReader::latest`](crate::build::BuildReader::latest)).
    #[must_use]
    pub fn latest(&self, projects: &[ProjectId]) -> Vec<ProjectLatest> {
        let found = |id: &ProjectId| {
            let project = self.projects.get(id)?;
            let latest = project.latest.as_ref();
            let build = latest.and_then(|latest| self.get_build(latest)).cloned();
            Some(ProjectLatest::new(id.clone(), project.owner.clone(), build))
        };
        projects.iter().filter_map(found).collect()
    }

    /// Who owns `project` ([`BuildReader::owner`](crate::build::BuildReader::owner)).
    #[must_use]
    pub fn owner(&self, project: &ProjectId) -> Option<&UserId> {
        self.projects.get(project).map(|project| &project.owner)
    }

    /// The project's files ([`BuildReader::project_files`](crate::build::BuildReader::project_files)).
    #[must_use]
    pub fn project_files(&self, project: &ProjectId) -> FileSet {
        self.projects
            .get(project)
            .map(|project| project.files.clone())
            .unwrap_or_default()
    }

    /// Builds that the sweep should end ([`BuildReader::overdue`](crate::build::BuildReader::overdue)).
    #[must_use]
    pub fn overdue(&self, now: Timestamp, limit: u32) -> Vec<Build> {
        self.due
            .range(..=(now, Admission::MAX))
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .filter_map(|(_, build)| self.get_build(build).cloned())
            .collect()
    }

    /// Every build, in no particular order.
    pub fn builds(&self) -> impl Iterator<Item = &Build> {
        self.builds.values().map(|entry| &entry.build)
    }

    /// How many builds are queued.
    #[must_use]
    pub fn queued(&self) -> u64 {
        u64::try_from(self.queue.len()).unwrap_or(u64::MAX)
    }

    /// How many builds are building.
    #[must_use]
    pub fn building(&self) -> u64 {
        u64::try_from(self.due.len()).unwrap_or(u64::MAX) - self.queued()
    }
}

impl Project {
    fn of(owner: &UserId) -> Self {
        Self {
            owner: owner.clone(),
            files: FileSet::default(),
            active: BTreeMap::new(),
            latest: None,
        }
    }
}
