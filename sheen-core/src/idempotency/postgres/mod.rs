//! Idempotency records in PostgreSQL, in two modes. A route says by type which one it uses.
//!
//! 1. [`PgIdempotencyStore`] leases keys: the call runs outside the database, under a lease with a
//!    fence. After a crash the lease lapses and the call may be run again by whoever repeats it.
//! 2. [`PgTransactionalIdempotency`] puts claim, effect and answer into one transaction of the
//!    caller's: after a crash there is either all of it or nothing, and nothing to take over.
//! 3. Both keep one table, so a key names one call whatever the modes of its routes, and the modes
//!    keep each other off a key without waiting.
//! 4. A step is decided in Rust over what it assumes: a key to be absent, a lease to be still its
//!    holder's. One statement applies it and compares that; only what was met instead is read, in
//!    the same answer. Time is read after the lock, by the database's clock.
//! 5. The database draws the tokens, from one sequence for all keys, in the statement that writes
//!    them.

mod rows;
mod transactional;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgPool;

use super::decide::{
    BeginDecision, CompleteDecision, Progress, Record, decide_begin, decide_complete,
    decide_extend, decide_look,
};
use super::store::IdempotencyStore;
use super::types::{
    BeginOutcome, ExtendOutcome, Fingerprint, IdempotencyKey, Lease, LeaseOutcome, Lifetimes,
    Scope, StoredAnswer,
};
use crate::error::{StoreError, StoreErrorKind};
use crate::postgres::{row, step_error};
use crate::time::Timestamp;
use crate::token::FencingToken;
use rows::{Put, Seen, Written, corrupt, get, number};
pub use transactional::{Claim, ClaimOutcome, PgTransactionalIdempotency, RunOutcome};

/// How often one step is decided before it gives up. Each miss means that another step of the same
/// key went through.
const DECISIONS: u32 = 16;

/// Leases and answers in PostgreSQL, over the caller's pool. The database must have been
/// [migrated](crate::postgres::migrate).
#[derive(Debug)]
pub struct PgIdempotencyStore {
    pool: PgPool,
    lifetimes: Lifetimes,
}

impl PgIdempotencyStore {
    /// The records in the database behind `pool`. They are as many as the disk holds.
    #[must_use]
    pub const fn new(pool: PgPool, lifetimes: Lifetimes) -> Self {
        Self { pool, lifetimes }
    }

    async fn put(&self, put: &Put<'_>) -> Result<Written, StoreError> {
        let headers = put.headers()?;
        let written = row(&self.pool, || put.statement(headers.as_deref())).await?;
        Written::of(&written.ok_or_else(|| corrupt("no row for a write"))?)
    }
}

/// The record as the holder of `lease` takes it to be. Of what it does not know, the call, no
/// decision about a lease depends on it.
fn held_by(lease: &Lease) -> Seen {
    let progress = Progress::Running {
        expires_at: lease.expires_at,
    };
    Seen {
        record: Some(Record::new(
            Fingerprint::from_bytes([0; 32]),
            lease.token,
            progress,
        )),
        now: lease.expires_at,
        held: false,
    }
}

/// How long the decided record lives from when it is written.
fn life(record: &Record, now: Timestamp) -> Duration {
    record.ends_at().since(now)
}

#[async_trait]
impl IdempotencyStore for PgIdempotencyStore {
    async fn begin(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<BeginOutcome, StoreError> {
        let mut seen = Seen::absent();
        for _ in 0..DECISIONS {
            let record = seen.record.as_ref();
            // The database draws the token.
            let drawn = FencingToken::ZERO;
            let taken = match decide_begin(record, fingerprint, drawn, seen.now, &self.lifetimes) {
                BeginDecision::Refuse(outcome) => return Ok(outcome),
                BeginDecision::Take(_) if seen.held => return Ok(BeginOutcome::InProgress),
                BeginDecision::Take(taken) => taken,
            };
            let mut put = Put::new(scope, key, record, life(&taken, seen.now));
            put.begins = Some(fingerprint);
            match self.put(&put).await? {
                Written::Hit { token, ends_at } => {
                    let lease = Lease::new(scope.clone(), key.clone(), token, ends_at);
                    return Ok(BeginOutcome::Started(lease));
                }
                Written::Miss(fresh) => seen = fresh,
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn extend(&self, lease: &Lease) -> Result<ExtendOutcome, StoreError> {
        let mut seen = held_by(lease);
        for _ in 0..DECISIONS {
            let record = seen.record.as_ref();
            let Some(longer) = decide_extend(record, lease.token, seen.now, &self.lifetimes) else {
                return Ok(ExtendOutcome::Lost);
            };
            let put = Put::new(&lease.scope, &lease.key, record, life(&longer, seen.now));
            match self.put(&put).await? {
                Written::Hit { ends_at, .. } => {
                    return Ok(ExtendOutcome::Extended(Lease {
                        expires_at: ends_at,
                        ..lease.clone()
                    }));
                }
                Written::Miss(fresh) => seen = fresh,
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn complete(
        &self,
        lease: &Lease,
        answer: StoredAnswer,
    ) -> Result<LeaseOutcome, StoreError> {
        let mut seen = held_by(lease);
        for _ in 0..DECISIONS {
            let record = seen.record.as_ref();
            let (token, answered) = (lease.token, answer.clone());
            let done = match decide_complete(record, token, answered, seen.now, &self.lifetimes) {
                CompleteDecision::Lost => return Ok(LeaseOutcome::Lost),
                CompleteDecision::Repeat => return Ok(LeaseOutcome::Done),
                CompleteDecision::Keep(done) => done,
            };
            let mut put = Put::new(&lease.scope, &lease.key, record, life(&done, seen.now));
            put.answer = Some(&answer);
            match self.put(&put).await? {
                Written::Hit { .. } => return Ok(LeaseOutcome::Done),
                Written::Miss(fresh) => seen = fresh,
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn abandon(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        // `decide_abandon` in the statement's own condition: it needs neither clock nor answer.
        let removed = row(&self.pool, || {
            sqlx::query(include_str!("sql/abandon.sql"))
                .bind(lease.scope.principal.as_str())
                .bind(lease.scope.user.as_str())
                .bind(lease.key.as_str())
                .bind(number(lease.token))
        })
        .await?;
        Ok(removed.map_or(LeaseOutcome::Lost, |_| LeaseOutcome::Done))
    }

    async fn look(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<Option<BeginOutcome>, StoreError> {
        let found = row(&self.pool, || {
            sqlx::query(include_str!("sql/look.sql"))
                .bind(scope.principal.as_str())
                .bind(scope.user.as_str())
                .bind(key.as_str())
        })
        .await?;
        let found = found.ok_or_else(|| corrupt("no row for a look"))?;
        let seen = Seen::of(&found, false)?;
        Ok(decide_look(seen.record.as_ref(), fingerprint, seen.now))
    }

    async fn reap(&self, limit: u32) -> Result<u32, StoreError> {
        let reaped = row(&self.pool, || {
            sqlx::query(include_str!("sql/reap.sql")).bind(i64::from(limit))
        })
        .await?
        .ok_or_else(|| corrupt("no row for a reaping"))?;
        u32::try_from(get::<i64>(&reaped, "reaped")?).map_err(corrupt)
    }
}
