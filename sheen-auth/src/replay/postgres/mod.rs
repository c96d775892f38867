//! Spent things in PostgreSQL, for services without Redis.
//!
//! 1. A claim is one statement in autocommit, its mark included: decided over a thing that was
//!    never seen, applied where that is so. What was met instead comes back in the same answer and
//!    is decided again.
//! 2. Time is the database's, read after the shard's lock was taken.
//! 3. A principal's entries are counted in shards by digest, one for each 1024 of its share and 64
//!    at most. A claim waits for claims in its own shard alone; a share is full when a shard is,
//!    which large shares are within a few percent of their bound.
//! 4. Each claim removes at most sixteen rows that ran out. [`PgReplayStore::reap`] removes those
//!    of principals that do not call any more.
//! 5. A restart or a crash of the server loses nothing, so nothing is refused for it. That holds with
//!    `fsync`, `full_page_writes` and `synchronous_commit` on, their defaults; with the last off, a
//!    crash may lose the last claims. A failover keeps a claim only where the promoted standby was a
//!    synchronous one. After any other, and after a restore, what was claimed since the state that
//!    came back passes once more within its window: keep the door shut for ten minutes, the widest
//!    window's both sides.

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::PrincipalId;
use sheen_core::postgres::{row, step_error};
use sheen_core::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};

use super::decide::{ClaimDecision, Known, decide_claim};
use super::shared::{self, SharedDigest};
use super::store::ReplayStore;
use super::types::{Claim, ClaimOutcome, MARK_LIFE, V1Mark};

const MAX_SHARDS: u64 = 64;
/// A smaller share has fewer shards, so that each has room for uneven digests.
const ENTRIES_PER_SHARD: u64 = 1024;
/// How often one claim is decided before it gives up.
const DECISIONS: u32 = 4;

/// A replay store in PostgreSQL, over the caller's pool. The database must have been
/// [migrated](crate::postgres::migrate).
#[derive(Debug)]
pub struct PgReplayStore {
    pool: PgPool,
    capacity: u64,
    shards: u64,
}

impl PgReplayStore {
    /// What was spent in the database behind `pool`, at most `capacity` entries of each principal
    /// (a claim is one, a mark another). Every process must state the same.
    #[must_use]
    pub fn new(pool: PgPool, capacity: u64) -> Self {
        let shards = (capacity / ENTRIES_PER_SHARD).clamp(1, MAX_SHARDS);
        Self {
            pool,
            capacity,
            // Halved to a power of two.
            shards: 1 << shards.ilog2(),
        }
    }

    /// Removes at most `limit` entries that ran out, and says how many. Claims do so themselves;
    /// this is for principals that do not call any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reap(&self, limit: u32) -> Result<u32, StoreError> {
        let reaped = row(&self.pool, || {
            sqlx::query(include_str!("sql/reap.sql")).bind(i64::from(limit))
        })
        .await?;
        u32::try_from(get::<i64>(&found(reaped)?, "reaped")?).map_err(corrupt)
    }

    /// By the hash's last byte.
    fn shard(&self, digest: &SharedDigest) -> u64 {
        u64::from(digest[16]) % self.shards
    }

    /// Together exactly the capacity.
    fn capacity_of(&self, shard: u64) -> i64 {
        let capacity = self.capacity / self.shards + u64::from(shard < self.capacity % self.shards);
        i64::try_from(capacity).unwrap_or(i64::MAX)
    }

    /// Applies a claim that was decided to be made; what was met instead, if it does not hold.
    async fn spend(&self, claim: &Claim<'_>) -> Result<Option<(Known, Timestamp)>, StoreError> {
        let digest = shared::of_once(claim.once);
        let mark = claim.mark.as_ref().map(shared::of_mark);
        let shard = self.shard(&digest);
        let capacity = self.capacity_of(shard);
        let life = i64::try_from(MARK_LIFE.as_millis()).map_err(corrupt)?;
        let shard = i16::try_from(shard).map_err(corrupt)?;
        let met = row(&self.pool, || {
            sqlx::query(include_str!("sql/spend.sql"))
                .bind(claim.principal.as_str())
                .bind(shard)
                .bind(digest.to_vec())
                .bind(claim.remember_until().as_millis())
                .bind(mark.map(|mark| mark.to_vec()))
                .bind(life)
                .bind(capacity)
        })
        .await?;
        let met = found(met)?;
        if get(&met, "hit")? {
            return Ok(None);
        }
        let wanted = 1 + i64::from(mark.is_some());
        let floor: i64 = get(&met, "floor_ms")?;
        let known = Known {
            since: None,
            // What ends at the floor itself may have been forgotten too.
            floor: Timestamp::from_millis(floor.saturating_add(1)),
            is_spent: get(&met, "spent")?,
            has_room: get::<i64>(&met, "entries")? + wanted <= capacity,
        };
        Ok(Some((known, Timestamp::from_millis(get(&met, "now_ms")?))))
    }
}

#[async_trait]
impl ReplayStore for PgReplayStore {
    async fn claim(&self, claim: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        let (mut known, mut now) = (Known::NOTHING, claim.signed_at);
        for _ in 0..DECISIONS {
            match decide_claim(&known, now, claim) {
                ClaimDecision::Refuse(outcome) => return Ok(outcome),
                ClaimDecision::Full => return Err(StoreError::new(StoreErrorKind::Full)),
                ClaimDecision::Spend => match self.spend(claim).await? {
                    None => return Ok(ClaimOutcome::Claimed),
                    Some(met) => (known, now) = met,
                },
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn v1_marked(&self, principal: &PrincipalId, mark: &V1Mark) -> Result<bool, StoreError> {
        let marked = row(&self.pool, || {
            sqlx::query(include_str!("sql/marked.sql"))
                .bind(principal.as_str())
                .bind(shared::of_mark(mark).to_vec())
        })
        .await?;
        get(&found(marked)?, "marked")
    }
}

fn found(row: Option<PgRow>) -> Result<PgRow, StoreError> {
    row.ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt))
}

fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, error)
}

fn get<'r, T>(row: &'r PgRow, column: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(column).map_err(step_error)
}
