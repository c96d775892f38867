//! Limits of many processes, in Redis.

use std::fmt;

use async_trait::async_trait;
use redis::Script;
use redis::aio::ConnectionLike;
use sha2::{Digest as _, Sha256};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::redis::step_error;

use super::store::LimitStore;
use super::types::{LimitKey, Quotas, Standing, TakeOutcome};

/// Limits in Redis, by the server's time.
///
/// Each step is one call of a script on one key. A key's name is a SHA-256 in a hash tag, so that
/// no identifier can be read in it or reach out of it, and a cluster knows one slot for it. Every
/// key has a time to live: until what was used has come back, at least a second. A server that evicts keys
/// (`maxmemory-policy` other than `noeviction`) forgets limits early; one that fails over may
/// forget the last calls.
///
/// The connection is cloned for each step: take one that multiplexes and has a response timeout.
pub struct RedisLimitStore<C> {
    connection: C,
    prefix: String,
    script: Script,
    #[cfg(any(test, feature = "testing"))]
    fixed: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
}

impl<C> RedisLimitStore<C> {
    /// Limits under keys that begin with `prefix`, such as `sheen:limit:`.
    pub fn new(connection: C, prefix: impl Into<String>) -> Self {
        Self {
            connection,
            prefix: prefix.into(),
            script: Script::new(include_str!("limit.lua")),
            #[cfg(any(test, feature = "testing"))]
            fixed: None,
        }
    }

    /// Takes these microseconds for the time instead of the server's clock.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn at(mut self, micros: std::sync::Arc<std::sync::atomic::AtomicU64>) -> Self {
        self.fixed = Some(micros);
        self
    }

    #[cfg(any(test, feature = "testing"))]
    fn time(&self) -> String {
        let fixed = self.fixed.as_ref();
        fixed.map_or_else(String::new, |micros| {
            micros.load(std::sync::atomic::Ordering::SeqCst).to_string()
        })
    }

    #[cfg(not(any(test, feature = "testing")))]
    #[expect(clippy::unused_self, reason = "a test has a time of its own")]
    const fn time(&self) -> &'static str {
        ""
    }

    /// The name under which `key` is kept with these quotas.
    #[must_use]
    pub fn name_of(&self, key: &LimitKey<'_>, quotas: &Quotas) -> String {
        let mut hash = Sha256::new();
        key.feed(quotas, |bytes| hash.update(bytes));
        let hash = hash.finalize();
        format!("{}{{{}}}", self.prefix, const_hex::encode(&hash[..16]))
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisLimitStore<C> {
    async fn step(
        &self,
        step: &str,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<(u64, u64, Standing), StoreError> {
        let mut call = self.script.prepare_invoke();
        call.key(self.name_of(key, quotas))
            .arg(self.time())
            .arg(step)
            .arg(cost);
        for quota in quotas.as_slice() {
            call.arg(quota.interval_micros()).arg(quota.burst());
        }
        let mut connection = self.connection.clone();
        let answer: Vec<u64> = call
            .invoke_async(&mut connection)
            .await
            .map_err(step_error)?;
        match answer.as_slice() {
            [blocked, wait, debts @ ..] if debts.len() == quotas.as_slice().len() => {
                Ok((*blocked, *wait, Standing::from_debts(*quotas, debts)))
            }
            _ => Err(StoreError::new(StoreErrorKind::Corrupt)),
        }
    }

    async fn outcome(
        &self,
        step: &str,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<TakeOutcome, StoreError> {
        let max_cost = quotas.max_cost();
        if cost > max_cost {
            return Ok(TakeOutcome::TooCostly { max_cost });
        }
        let (blocked, wait, standing) = self.step(step, key, quotas, cost).await?;
        let Some(place) = blocked.checked_sub(1) else {
            return Ok(TakeOutcome::Admitted(standing));
        };
        let place = usize::try_from(place).map_err(|_| StoreError::new(StoreErrorKind::Corrupt))?;
        Ok(TakeOutcome::Limited(standing.waiting(wait, place)))
    }
}

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> LimitStore for RedisLimitStore<C> {
    async fn take(
        &self,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<TakeOutcome, StoreError> {
        self.outcome("take", key, quotas, cost).await
    }

    async fn peek(
        &self,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<TakeOutcome, StoreError> {
        self.outcome("peek", key, quotas, cost).await
    }

    async fn refund(
        &self,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<Standing, StoreError> {
        let (_, _, standing) = self.step("refund", key, quotas, cost).await?;
        Ok(standing)
    }
}

impl<C> fmt::Debug for RedisLimitStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimitStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
