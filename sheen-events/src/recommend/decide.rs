//! The rules of the queue and of what readers are told. Pure.

use std::sync::Arc;
use std::time::Duration;

use sheen_core::time::Timestamp;
use sheen_core::token::FencingToken;

use super::types::{
    ClaimOutcome, Items, NewRequest, Phase, QueueLimits, RecommendState, Record, RequestOutcome,
    SettleOutcome, Source, Status, Step,
};

/// A process that is late by less is not taken for one that died.
const GRACE: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);
/// When to ask again while others run: the store does not say when one ends.
const UNTIL_ONE_ENDS: Duration = Duration::from_secs(1);

const TOO_MANY: &str = "There are too many waiting for recommendations; try again later.";
const TOO_LATE: &str = "There was no time for recommendations.";
const TOO_LONG: &str = "The recommendations took too long.";

/// What a step does with a record: nothing, for this reason, or write it like this.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a step writes or it does not")]
pub enum Decision<O> {
    /// Nothing is written; this is the answer.
    Refuse(O),
    /// The record is written.
    Put(Record),
}

/// Whether a request makes a record, where `known` is there and `waiting` wait already.
#[must_use]
pub fn decide_request(
    known: Option<&Record>,
    waiting: u32,
    now: Timestamp,
    new: NewRequest,
    limits: &QueueLimits,
) -> Decision<RequestOutcome> {
    if let Some(known) = known {
        if known.request.user != new.user {
            return Decision::Refuse(RequestOutcome::NotOwner);
        }
        let is_recent = now.since(known.requested_at) < limits.repeat_within;
        if !known.phase.is_settled() || is_recent {
            return Decision::Refuse(RequestOutcome::Known(known.clone()));
        }
    }
    let mut record = Record::new(new, now);
    if let Some(known) = known {
        record.started_at = known.started_at;
        record.ended_at = known.ended_at;
        record.is_closed = known.is_closed;
    }
    record.attempt = known
        .map_or(FencingToken::ZERO, |known| known.attempt)
        .next();
    if waiting >= limits.max_waiting {
        record.phase = Phase::Failed(TOO_MANY.into());
    }
    Decision::Put(record)
}

/// The queue as a claim sees it.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct QueueView {
    /// How many run.
    pub running: u32,
    /// When those began that began within the last minute.
    pub starts: Vec<Timestamp>,
    /// The one that waits longest.
    pub oldest: Option<Record>,
}

/// What a claim takes.
#[must_use]
pub fn decide_claim(
    view: QueueView,
    now: Timestamp,
    limits: &QueueLimits,
) -> Decision<ClaimOutcome> {
    let Some(mut record) = view.oldest else {
        return Decision::Refuse(ClaimOutcome::Empty);
    };
    if view.running >= limits.concurrency {
        return Decision::Refuse(ClaimOutcome::Wait(UNTIL_ONE_ENDS));
    }
    let mut starts = view.starts;
    starts.retain(|start| now.since(*start) < MINUTE);
    starts.sort_unstable();
    let most = usize::try_from(limits.per_minute).unwrap_or(usize::MAX);
    if starts.len() >= most {
        // Once this one is a minute old, one fewer than the most is left.
        let leaving = starts.get(starts.len() - most).copied().unwrap_or(now);
        let wait = leaving.plus(MINUTE).since(now);
        return Decision::Refuse(ClaimOutcome::Wait(wait));
    }
    record.phase = Phase::Running;
    record.attempt = record.attempt.next();
    record.started_at = Some(now);
    Decision::Put(record)
}

/// Whether what a claim made of `record` is stored.
#[must_use]
pub fn decide_settle(
    record: Option<&Record>,
    attempt: FencingToken,
    result: Result<Items, Arc<str>>,
) -> Decision<SettleOutcome> {
    let Some(record) = record else {
        return Decision::Refuse(SettleOutcome::NotFound);
    };
    if record.attempt != attempt || record.phase != Phase::Running {
        return Decision::Refuse(SettleOutcome::Unchanged(record.clone()));
    }
    let mut after = record.clone();
    after.phase = match result {
        Ok(items) => Phase::Ready(items),
        Err(error) => Phase::Failed(error),
    };
    Decision::Put(after)
}

/// The record as failed, where its time is over: its process died, or its turn never came.
#[must_use]
pub fn overdue(record: &Record, now: Timestamp, limits: &QueueLimits) -> Option<Record> {
    let (since, most, error) = match record.phase {
        Phase::Running => (record.started_at?, limits.try_limit + GRACE, TOO_LONG),
        Phase::Queued => (record.requested_at, limits.patience, TOO_LATE),
        _ => return None,
    };
    if now.since(since) < most {
        return None;
    }
    let mut failed = record.clone();
    failed.phase = Phase::Failed(error.into());
    Some(failed)
}

/// What is to be done for the stream of `record`, if anything.
#[must_use]
pub fn next_step(record: &Record, now: Timestamp, limits: &QueueLimits) -> Option<Step> {
    if record.is_closed {
        return None;
    }
    let is_settled = record.phase.is_settled();
    if is_settled && !record.is_told {
        return Some(Step::Announce);
    }
    let ended_at = record.ended_at?;
    let waited = now.since(ended_at) >= limits.stream_waits;
    (is_settled || waited).then_some(Step::Close)
}

/// The record once `step` was done.
#[must_use]
pub fn after_step(record: &Record, step: Step) -> Record {
    let mut after = record.clone();
    match step {
        Step::Announce => after.is_told = true,
        Step::Close => after.is_closed = true,
    }
    after
}

/// The record once its build has ended; `None` when that was known.
#[must_use]
pub fn after_end(record: &Record, now: Timestamp) -> Option<Record> {
    if record.ended_at.is_some() {
        return None;
    }
    let mut after = record.clone();
    after.ended_at = Some(now);
    Some(after)
}

/// Whether `record` is past its time.
#[must_use]
pub fn may_forget(record: &Record, now: Timestamp, limits: &QueueLimits) -> bool {
    record.phase.is_settled() && now.since(record.requested_at) >= limits.kept
}

/// What a reader is told of a record: a failure beside what was suggested at once is `ready` from
/// `quick`, with the error told.
#[must_use]
pub fn state_of(record: &Record) -> RecommendState {
    let quick = record.request.quick.clone();
    let mut state = RecommendState::idle(Some(record.request.session.clone()));
    match &record.phase {
        Phase::Queued | Phase::Running => state.status = Status::Pending,
        Phase::Ready(items) => {
            state.status = Status::Ready;
            state.source = Some(Source::Ai);
            state.recommendations = items.clone();
        }
        Phase::Failed(error) => {
            state.error = Some(Arc::clone(error));
            if quick.is_empty() {
                state.status = Status::Failed;
            } else {
                state.status = Status::Ready;
                state.source = Some(Source::Quick);
            }
        }
    }
    state.quick = quick;
    state
}
