//! Spent things of many processes, in Redis.
//!
//! 1. A claim is one call of a script, its mark included, by the server's time. A principal's two
//!    keys share a hash tag, and so a cluster's slot.
//! 2. What was spent is a sorted set of 17-byte digests by the instant until which each is known,
//!    from the signed stamp. Each claim drops at most sixteen that ran out; the set's time to live
//!    takes an idle principal's.
//! 3. A small hash without a time to live says since when the memory is whole and until when
//!    anything in it was known. So a set that is gone before its time, evicted or by a clock that
//!    jumped, refuses what may have been in it.
//! 4. The hash also names the server's replication id, which is new after every start and every
//!    promotion of a replica. A memory that came back empty, from a snapshot, from a log cut short or
//!    on another server thus refuses what was signed more than 2 s before its first claim there.
//!    (A slot that moves, and a master's first replica, look the same: callers sign again.)
//! 5. A principal's share is bounded; a full one is refused, and the server's own bound is too.
//!
//! What it cannot promise: Redis answers before a write is on a disk or on a replica, so a restart
//! or a failover may lose the last claims and marks. By rule 4 a lost claim passes once more only
//! where it was signed less than 2 s before the first claim afterwards, or by a caller whose clock is
//! ahead; a lost mark lets its plain v1 signature in. `min-replicas-to-write` and `appendfsync
//! always` narrow that, `WAIT` after a claim does not close it; where it must not be, use PostgreSQL.
//! A server that evicts may forget marks early, and the hash; see [`RedisReplayStore::open`]. A user
//! of Redis' access lists needs `+info`; without it claims fail, and the door is closed.

use std::fmt;

use async_trait::async_trait;
use redis::Script;
use redis::aio::ConnectionLike;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::PrincipalId;
use sheen_core::redis::{EvictionError, refuse_eviction, step_error};
use sheen_core::time::Timestamp;

use super::decide::START_GRACE;
use super::shared;
use super::store::ReplayStore;
use super::types::{Claim, ClaimOutcome, MARK_LIFE, V1Mark};

/// How much longer than its last entry a principal's set is kept: for a clock that steps back.
const MARGIN_MS: u64 = 60_000;

/// A replay store in Redis 6.2 or later, alone or as a cluster.
///
/// The connection is cloned for each step: take one that multiplexes and has a response timeout.
pub struct RedisReplayStore<C> {
    connection: C,
    prefix: String,
    capacity: u64,
    claim: Script,
    marked: Script,
    #[cfg(any(test, feature = "testing"))]
    clock: Option<std::sync::Arc<dyn sheen_core::time::Clock>>,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisReplayStore<C> {
    /// Claims under keys that begin with `prefix`, such as `sheen:replay:`, at most `capacity`
    /// entries of each principal (a claim is one, a mark another). About 120 bytes each.
    ///
    /// # Errors
    /// When the server evicts keys, or cannot be asked whether it does.
    pub async fn open(
        connection: C,
        prefix: impl Into<String>,
        capacity: u64,
    ) -> Result<Self, EvictionError> {
        let store = Self::unchecked(connection, prefix, capacity);
        store.check_server().await?;
        Ok(store)
    }

    /// The same for a server that may evict, where nobody can tell it otherwise. Log what
    /// [`check_server`](Self::check_server) says: a spent nonce that was evicted stays refused as
    /// too old, but an evicted mark lets its v1 signature in again.
    pub fn unchecked(connection: C, prefix: impl Into<String>, capacity: u64) -> Self {
        let script = |step: &str| Script::new(&[include_str!("time.lua"), step].concat());
        Self {
            connection,
            prefix: prefix.into(),
            capacity,
            claim: script(include_str!("claim.lua")),
            marked: script(include_str!("marked.lua")),
            #[cfg(any(test, feature = "testing"))]
            clock: None,
        }
    }

    /// Asks every node whether it evicts keys: at the start, and in a readiness check, since
    /// `CONFIG SET` may change it while it runs.
    ///
    /// # Errors
    /// When one does, or does not say, or cannot be asked.
    pub async fn check_server(&self) -> Result<(), EvictionError> {
        refuse_eviction(&mut self.connection.clone()).await
    }

    /// Takes the time from `clock` instead of from the server. The scripts are the same.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn with_clock(mut self, clock: std::sync::Arc<dyn sheen_core::time::Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    #[cfg(any(test, feature = "testing"))]
    fn time(&self) -> String {
        let clock = self.clock.as_ref();
        clock.map_or_else(String::new, |clock| clock.now().as_millis().to_string())
    }

    #[cfg(not(any(test, feature = "testing")))]
    #[expect(clippy::unused_self, reason = "a test has a clock of its own")]
    const fn time(&self) -> &'static str {
        ""
    }

    /// The two names under which a principal's things are kept. No id holds a brace, so the tag is
    /// the first in the name.
    #[must_use]
    pub fn names(&self, principal: &PrincipalId) -> [String; 2] {
        ["spent", "since"].map(|what| format!("{}{{{principal}}}:{what}", self.prefix))
    }
}

/// What a double of Lua holds exactly.
fn exact(at: Timestamp) -> i64 {
    at.as_millis().clamp(0, 1 << 53)
}

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> ReplayStore for RedisReplayStore<C> {
    async fn claim(&self, claim: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        let [spent, since] = self.names(claim.principal);
        let mark = claim.mark.as_ref().map(shared::of_mark);
        let mut call = self.claim.prepare_invoke();
        call.key(spent)
            .key(since)
            .arg(self.time())
            .arg(exact(claim.signed_at))
            .arg(exact(claim.remember_until()))
            .arg(millis(START_GRACE))
            .arg(self.capacity)
            .arg(&shared::of_once(claim.once)[..])
            .arg(mark.as_ref().map_or(&[][..], |mark| &mark[..]))
            .arg(millis(MARK_LIFE))
            .arg(MARGIN_MS);
        match self.word(&call).await?.as_str() {
            "claimed" => Ok(ClaimOutcome::Claimed),
            "replayed" => Ok(ClaimOutcome::Replayed),
            "too old" => Ok(ClaimOutcome::TooOld),
            "full" => Err(StoreError::new(StoreErrorKind::Full)),
            _ => Err(StoreError::new(StoreErrorKind::Corrupt)),
        }
    }

    async fn v1_marked(&self, principal: &PrincipalId, mark: &V1Mark) -> Result<bool, StoreError> {
        let [spent, _] = self.names(principal);
        let mut call = self.marked.prepare_invoke();
        call.key(spent)
            .arg(self.time())
            .arg(&shared::of_mark(mark)[..]);
        match self.word(&call).await?.as_str() {
            "marked" => Ok(true),
            "free" => Ok(false),
            _ => Err(StoreError::new(StoreErrorKind::Corrupt)),
        }
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisReplayStore<C> {
    async fn word(&self, call: &redis::ScriptInvocation<'_>) -> Result<String, StoreError> {
        // One command, but for a server that forgot the script: then it is loaded and called again.
        call.invoke_async(&mut self.connection.clone())
            .await
            .map_err(step_error)
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(1 << 53)
}

impl<C> fmt::Debug for RedisReplayStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReplayStore")
            .field("prefix", &self.prefix)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
