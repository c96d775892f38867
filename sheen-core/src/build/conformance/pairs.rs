//! Two steps at once: for every pair of steps on one build and every state it may be in, what they
//! come to is what one order of them would.

use std::sync::Arc;
use std::time::Duration;

use super::model::{Answer, Operation, model_of, snapshot};
use super::{BuildHarness, deployed, failed, new_build, user, worker};
use crate::build::types::{Authority, Ending, FailureReason, Finish, NewBuild, StartOutcome};
use crate::id::BuildId;
use crate::token::FencingToken;

/// What the build is when two steps meet over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Absent,
    Queued,
    QueuedTooLong,
    Building,
    Silent,
    Ended,
}

const STANDINGS: [Standing; 6] = [
    Standing::Absent,
    Standing::Queued,
    Standing::QueuedTooLong,
    Standing::Building,
    Standing::Silent,
    Standing::Ended,
];

/// Numbers of the builds that a pair is about: one that stands, and three to be started.
struct Cast {
    stands: NewBuild,
    next: NewBuild,
    beside: NewBuild,
    again: NewBuild,
}

impl Cast {
    /// Every pair has a project and builds of its own.
    fn of(pair: u32) -> Self {
        let project = format!("pair{pair}");
        let new = |n: u32| new_build(pair * 10 + n, "u", &project);
        let mut beside = new(2);
        beside.allow_concurrent = true;
        let mut again = new(3);
        again.session = new(0).session;
        Self {
            stands: new(0),
            next: new(1),
            beside,
            again,
        }
    }

    fn ids(&self) -> Vec<BuildId> {
        [&self.stands, &self.next, &self.beside, &self.again]
            .map(|new| new.id.clone())
            .to_vec()
    }

    /// One of every kind of step, by each right.
    fn steps(&self) -> Vec<Operation> {
        let id = &self.stands.id;
        let token = FencingToken::ZERO.next();
        let finish = |by, ending| Operation::Finish(Finish::new(id.clone(), by, ending));
        vec![
            Operation::Start(Box::new(self.next.clone())),
            Operation::Start(Box::new(self.again.clone())),
            Operation::Many(vec![self.next.clone(), self.beside.clone()]),
            Operation::Claim,
            Operation::Beat(id.clone(), token),
            finish(Authority::Claim(token), deployed()),
            finish(
                Authority::Owner(user("u")),
                failed(FailureReason::Cancelled),
            ),
            finish(Authority::Sweep, Ending::timed_out()),
            Operation::Reap(10),
        ]
    }

    /// Brings the build to where it stands; the queue is empty but for it.
    async fn stand(&self, h: &BuildHarness, standing: Standing) {
        if standing == Standing::Absent {
            return;
        }
        let started = h.store.start(self.stands.clone()).await.unwrap();
        assert!(matches!(started, StartOutcome::Started(_)));
        let wait = match standing {
            Standing::QueuedTooLong => Duration::from_secs(600),
            Standing::Silent => Duration::from_secs(90),
            _ => Duration::ZERO,
        };
        if matches!(
            standing,
            Standing::Building | Standing::Silent | Standing::Ended
        ) {
            h.store.claim(&worker()).await.unwrap();
        }
        if standing == Standing::Ended {
            let by = Authority::Claim(FencingToken::ZERO.next());
            h.finished(&self.stands.id, by, deployed()).await;
        }
        if wait > Duration::ZERO {
            h.advance.by(wait).await;
        }
    }

    /// Ends all of it, so that the next pair finds an empty queue.
    async fn clear(&self, h: &BuildHarness) {
        for id in self.ids() {
            let by = Authority::Owner(user("u"));
            h.finish(&id, by, failed(FailureReason::Cancelled)).await;
        }
    }
}

/// The steps that another may come between: a batch is its starts (C15).
fn parts(step: &Operation) -> Vec<Operation> {
    match step {
        Operation::Many(batch) => batch
            .iter()
            .map(|new| Operation::Many(vec![new.clone()]))
            .collect(),
        whole => vec![whole.clone()],
    }
}

