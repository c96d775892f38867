//! Claim, effect and answer in one transaction.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPool};

use super::rows::{Put, Seen, Written, corrupt, get};
use super::{life, step_error};
use crate::error::{StoreError, StoreErrorKind};
use crate::idempotency::decide::{
    BeginDecision, CompleteDecision, Record, decide_begin, decide_complete,
};
use crate::idempotency::types::{
    BeginOutcome, Fingerprint, IdempotencyKey, Lifetimes, Scope, StoredAnswer,
};
use crate::postgres::{connect_error, uncommitted};
use crate::runtime::{BoxFuture, Sleep, TokioRuntime};
use crate::time::Timestamp;
use crate::token::FencingToken;

/// How often a repeat that waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a transaction whose commit went unanswered is waited for before it is asked about.
const READ_BACK: Duration = Duration::from_secs(10);

/// Keys whose calls have their whole effect in this database.
///
/// [`claim_in`](Self::claim_in) and [`keep_in`](Self::keep_in) are two statements of the caller's
/// transaction around the effect, so that all of it is committed or none: there is no lease, and
/// after a crash nothing to take over. [`run`](Self::run) does the whole of it.
///
/// 1. A claim takes an advisory lock of the transaction, never of the session, so a transaction
///    pooler may stand between; it asks for it without waiting, so no time limit of the session is
///    needed and the caller's transaction never fails for it.
/// 2. A repeat that meets an unfinished first is `InProgress`, after having looked again for as
///    long as it was ready to wait, at most [`LONGEST_WAIT`](Self::LONGEST_WAIT). What the first
///    has not committed nobody can see, so that another call with the key is told the same then,
///    and `Reused` from the first's commit on.
/// 3. The lock only saves work. The answer's row, unique, decides: a second effect cannot commit.
/// 4. Use the isolation level READ COMMITTED, PostgreSQL's own. Above it a repeat that waited does
///    not see the first's answer and fails with `Contended`; nothing happens twice there either.
///
/// ```no_run
/// # use sheen_core::error::StoreError;
/// # use sheen_core::idempotency::*;
/// # async fn demo(
/// #     pool: sqlx::PgPool,
/// #     scope: Scope,
/// #     key: IdempotencyKey,
/// #     call: Fingerprint,
/// # ) -> Result<(), StoreError> {
/// use std::time::Duration;
///
/// let once = PgTransactionalIdempotency::new(Lifetimes::default());
/// let done = once
///     .run(&pool, &scope, &key, call, Duration::ZERO, |step| {
///         Box::pin(async move {
///             sqlx::query("UPDATE seats SET taken = true WHERE id = 7")
///                 .execute(step)
///                 .await
///                 .map_err(|_| "the seat is not there")?;
///             StoredAnswer::new(200, Vec::new(), &b"{}"[..], "req_1").map_err(|_| "too large")
///         })
///     })
///     .await?;
/// match done {
///     RunOutcome::Done(answer) | RunOutcome::Replay(answer) => { /* send it */ }
///     RunOutcome::Refused(why) => { /* nothing was written, the key is free */ }
///     other => { /* 409 or 422 */ }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PgTransactionalIdempotency {
    lifetimes: Lifetimes,
}

/// The right to run the call of a key in this transaction.
#[derive(Debug)]
#[must_use = "a claim without an answer leaves no record of its call"]
pub struct Claim(Box<Claimed>);

#[derive(Debug)]
struct Claimed {
    scope: Scope,
    key: IdempotencyKey,
    fingerprint: Fingerprint,
    /// What the claim found in the key's place: a record past its end.
    seen: Option<Record>,
    /// What the claim decided to write there, on the condition that the call is done.
    taken: Record,
    now: Timestamp,
}

/// What came of a claim. The variants stand in order of precedence.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClaimOutcome {
    /// The key was used for another call.
    Reused,
    /// The call was done; here is its answer.
    Replay(StoredAnswer),
    /// The first call still runs, here or under a lease.
    InProgress,
    /// Do what the call asks in this transaction, then keep its answer.
    Claimed(Claim),
}

/// What came of a whole call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunOutcome<R> {
    /// The key was used for another call. Nothing was done.
    Reused,
    /// The call was done before; here is its answer.
    Replay(StoredAnswer),
    /// The first call still runs. Nothing was done.
    InProgress,
    /// The effect refused, and all it wrote was taken back; the key is free.
    Refused(R),
    /// It is done and kept.
    Done(StoredAnswer),
}

impl PgTransactionalIdempotency {
    /// The longest a repeat waits for a first call (wire.md §4).
    pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

    /// Keeps answers for [`Lifetimes::record`]. There are no leases.
    #[must_use]
    pub const fn new(lifetimes: Lifetimes) -> Self {
        Self { lifetimes }
    }

    /// Claims a key in the caller's transaction, which must be at the isolation level READ
    /// COMMITTED. On any outcome but `Claimed` roll it back.
    ///
    /// # Errors
    /// When the database fails. The call must then not run.
    pub async fn claim_in(
        &self,
        step: &mut PgConnection,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
        wait: Duration,
    ) -> Result<ClaimOutcome, StoreError> {
        let wait = wait.min(Self::LONGEST_WAIT);
        let mut looks = wait.as_millis() / LOOK_AGAIN.as_millis();
        loop {
            let row = sqlx::query(include_str!("sql/claim.sql"))
                .bind(scope.principal.as_str())
                .bind(scope.user.as_str())
                .bind(key.as_str())
                .fetch_one(&mut *step)
                .await
                .map_err(step_error)?;
            let seen = Seen::of(&row, get(&row, "held")?)?;
            let outcome = self.decide(seen, scope, key, fingerprint);
            if looks == 0 || !matches!(outcome, ClaimOutcome::InProgress) {
                return Ok(outcome);
            }
            looks -= 1;
            TokioRuntime.sleep(LOOK_AGAIN).await;
        }
    }

