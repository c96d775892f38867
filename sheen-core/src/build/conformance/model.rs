//! Random operations, the same ones on the store under test and on the memory store.

use std::sync::Arc;
use std::time::Duration;

use super::{BuildHarness, SECOND, deployed, failed, new_build, project, user, worker};
use crate::build::memory::MemoryBuildStore;
use crate::build::store::BuildStore;
use crate::build::types::{
    Authority, BeatOutcome, Build, BuildKind, Claimed, Deadlines, FailureReason, Finish,
    FinishOutcome, NewBuild, ProjectLatest, Queued, StartOutcome,
};
use crate::error::{StoreError, StoreErrorKind};
use crate::files::{FilePath, FileSet};
use crate::id::{BuildId, BuildSessionId};
use crate::time::{Advance, ManualClock, Timestamp};
use crate::token::FencingToken;

const STEPS: u32 = 400;
const SEED: u64 = 0x5EED_0B17;
const PROJECTS: [&str; 3] = ["p", "q", "r"];
const USERS: [&str; 2] = ["u", "v"];

/// A memory store to compare with.
pub(super) fn model_of() -> BuildHarness {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)));
    let memory = Arc::new(MemoryBuildStore::new(
        clock.clone(),
        Deadlines::default(),
        1_000,
    ));
    BuildHarness::new(memory.clone(), memory, Advance::manual(clock))
}

/// Every outcome and every read is the same as the memory store's, instants left aside.
///
/// The clock moves in steps of 30 s, of which the deadlines are multiples: a store whose own clock
/// runs on meanwhile agrees as long as the run takes less than that.
pub async fn model_random_operations_equal_those_of_the_memory_store(h: BuildHarness) {
    let model = model_of();
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut ids = Vec::new();
    for step in 0..STEPS {
        let operation = Operation::random(&mut rng, step, &ids);
        operation.note_ids(&mut ids);
        let wanted = operation.run(&*model.store, &model.advance).await.unwrap();
        let got = operation.run(&*h.store, &h.advance).await.unwrap();
        assert_eq!(got, wanted, "seed {SEED}, step {step}: {operation:?}");
        let wanted = snapshot(&model, &ids).await;
        let got = snapshot(&h, &ids).await;
        assert_eq!(got, wanted, "seed {SEED}, after step {step}: {operation:?}");
    }
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Start(Box<NewBuild>),
    Many(Vec<NewBuild>),
    Claim,
    Beat(BuildId, FencingToken),
    Finish(Finish),
    Reap(u32),
    Advance(u32),
}

#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Start(StartOutcome),
    Many(Vec<Result<StartOutcome, StoreErrorKind>>),
    Claim(Option<Claimed>),
    Beat(bool),
    Finish(FinishOutcome),
    Reap(Vec<Build>),
    None,
}

impl Operation {
    pub(super) fn random(rng: &mut fastrand::Rng, step: u32, ids: &[BuildId]) -> Self {
        let token = FencingToken::from_u64(rng.u64(0..4));
        // Mostly a recent build: those are the ones that are active.
        let recent = ids.len().saturating_sub(6);
        let some = ids.get(if rng.u8(0..8) == 0 {
            rng.usize(0..=ids.len())
        } else {
            rng.usize(recent..=ids.len())
        });
        let some = some
            .cloned()
            .unwrap_or_else(|| new_build(step, "u", "p").id);
        match rng.u8(0..24) {
            0..=5 => Self::Start(Box::new(Self::start(rng, step))),
            6 | 7 => {
                let members = rng.u32(0..6);
                // Numbers of their own: single starts are numbered by their steps.
                let number = |n| 10_000 + step * 10 + n;
                let many = (0..members).map(|n| Self::start(rng, number(n)));
                Self::Many(many.collect())
            }
            8..=11 => Self::Claim,
            12..=14 => Self::Beat(some, token),
            15..=19 => Self::Finish(random_finish(rng, some, token)),
            20 => Self::Reap(rng.u32(0..4)),
            _ => Self::Advance(*rng.choice(&[30, 60, 90, 300, 600]).unwrap_or(&30)),
        }
    }

    fn start(rng: &mut fastrand::Rng, number: u32) -> NewBuild {
        let who = USERS[rng.usize(0..USERS.len())];
        let of = PROJECTS[rng.usize(0..PROJECTS.len())];
        let mut new = new_build(number, who, of);
        if rng.u8(0..6) == 0 {
            let earlier = rng.u32(number.saturating_sub(20)..=number);
            new.session = BuildSessionId::parse(&format!("bs_{earlier}")).unwrap();
        }
        new.allow_concurrent = rng.u8(0..4) == 0;
        if rng.u8(0..3) == 0 {
            new.input.kind = BuildKind::Update;
        }
        let path = FilePath::parse(["index.html", "about.html"][rng.usize(0..2)]).unwrap();
        new.input.files = FileSet::from_iter([(path, format!("<h1>{number}").into())]);
        new
    }