/// Every order of `ones` and `others` that keeps each side's own; `true` is one of the ones.
fn orders(ones: usize, others: usize) -> Vec<Vec<bool>> {
    if ones == 0 || others == 0 {
        let mut rest = vec![true; ones];
        rest.extend(vec![false; others]);
        return vec![rest];
    }
    let first = |one: bool, rest: Vec<Vec<bool>>| {
        rest.into_iter().map(move |mut order| {
            order.insert(0, one);
            order
        })
    };
    first(true, orders(ones - 1, others))
        .chain(first(false, orders(ones, others - 1)))
        .collect()
}

fn joined(mut answers: Vec<Answer>) -> Answer {
    if answers.len() == 1 {
        return answers.remove(0);
    }
    let of = |answer| match answer {
        Answer::Many(answers) => answers,
        other => panic!("part of a batch: {other:?}"),
    };
    Answer::Many(answers.into_iter().flat_map(of).collect())
}

/// What two steps in this order of their parts come to in a memory store.
async fn in_order(
    cast: &Cast,
    standing: Standing,
    pair: (&Operation, &Operation),
    order: &[bool],
) -> (Answer, Answer, String) {
    let model = model_of();
    cast.stand(&model, standing).await;
    let (mut ones, mut others) = (parts(pair.0).into_iter(), parts(pair.1).into_iter());
    let mut answers = (Vec::new(), Vec::new());
    for one in order {
        let part = if *one { ones.next() } else { others.next() };
        let answer = part.unwrap().run(&*model.store, &model.advance).await;
        let side = if *one { &mut answers.0 } else { &mut answers.1 };
        side.push(answer.unwrap());
    }
    let shape = shape(&model, cast).await;
    (joined(answers.0), joined(answers.1), shape)
}

/// The rows of a pair, as text.
async fn shape(h: &BuildHarness, cast: &Cast) -> String {
    let mut shape = String::new();
    for id in cast.ids() {
        let snapshot = snapshot(h, std::slice::from_ref(&id)).await;
        shape.push_str(&format!("{snapshot:?}\n"));
    }
    let owner = h.reader.owner(&cast.stands.project).await.unwrap();
    let latest = h.reader.latest(std::slice::from_ref(&cast.stands.project));
    let latest = latest.await.unwrap().pop();
    let latest = latest.and_then(|found| found.build).map(|build| build.id);
    shape.push_str(&format!("{owner:?} {latest:?}"));
    shape
}

/// C1 to C16, B1, B3, B4, B5, B7: starts, claims, heartbeats, ends by each right and sweeps meet in
/// pairs over a build in every state.
pub async fn pairs_of_steps_at_once_are_as_one_after_the_other(h: BuildHarness) {
    let steps = Cast::of(0).steps().len();
    let mut pair = 0;
    for standing in STANDINGS {
        for (one, other) in (0..steps).flat_map(|one| (one..steps).map(move |other| (one, other))) {
            pair += 1;
            let cast = Cast::of(pair);
            let (one, other) = (cast.steps().remove(one), cast.steps().remove(other));
            cast.stand(&h, standing).await;
            let got = at_once(&h, &one, &other).await;
            let got = (got.0, got.1, shape(&h, &cast).await);
            let mut wanted = Vec::new();
            for order in orders(parts(&one).len(), parts(&other).len()) {
                wanted.push(in_order(&cast, standing, (&one, &other), &order).await);
            }
            assert!(
                wanted.contains(&got),
                "{standing:?}: {one:?} beside {other:?} came to {got:?}, not to one of {wanted:#?}"
            );
            cast.clear(&h).await;
        }
    }
    assert!(pair >= 250, "{pair}");
}

async fn at_once(h: &BuildHarness, one: &Operation, other: &Operation) -> (Answer, Answer) {
    let start = Arc::new(tokio::sync::Barrier::new(2));
    let task = |step: &Operation| {
        let (store, start, step) = (Arc::clone(&h.store), Arc::clone(&start), step.clone());
        async move {
            start.wait().await;
            // No pair moves the clock.
            let still = crate::time::Advance::new(|_| Box::pin(async {}));
            step.run(&*store, &still).await.unwrap()
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    let (one, other) = (task(one), task(other));
    tasks.spawn(async move { (0, one.await) });
    tasks.spawn(async move { (1, other.await) });
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(n, _)| *n);
    let mut answers = answers.into_iter().map(|(_, answer)| answer);
    let (one, other) = (answers.next(), answers.next());
    one.zip(other).unwrap()
}
