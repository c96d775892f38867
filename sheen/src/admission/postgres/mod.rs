//! The steps across rooms in PostgreSQL: one transaction each over the rooms' own steps.
//!
//! 1. A step locks rooms in the order idempotency key, project or build, account, stream, and
//!    every room reads the clock after its lock. So steps wait for one another, and two of them
//!    cannot each wait for the other.
//! 2. The rooms decide, each by its own rules; a refusal rolls back what was written before it.
//! 3. What lost to others (a deadlock with a transaction of the caller's, a serialization failure) is
//!    tried again, four times in all. What broke before the commit was sent is `Unavailable`:
//!    nothing was done. What broke after is `OutcomeUnknown`, and the step may be repeated (C12).
//! 4. A call whose key another call holds waits for that one, 5 s at most.
//! 5. A process that is frozen inside a step holds others up for 10 s, then the server ends its
//!    session; a lock that is another's is waited for 5 s, four times in all.

mod ends;
mod runs;
mod starts;

use std::sync::Arc;

use async_trait::async_trait;
use sheen_billing::account::{PgCreditStore, Reserve};
use sheen_core::build::{BeatOutcome, Claimed, Finish, PgBuildStore};
use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, WorkerId};
use sheen_core::idempotency::{Lifetimes, PgTransactionalIdempotency};
use sheen_core::postgres::{connect_error, repeat_after, step_error, uncommitted};
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, AppendOutcome, PgEventLog};
use sqlx::Transaction;
use sqlx::postgres::{PgConnection, PgPool, Postgres};

use super::refusal::inconsistent;
use super::store::Admission;
use super::types::{Admit, AdmitOutcome, ProjectReserveOutcome, SettleOutcome};

/// Admission over the PostgreSQL stores of one database, which must have been
/// [migrated](crate::postgres::migrate). Any number of processes may share it.
#[derive(Debug)]
pub struct PgAdmission {
    pool: PgPool,
    once: PgTransactionalIdempotency,
    builds: Arc<PgBuildStore>,
    credits: Arc<PgCreditStore>,
    log: Arc<PgEventLog>,
    leaves_streams_open: bool,
}

/// One message. The limits are the transaction's own, so that a pooler may stand between.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '5s'; \
                     SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// What a step comes to, and whether what it wrote stays.
enum Done<T> {
    Keep(T),
    /// A refusal, or nothing to do.
    Undo(T),
}

impl PgAdmission {
    /// Admission over these stores, which must be of the database behind `pool`. Answers are kept
    /// for [`Lifetimes::record`].
    #[must_use]
    pub const fn new(
        pool: PgPool,
        lifetimes: Lifetimes,
        builds: Arc<PgBuildStore>,
        credits: Arc<PgCreditStore>,
        log: Arc<PgEventLog>,
    ) -> Self {
        Self {
            pool,
            once: PgTransactionalIdempotency::new(lifetimes),
            builds,
            credits,
            log,
            leaves_streams_open: false,
        }
    }

    /// Leaves the streams of settled builds open for what follows: whoever asks for this closes
    /// them, as [`EndStreams`](crate::recommending::EndStreams) does.
    #[must_use]
    pub const fn leave_streams_open(mut self) -> Self {
        self.leaves_streams_open = true;
        self
    }

    async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.pool.begin_with(BEGIN).await.map_err(connect_error)
    }

    /// Appends what a step itself says, to a stream that must take it.
    async fn say(&self, step: &mut PgConnection, append: Append) -> Result<(), StoreError> {
        match self.log.append_in(step, append).await? {
            AppendOutcome::Appended(_) => Ok(()),
            _ => Err(inconsistent("a stream is not as its build is")),
        }
    }
}

/// Ends a step's transaction as the step came out.
async fn end<T>(
    step: Transaction<'static, Postgres>,
    done: Result<Done<T>, StoreError>,
) -> Result<T, StoreError> {
    let undone = |ended: Result<(), sqlx::Error>| {
        // What it wrote is gone with its connection too; only the lock may last until then.
        if let Err(error) = ended {
            tracing::debug!(%error, "a step was not rolled back in words");
        }
    };
    match done {
        Ok(Done::Keep(outcome)) => {
            step.commit().await.map_err(step_error)?;
            Ok(outcome)
        }
        Ok(Done::Undo(outcome)) => {
            undone(step.rollback().await);
            Ok(outcome)
        }
        Err(error) => {
            undone(step.rollback().await);
            Err(uncommitted(error))
        }
    }
}

#[async_trait]
impl Admission for PgAdmission {
    async fn admit(&self, admit: Admit) -> Result<AdmitOutcome, StoreError> {
        let mut tried = 0;
        loop {
            let mut step = self.begin().await?;
            let done = self.admit_in(&mut step, &admit).await;
            match end(step, done).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => {
                    tried += 1;
                    repeat_after(error, tried).await?;
                }
            }
        }
    }

    async fn claim(&self, worker: &WorkerId) -> Result<Option<Claimed>, StoreError> {
        let mut tried = 0;
        loop {
            let mut step = self.begin().await?;
            let done = self.claim_in(&mut step, worker).await;
            match end(step, done).await {
                Ok(claimed) => return Ok(claimed),
                Err(error) => {
                    tried += 1;
                    repeat_after(error, tried).await?;
                }
            }
        }
    }

    async fn beat(&self, build: &BuildId, token: FencingToken) -> Result<BeatOutcome, StoreError> {
        let mut tried = 0;
        loop {
            let mut step = self.begin().await?;
            let done = self.beat_in(&mut step, build, token).await;
            match end(step, done).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => {
                    tried += 1;
                    repeat_after(error, tried).await?;
                }
            }
        }
    }

    async fn settle(&self, mut finish: Finish) -> Result<SettleOutcome, StoreError> {
        let mut tried = 0;
        loop {
            let mut step = self.begin().await?;
            let done = self.settle_in(&mut step, &finish).await;
            match end(step, done).await {
                Ok(Ok(outcome)) => return Ok(outcome),
                // Undone; it is failed instead, in a transaction of its own.
                Ok(Err(why)) => finish.ending = why.ending(),
                Err(error) => {
                    tried += 1;
                    repeat_after(error, tried).await?;
                }
            }
        }
    }

    async fn reserve(&self, reserve: Reserve) -> Result<ProjectReserveOutcome, StoreError> {
        let mut tried = 0;
        loop {
            let mut step = self.begin().await?;
            let done = self.reserve_in(&mut step, &reserve).await;
            match end(step, done).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => {
                    tried += 1;
                    repeat_after(error, tried).await?;
                }
            }
        }
    }
}
