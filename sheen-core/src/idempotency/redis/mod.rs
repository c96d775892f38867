//! Idempotency records in Redis: leases, one call of a script a step.
//!
//! 1. Every key of a scope is in one cluster slot, by the hash tag `{principal/user}`: the record
//!    of each idempotency key, and the scope's last token.
//! 2. The script takes the time from the server, never from a caller, and the deadlines from the
//!    records. Records past their life go by a time to live of ten minutes more, so nobody has to
//!    reap; reaping still may.
//! 3. A scope's tokens rise, and are never below the time in microseconds. So a last token that
//!    was lost, by its own time to live or in a failover, is followed by a higher one all the same.
//! 4. The call runs outside Redis, as under any lease: after a crash the lease lapses and a repeat
//!    may run it again.
//!
//! What it cannot promise: Redis answers before a write is on a disk (`appendfsync everysec` loses
//! the last second) or on a replica. A failover may so lose the last records, and the call of a
//! lost one runs again on its repeat. Where that must not be, as with money, use
//! `PgTransactionalIdempotency` (feature `postgres`). A server that evicts keys would lose records
//! in ordinary service; [`RedisIdempotencyStore::open`] refuses it.

mod reply;

use std::fmt;

use async_trait::async_trait;
use redis::Script;
use redis::aio::ConnectionLike;

use super::store::IdempotencyStore;
use super::types::{
    BeginOutcome, ExtendOutcome, Fingerprint, IdempotencyKey, Lease, LeaseOutcome, Lifetimes,
    Scope, StoredAnswer,
};
use crate::error::StoreError;
use crate::redis::{EvictionError, refuse_eviction, step_error};
use reply::{Reply, answer_bytes, begun, corrupt, token_text};

/// How long a scope's last token outlives its last use, beside the life of a record.
const TOKEN_KEPT_MS: u64 = 24 * 3600 * 1000;
/// How many keys a reaping asks for at a time, and how often at most.
const SCANNED: u32 = 1_000;
const SCANS: u32 = 16;

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// The prefix would reach into the hash tag or into a pattern.
    #[error("the prefix must be at most 64 characters of A-Z a-z 0-9 _ . : -")]
    Prefix,
    /// The server is not fit to keep records.
    #[error("the server is not fit to keep records")]
    Server(#[from] EvictionError),
}

macro_rules! script {
    ($($part:literal)+) => {
        Script::new(concat!(
            include_str!("lua/record.lua"),
            $(include_str!(concat!("lua/", $part, ".lua")),)+
        ))
    };
}

struct Scripts {
    begin: Script,
    look: Script,
    extend: Script,
    complete: Script,
    abandon: Script,
    reap: Script,
}

/// Leases and answers in Redis 5 or later, alone or as a cluster.
///
/// The connection is cloned for each step: take one that multiplexes and has a response timeout,
/// and that connects again by itself where it should.
pub struct RedisIdempotencyStore<C> {
    connection: C,
    prefix: String,
    lifetimes: Lifetimes,
    scripts: Scripts,
    #[cfg(any(test, feature = "testing"))]
    clock: Option<std::sync::Arc<dyn crate::time::Clock>>,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisIdempotencyStore<C> {
    /// Records under keys that begin with `prefix`, such as `sheen:idempotency:`.
    ///
    /// # Errors
    /// When the prefix is malformed, the server evicts keys, or cannot be asked whether it does.
    pub async fn open(
        connection: C,
        prefix: &str,
        lifetimes: Lifetimes,
    ) -> Result<Self, RedisOpenError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
        if prefix.len() > 64 || !prefix.bytes().all(plain) {
            return Err(RedisOpenError::Prefix);
        }
        refuse_eviction(&mut connection.clone()).await?;
        Ok(Self {
            connection,
            prefix: prefix.to_owned(),
            lifetimes,
            scripts: Scripts {
                begin: script!("refusal" "begin"),
                look: script!("refusal" "look"),
                extend: script!("extend"),
                complete: script!("complete"),
                abandon: script!("abandon"),
                reap: script!("reap"),
            },
            #[cfg(any(test, feature = "testing"))]
            clock: None,
        })
    }

    /// Takes the time from `clock` instead of from the server. The scripts are the same.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn with_clock(mut self, clock: std::sync::Arc<dyn crate::time::Clock>) -> Self {
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

    /// The name under which a record is kept.
    #[must_use]
    pub fn record_name(&self, scope: &Scope, key: &IdempotencyKey) -> String {
        format!("{}k:{}", self.tagged(scope), key.as_str())
    }

    /// The name under which a scope's last token is kept.
    #[must_use]
    pub fn token_name(&self, scope: &Scope) -> String {
        format!("{}token", self.tagged(scope))
    }

