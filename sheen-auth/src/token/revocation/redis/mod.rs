//! Epochs of many processes, in Redis.
//!
//! 1. A revocation is one call of a script on the user's key, by the server's time; asking is one
//!    `GET`. The rule, what a revocation revokes, is [`Epoch::after`]'s.
//! 2. Every key has a time to live: until each token it revokes has expired, and an hour.
//!
//! A server that comes back without its data, or evicts, forgets what was revoked in the last ten
//! minutes; [`RedisRevocationStore::open`] refuses one that evicts.

use std::fmt;

use async_trait::async_trait;
use redis::Script;
use redis::aio::ConnectionLike;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::UserId;
use sheen_core::redis::{EvictionError, refuse_eviction, step_error};
use sheen_core::time::Timestamp;

use super::store::RevocationStore;
use super::types::Epoch;

/// Epochs in Redis, alone or as a cluster.
///
/// The connection is cloned for each step: take one that multiplexes and has a response timeout.
pub struct RedisRevocationStore<C> {
    connection: C,
    prefix: String,
    revoke: Script,
    #[cfg(any(test, feature = "testing"))]
    clock: Option<std::sync::Arc<dyn sheen_core::time::Clock>>,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisRevocationStore<C> {
    /// Epochs under keys that begin with `prefix`, such as `sheen:revoked:`.
    ///
    /// # Errors
    /// When the server evicts keys, or cannot be asked whether it does.
    pub async fn open(connection: C, prefix: impl Into<String>) -> Result<Self, EvictionError> {
        refuse_eviction(&mut connection.clone()).await?;
        Ok(Self {
            connection,
            prefix: prefix.into(),
            revoke: Script::new(include_str!("revoke.lua")),
            #[cfg(any(test, feature = "testing"))]
            clock: None,
        })
    }

    /// Takes the time from `clock` instead of from the server. The script is the same.
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

    /// The name under which a user's epoch is kept; no id holds a brace.
    #[must_use]
    pub fn name_of(&self, user: &UserId) -> String {
        format!("{}{{{user}}}", self.prefix)
    }
}

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> RevocationStore
    for RedisRevocationStore<C>
{
    async fn revoke(&self, user: &UserId) -> Result<Epoch, StoreError> {
        let life = u64::try_from(super::KEPT.as_millis()).unwrap_or(u64::MAX);
        let mut call = self.revoke.prepare_invoke();
        call.key(self.name_of(user)).arg(self.time()).arg(life);
        let revoked: i64 = call
            .invoke_async(&mut self.connection.clone())
            .await
            .map_err(step_error)?;
        Ok(Epoch::after(Timestamp::from_millis(revoked)))
    }

    async fn epoch(&self, user: &UserId) -> Result<Option<Epoch>, StoreError> {
        let revoked: Option<String> = redis::cmd("GET")
            .arg(self.name_of(user))
            .query_async(&mut self.connection.clone())
            .await
            .map_err(step_error)?;
        let read = |text: String| {
            let millis = text.parse::<i64>();
            millis.map_err(|error| StoreError::with_source(StoreErrorKind::Corrupt, error))
        };
        let revoked = revoked.map(read).transpose()?;
        Ok(revoked.map(|millis| Epoch::after(Timestamp::from_millis(millis))))
    }
}

impl<C> fmt::Debug for RedisRevocationStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevocationStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