    /// Adds the builds that it may start.
    pub(super) fn note_ids(&self, ids: &mut Vec<BuildId>) {
        match self {
            Self::Start(new) => ids.push(new.id.clone()),
            Self::Many(batch) => ids.extend(batch.iter().map(|new| new.id.clone())),
            _ => {}
        }
    }

    pub(super) async fn run(
        &self,
        store: &dyn BuildStore,
        advance: &Advance,
    ) -> Result<Answer, StoreError> {
        Ok(match self {
            Self::Start(new) => Answer::Start(told(store.start((**new).clone()).await?)),
            Self::Many(batch) => {
                let answers = store.start_many(batch.clone()).await?.into_iter();
                let told = |answer: Result<_, StoreError>| answer.map(told).map_err(|e| e.kind);
                Answer::Many(answers.map(told).collect())
            }
            Self::Claim => {
                let mut claimed = store.claim(&worker()).await?;
                if let Some(claimed) = &mut claimed {
                    timeless(&mut claimed.build);
                    // A store whose clock runs on is less than a step ahead.
                    claimed.waited = Duration::from_secs(claimed.waited.as_secs() / 30 * 30);
                }
                Answer::Claim(claimed)
            }
            Self::Beat(build, token) => {
                let outcome = store.beat(build, *token).await?;
                Answer::Beat(matches!(outcome, BeatOutcome::Alive { .. }))
            }
            Self::Finish(finish) => {
                let mut outcome = store.finish(finish.clone()).await?;
                match &mut outcome {
                    FinishOutcome::NotFound => {}
                    FinishOutcome::AlreadySo(build)
                    | FinishOutcome::AlreadyEnded(build)
                    | FinishOutcome::Fenced(build)
                    | FinishOutcome::NotOverdue(build)
                    | FinishOutcome::NotAllowed(build)
                    | FinishOutcome::Finished(build) => timeless(build),
                }
                Answer::Finish(outcome)
            }
            Self::Reap(limit) => {
                let mut reaped = store.reap(*limit).await?;
                reaped.iter_mut().for_each(timeless);
                Answer::Reap(reaped)
            }
            Self::Advance(seconds) => {
                advance.by(SECOND * *seconds).await;
                Answer::None
            }
        })
    }
}

fn told(mut outcome: StartOutcome) -> StartOutcome {
    if let StartOutcome::SessionKnown(queued) | StartOutcome::Started(queued) = &mut outcome {
        timeless(&mut queued.build);
    }
    outcome
}

fn random_finish(rng: &mut fastrand::Rng, build: BuildId, token: FencingToken) -> Finish {
    let by = match rng.u8(0..5) {
        0..=1 => Authority::Claim(token),
        2 => Authority::Owner(user(USERS[rng.usize(0..USERS.len())])),
        _ => Authority::Sweep,
    };
    let ending = match rng.u8(0..5) {
        0..=1 => deployed(),
        2 => failed(FailureReason::BuildFailed),
        3 => failed(FailureReason::TimedOut),
        _ => failed(FailureReason::Cancelled),
    };
    Finish::new(build, by, ending)
}

fn timeless(build: &mut Build) {
    build.created_at = Timestamp::EPOCH;
    build.updated_at = Timestamp::EPOCH;
    build.heartbeat_at = build.heartbeat_at.map(|_| Timestamp::EPOCH);
}

#[derive(Debug, PartialEq)]
pub(super) struct Snapshot {
    recent: Vec<Option<Queued>>,
    latest: Vec<ProjectLatest>,
    projects: Vec<(Option<crate::id::UserId>, crate::files::FileSet)>,
    overdue: Vec<Build>,
}

pub(super) async fn snapshot(h: &BuildHarness, ids: &[BuildId]) -> Snapshot {
    let mut recent = Vec::new();
    for id in ids.iter().rev().take(6) {
        let mut found = h.reader.get(id).await.unwrap();
        if let Some(queued) = &mut found {
            timeless(&mut queued.build);
        }
        recent.push(found);
    }
    let mut latest = h.reader.latest(&PROJECTS.map(project)).await.unwrap();
    let builds = latest.iter_mut().filter_map(|found| found.build.as_mut());
    builds.for_each(timeless);
    let mut projects = Vec::new();
    for of in PROJECTS.map(project) {
        let owner = h.reader.owner(&of).await.unwrap();
        projects.push((owner, h.reader.project_files(&of).await.unwrap()));
    }
    // Deadlines that are one instant here may be several on a clock that runs on.
    let mut overdue = h.reader.overdue(1_000).await.unwrap();
    overdue.iter_mut().for_each(timeless);
    overdue.sort_by(|a, b| a.id.cmp(&b.id));
    Snapshot {
        recent,
        latest,
        projects,
        overdue,
    }
}