    /// No id holds a brace or a slash, so the tag is the first in the name and joins one way only.
    fn tagged(&self, scope: &Scope) -> String {
        format!("{}{{{}/{}}}", self.prefix, scope.principal, scope.user)
    }

    async fn step(&self, call: &redis::ScriptInvocation<'_>) -> Result<Reply, StoreError> {
        // One command, but for a server that forgot the script: then it is loaded and called again.
        let parts: Vec<Vec<u8>> = call
            .invoke_async(&mut self.connection.clone())
            .await
            .map_err(step_error)?;
        Ok(Reply(parts))
    }

    fn lease_millis(&self) -> u64 {
        millis(self.lifetimes.lease)
    }

    async fn scan(&self, cursor: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>), StoreError> {
        redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{}{{*}}k:*", self.prefix))
            .arg("COUNT")
            .arg(SCANNED)
            .query_async(&mut self.connection.clone())
            .await
            .map_err(step_error)
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> IdempotencyStore
    for RedisIdempotencyStore<C>
{
    async fn begin(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<BeginOutcome, StoreError> {
        let mut call = self.scripts.begin.prepare_invoke();
        call.key(self.record_name(scope, key))
            .key(self.token_name(scope))
            .arg(self.time())
            .arg(&fingerprint.as_bytes()[..])
            .arg(self.lease_millis())
            .arg(millis(self.lifetimes.record).saturating_add(TOKEN_KEPT_MS));
        let reply = self.step(&call).await?;
        match reply.word() {
            b"started" => Ok(BeginOutcome::Started(Lease::new(
                scope.clone(),
                key.clone(),
                reply.token(1)?,
                reply.instant(2)?,
            ))),
            _ => begun(&reply),
        }
    }

    async fn extend(&self, lease: &Lease) -> Result<ExtendOutcome, StoreError> {
        let mut call = self.scripts.extend.prepare_invoke();
        call.key(self.record_name(&lease.scope, &lease.key))
            .arg(self.time())
            .arg(token_text(lease.token))
            .arg(self.lease_millis());
        let reply = self.step(&call).await?;
        match reply.word() {
            b"lost" => Ok(ExtendOutcome::Lost),
            b"extended" => Ok(ExtendOutcome::Extended(Lease {
                expires_at: reply.instant(1)?,
                ..lease.clone()
            })),
            _ => Err(corrupt("an extension's answer")),
        }
    }

    async fn complete(
        &self,
        lease: &Lease,
        answer: StoredAnswer,
    ) -> Result<LeaseOutcome, StoreError> {
        let mut call = self.scripts.complete.prepare_invoke();
        call.key(self.record_name(&lease.scope, &lease.key))
            .arg(self.time())
            .arg(token_text(lease.token))
            .arg(millis(self.lifetimes.record))
            .arg(answer_bytes(&answer)?);
        self.step(&call).await?.lease_outcome()
    }

    async fn abandon(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        let mut call = self.scripts.abandon.prepare_invoke();
        call.key(self.record_name(&lease.scope, &lease.key))
            .arg(self.time())
            .arg(token_text(lease.token));
        self.step(&call).await?.lease_outcome()
    }

    async fn look(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<Option<BeginOutcome>, StoreError> {
        let mut call = self.scripts.look.prepare_invoke();
        call.key(self.record_name(scope, key))
            .arg(self.time())
            .arg(&fingerprint.as_bytes()[..]);
        let reply = self.step(&call).await?;
        match reply.word() {
            b"free" => Ok(None),
            _ => begun(&reply).map(Some),
        }
    }

    /// Looks through at most 16,000 keys, in a cluster those of some one node; a call for each
    /// record. Nobody needs it: records go by themselves ten minutes past their life.
    async fn reap(&self, limit: u32) -> Result<u32, StoreError> {
        let (mut cursor, mut reaped) = (b"0".to_vec(), 0);
        for _ in 0..SCANS {
            if reaped >= limit {
                break;
            }
            let (next, names) = self.scan(&cursor).await?;
            for name in names {
                if reaped >= limit {
                    break;
                }
                let mut call = self.scripts.reap.prepare_invoke();
                call.key(name).arg(self.time());
                reaped += u32::from(self.step(&call).await?.word() == b"reaped");
            }
            if next == b"0" {
                break;
            }
            cursor = next;
        }
        Ok(reaped)
    }
}

impl<C> fmt::Debug for RedisIdempotencyStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisIdempotencyStore")
            .field("prefix", &self.prefix)
            .field("lifetimes", &self.lifetimes)
            .finish_non_exhaustive()
    }
}