    fn decide(
        &self,
        seen: Seen,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> ClaimOutcome {
        let (record, now) = (seen.record.as_ref(), seen.now);
        let drawn = FencingToken::ZERO;
        match decide_begin(record, fingerprint, drawn, now, &self.lifetimes) {
            BeginDecision::Refuse(BeginOutcome::Reused) => ClaimOutcome::Reused,
            BeginDecision::Refuse(BeginOutcome::Replay(answer)) => ClaimOutcome::Replay(answer),
            BeginDecision::Take(taken) if !seen.held => {
                ClaimOutcome::Claimed(Claim(Box::new(Claimed {
                    scope: scope.clone(),
                    key: key.clone(),
                    fingerprint,
                    seen: seen.record,
                    taken,
                    now,
                })))
            }
            BeginDecision::Refuse(_) | BeginDecision::Take(_) => ClaimOutcome::InProgress,
        }
    }

    /// Keeps the answer of a claimed call in the caller's transaction. Then commit.
    ///
    /// # Errors
    /// When the database fails; `Contended` when the key was leased by another route meanwhile.
    /// The transaction must then be rolled back, the effect with it.
    pub async fn keep_in(
        &self,
        step: &mut PgConnection,
        claim: Claim,
        answer: &StoredAnswer,
    ) -> Result<(), StoreError> {
        let Claim(claim) = claim;
        let (taken, now) = (&claim.taken, claim.now);
        let done = decide_complete(
            Some(taken),
            taken.token,
            answer.clone(),
            now,
            &self.lifetimes,
        );
        let CompleteDecision::Keep(done) = done else {
            return Err(corrupt("a claim that cannot be kept"));
        };
        let seen = claim.seen.as_ref();
        let mut put = Put::new(&claim.scope, &claim.key, seen, life(&done, now));
        put.begins = Some(claim.fingerprint);
        put.answer = Some(answer);
        let headers = put.headers()?;
        let row = put
            .statement(headers.as_deref())
            .fetch_one(&mut *step)
            .await
            .map_err(step_error)?;
        match Written::of(&row)? {
            Written::Hit { .. } => Ok(()),
            Written::Miss(_) => Err(StoreError::new(StoreErrorKind::Contended)),
        }
    }

    /// Runs `effect` once: claims the key, lets it write in the same transaction, keeps the answer
    /// it gives, and commits. When the commit goes unanswered, the outcome is read back by the key
    /// before anything is said.
    ///
    /// # Errors
    /// When the database fails. `OutcomeUnknown` only when the outcome could not be read back
    /// either; else nothing was done.
    pub async fn run<R, F>(
        &self,
        pool: &PgPool,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
        wait: Duration,
        effect: F,
    ) -> Result<RunOutcome<R>, StoreError>
    where
        F: for<'t> FnOnce(&'t mut PgConnection) -> BoxFuture<'t, Result<StoredAnswer, R>> + Send,
        R: Send,
    {
        let mut connection = pool.acquire().await.map_err(connect_error)?;
        let mut step = connection.begin().await.map_err(connect_error)?;
        let claimed = self
            .claim_in(&mut step, scope, key, fingerprint, wait)
            .await;
        let refused = match claimed.map_err(uncommitted)? {
            ClaimOutcome::Claimed(claim) => match effect(&mut step).await {
                Ok(answer) => {
                    let kept = self.keep_in(&mut step, claim, &answer).await;
                    kept.map_err(uncommitted)?;
                    return match step.commit().await.map_err(step_error) {
                        Ok(()) => Ok(RunOutcome::Done(answer)),
                        Err(error) if error.kind == StoreErrorKind::OutcomeUnknown => {
                            drop(connection);
                            self.read_back(pool, scope, key, fingerprint, answer, error)
                                .await
                        }
                        Err(error) => Err(error),
                    };
                }
                Err(refusal) => RunOutcome::Refused(refusal),
            },
            ClaimOutcome::Reused => RunOutcome::Reused,
            ClaimOutcome::Replay(answer) => RunOutcome::Replay(answer),
            ClaimOutcome::InProgress => RunOutcome::InProgress,
        };
        step.rollback()
            .await
            .map_err(|error| uncommitted(step_error(error)))?;
        Ok(refused)
    }

    /// What came of a commit that went unanswered. Its transaction holds the key's lock until it
    /// is over, so whoever gets the lock sees how it ended.
    async fn read_back<R>(
        &self,
        pool: &PgPool,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
        answer: StoredAnswer,
        unanswered: StoreError,
    ) -> Result<RunOutcome<R>, StoreError> {
        let asked = async {
            let mut connection = pool.acquire().await.map_err(connect_error)?;
            let mut step = connection.begin().await.map_err(step_error)?;
            let found = self
                .claim_in(&mut step, scope, key, fingerprint, READ_BACK)
                .await?;
            step.rollback().await.map_err(step_error)?;
            Ok::<_, StoreError>(found)
        };
        match asked.await {
            Ok(ClaimOutcome::Replay(kept)) if kept == answer => Ok(RunOutcome::Done(kept)),
            // Ours was rolled back, and a repeat was faster.
            Ok(ClaimOutcome::Replay(kept)) => Ok(RunOutcome::Replay(kept)),
            Ok(ClaimOutcome::Reused) => Ok(RunOutcome::Reused),
            Ok(ClaimOutcome::Claimed(_)) => Err(uncommitted(unanswered)),
            Ok(ClaimOutcome::InProgress) | Err(_) => Err(unanswered),
        }
    }
}
