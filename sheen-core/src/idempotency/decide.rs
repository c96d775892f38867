//! The rules of idempotency records, over one loaded record.
//!
//! Tokens come from one counter of the store, not of the key: a key that was freed and taken again
//! never sees a token twice, so the first holder's late write cannot pass for the second's.

use super::types::{BeginOutcome, Fingerprint, Lifetimes, StoredAnswer};
use crate::time::Timestamp;
use crate::token::FencingToken;

/// What a store keeps of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Which call the key is for.
    pub fingerprint: Fingerprint,
    /// Of the last lease.
    pub token: FencingToken,
    /// Whether the call was done.
    pub progress: Progress,
}

/// How far the call of a key has come. Either state has its end: none lasts for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a call runs or was done")]
pub enum Progress {
    /// It runs, or its holder is gone.
    Running {
        /// When the lease can be taken over.
        expires_at: Timestamp,
    },
    /// It was done.
    Done {
        /// What was answered.
        answer: StoredAnswer,
        /// When that is forgotten.
        forget_at: Timestamp,
    },
}

impl Record {
    /// A record as a store kept it.
    #[must_use]
    pub const fn new(fingerprint: Fingerprint, token: FencingToken, progress: Progress) -> Self {
        Self {
            fingerprint,
            token,
            progress,
        }
    }

    /// When it may be reaped: from the end of its lease, or of its answer's life.
    #[must_use]
    pub const fn ends_at(&self) -> Timestamp {
        match self.progress {
            Progress::Running { expires_at } => expires_at,
            Progress::Done { forget_at, .. } => forget_at,
        }
    }

    /// Whether it is there no more, though nobody reaped it yet. An expired lease is still there:
    /// its key stays bound to its call.
    fn is_forgotten(&self, now: Timestamp) -> bool {
        matches!(self.progress, Progress::Done { forget_at, .. } if forget_at <= now)
    }

    fn runs_under(&self, token: FencingToken) -> bool {
        self.token == token && matches!(self.progress, Progress::Running { .. })
    }
}

/// Whether a call may run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a call is refused or runs")]
pub enum BeginDecision {
    /// It may not; nothing is written.
    Refuse(BeginOutcome),
    /// Write this record and let it run.
    Take(Record),
}

/// Decides a beginning (C1–C5). `fresh` is a token the store never gave before.
#[must_use]
pub fn decide_begin(
    record: Option<&Record>,
    fingerprint: Fingerprint,
    fresh: FencingToken,
    now: Timestamp,
    lifetimes: &Lifetimes,
) -> BeginDecision {
    if let Some(refusal) = decide_look(record, fingerprint, now) {
        return BeginDecision::Refuse(refusal);
    }
    let expires_at = now.plus(lifetimes.lease);
    BeginDecision::Take(Record {
        fingerprint,
        token: fresh,
        progress: Progress::Running { expires_at },
    })
}

/// What a beginning would be refused with; `None` when it would start (C13).
#[must_use]
pub fn decide_look(
    record: Option<&Record>,
    fingerprint: Fingerprint,
    now: Timestamp,
) -> Option<BeginOutcome> {
    let record = record.filter(|record| !record.is_forgotten(now))?;
    if record.fingerprint != fingerprint {
        return Some(BeginOutcome::Reused);
    }
    match &record.progress {
        Progress::Done { answer, .. } => Some(BeginOutcome::Replay(answer.clone())),
        Progress::Running { expires_at } if now < *expires_at => Some(BeginOutcome::InProgress),
        Progress::Running { .. } => None,
    }
}

/// Decides an extension (C10): the record to write, or `None` when the lease is lost.
#[must_use]
pub fn decide_extend(
    record: Option<&Record>,
    token: FencingToken,
    now: Timestamp,
    lifetimes: &Lifetimes,
) -> Option<Record> {
    let record = record.filter(|record| record.runs_under(token))?;
    let expires_at = now.plus(lifetimes.lease);
    Some(Record {
        progress: Progress::Running { expires_at },
        ..record.clone()
    })
}

/// What an answer comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an answer is late, a repeat or kept"
)]
pub enum CompleteDecision {
    /// The lease was taken over or forgotten, or another answer is kept; nothing is written.
    Lost,
    /// Just this answer is kept already; nothing is written.
    Repeat,
    /// Write this record.
    Keep(Record),
}

/// Decides the storing of an answer (C6, C12). A lease that expired and that nobody took over may
/// still store it.
#[must_use]
pub fn decide_complete(
    record: Option<&Record>,
    token: FencingToken,
    answer: StoredAnswer,
    now: Timestamp,
    lifetimes: &Lifetimes,
) -> CompleteDecision {
    let ours = |record: &&Record| record.token == token && !record.is_forgotten(now);
    match record.filter(ours) {
        None => CompleteDecision::Lost,
        Some(record) => match &record.progress {
            Progress::Done { answer: kept, .. } if *kept == answer => CompleteDecision::Repeat,
            Progress::Done { .. } => CompleteDecision::Lost,
            Progress::Running { .. } => CompleteDecision::Keep(Record {
                fingerprint: record.fingerprint,
                token,
                progress: Progress::Done {
                    answer,
                    forget_at: now.plus(lifetimes.record),
                },
            }),
        },
    }
}

/// Decides the giving back of a lease (C6, C7): whether the record is to be removed.
#[must_use]
pub fn decide_abandon(record: Option<&Record>, token: FencingToken) -> bool {
    record.is_some_and(|record| record.runs_under(token))
}
