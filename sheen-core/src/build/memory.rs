//! Builds in memory: one process, gone when it ends.
//!
//! 1. It holds `capacity` builds, ended ones among them, as many owned projects, and a bounded
//!    number of bytes of their files. Full, it
//!    refuses with [`StoreErrorKind::Full`] and forgets nothing: a forgotten session would start its
//!    build again.
//! 2. A build's input is dropped once it was claimed or ended; nobody can ask for it again.
//! 3. A start, a claim, a heartbeat, an end and each build of a sweep cost O(log n). Only telling
//!    the place of a build in the queue counts the builds before it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::decide::{
    Change, FinishDecision, StartDecision, StartState, deadline, decide_beat, decide_claim,
    decide_files, decide_finish, decide_project_claim, decide_start,
};
use super::store::{BuildReader, BuildStore};
use super::types::{
    BeatOutcome, Build, BuildInput, Claimed, Deadlines, Finish, FinishOutcome, NewBuild,
    ProjectClaimOutcome, Queued, StartOutcome, Status,
};
use crate::error::{StoreError, StoreErrorKind};
use crate::files::FileSet;
use crate::id::{BuildId, BuildSessionId, ProjectId, UserId, WorkerId};
use crate::time::{Clock, Timestamp};
use crate::token::FencingToken;

/// A store of builds in memory.
#[derive(Debug)]
pub struct MemoryBuildStore {
    clock: Arc<dyn Clock>,
    state: Mutex<BuildState>,
}

impl MemoryBuildStore {
    /// An empty store of at most `capacity` builds, and of as many projects.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, deadlines: Deadlines, capacity: usize) -> Self {
        Self {
            clock,
            state: Mutex::new(BuildState::new(deadlines, capacity)),
        }
    }

    /// The same with room for `max_bytes` of projects' files instead of
    /// [`Self::DEFAULT_MAX_BYTES`].
    #[must_use]
    pub fn with_max_bytes(self, max_bytes: usize) -> Self {
        self.lock().max_bytes = max_bytes;
        self
    }

    /// The room for projects' files when nobody says: 1 GiB.
    pub const DEFAULT_MAX_BYTES: usize = 1 << 30;

    /// The state itself, for a step across rooms; take locks in the order idempotency, builds,
    /// credits, log.
    pub fn lock(&self) -> MutexGuard<'_, BuildState> {
        // No step leaves the state half written: every write follows its last check.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
/// [`BuildStore`] or [`BuildReader`] at an instant the caller names.
#[derive(Debug)]
pub struct BuildState {
    deadlines: Deadlines,
    capacity: usize,
    max_bytes: usize,
    /// Of all projects' files.
    bytes: usize,
    admitted: Admission,
    builds: HashMap<BuildId, Entry>,
    sessions: HashMap<UserId, HashMap<BuildSessionId, BuildId>>,
    projects: HashMap<ProjectId, Project>,
    queue: BTreeMap<Admission, BuildId>,
    due: BTreeMap<(Timestamp, Admission), BuildId>,
}

impl BuildState {
    fn new(deadlines: Deadlines, capacity: usize) -> Self {
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

    /// Puts a build in the queue ([`BuildStore::start`]).
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

    /// Takes the oldest queued build ([`BuildStore::claim`]).
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

    /// Notes that a claim's holder is alive ([`BuildStore::beat`]).
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

    /// Ends a build ([`BuildStore::finish`]).
    pub fn finish(&mut self, now: Timestamp, finish: &Finish) -> FinishOutcome {
        match self.decide_finish(now, finish) {
            FinishDecision::Refuse(outcome) => outcome,
            FinishDecision::Apply(change) => match self.apply(change) {
                Some(build) => FinishOutcome::Finished(build),
                None => FinishOutcome::NotFound,
            },
        }
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

    /// The build with this id and its place in the queue ([`BuildReader::get`]).
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

    /// The build that `session` of `user` names ([`BuildReader::by_session`]).
    #[must_use]
    pub fn by_session(&self, user: &UserId, session: &BuildSessionId) -> Option<Queued> {
        self.get(self.sessions.get(user)?.get(session)?)
    }

    /// The latest build of each of `projects` ([`BuildReader::latest`]).
    #[must_use]
    pub fn latest(&self, projects: &[ProjectId]) -> Vec<Build> {
        let latest = |project| self.projects.get(project)?.latest.as_ref();
        projects
            .iter()
            .filter_map(|project| self.get_build(latest(project)?).cloned())
            .collect()
    }

    /// Who owns `project` ([`BuildReader::owner`]).
    #[must_use]
    pub fn owner(&self, project: &ProjectId) -> Option<&UserId> {
        self.projects.get(project).map(|project| &project.owner)
    }

    /// The project's files ([`BuildReader::project_files`]).
    #[must_use]
    pub fn project_files(&self, project: &ProjectId) -> FileSet {
        self.projects
            .get(project)
            .map(|project| project.files.clone())
            .unwrap_or_default()
    }

    /// Builds that the sweep should end ([`BuildReader::overdue`]).
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

#[async_trait]
impl BuildStore for MemoryBuildStore {
    async fn start(&self, new: NewBuild) -> Result<StartOutcome, StoreError> {
        let mut state = self.lock();
        state.start(self.clock.now(), new)
    }

    async fn claim(&self, _worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
        let mut state = self.lock();
        Ok(state.claim(self.clock.now()))
    }

    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError> {
        let mut state = self.lock();
        Ok(state.beat(self.clock.now(), build, token))
    }

    async fn finish(&self, finish: Finish) -> Result<FinishOutcome, StoreError> {
        let mut state = self.lock();
        Ok(state.finish(self.clock.now(), &finish))
    }
}

#[async_trait]
impl BuildReader for MemoryBuildStore {
    async fn get(&self, build: &BuildId) -> Result<Option<Queued>, StoreError> {
        Ok(self.lock().get(build))
    }

    async fn by_session(
        &self,
        user: &UserId,
        session: &BuildSessionId,
    ) -> Result<Option<Queued>, StoreError> {
        Ok(self.lock().by_session(user, session))
    }

    async fn latest(&self, projects: &[ProjectId]) -> Result<Vec<Build>, StoreError> {
        Ok(self.lock().latest(projects))
    }

    async fn owner(&self, project: &ProjectId) -> Result<Option<UserId>, StoreError> {
        Ok(self.lock().owner(project).cloned())
    }

    async fn project_files(&self, project: &ProjectId) -> Result<FileSet, StoreError> {
        Ok(self.lock().project_files(project))
    }

    async fn overdue(&self, limit: u32) -> Result<Vec<Build>, StoreError> {
        let state = self.lock();
        Ok(state.overdue(self.clock.now(), limit))
    }
}
