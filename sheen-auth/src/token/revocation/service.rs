//! Asking for epochs without asking the store each time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sheen_core::error::StoreError;
use sheen_core::id::UserId;
use sheen_core::time::Clock;

use super::store::RevocationStore;
use super::types::Epoch;
use crate::token::Viewer;

/// Whether viewers' tokens were taken back, from a store behind a cache.
pub struct Revocations {
    store: Arc<dyn RevocationStore>,
    clock: Arc<dyn Clock>,
    max_age: Duration,
    cache: Mutex<Cache>,
}

impl Revocations {
    /// How long what the store said is believed, unless said otherwise.
    pub const MAX_AGE: Duration = Duration::from_secs(5);
    /// How many users are remembered in either half of the cache.
    pub const CACHED: usize = 10_000;

    /// What `store` says, believed for [`Self::MAX_AGE`] by `clock`.
    #[must_use]
    pub fn new(store: Arc<dyn RevocationStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            max_age: Self::MAX_AGE,
            cache: Mutex::new(Cache::default()),
        }
    }

    /// Believes what the store said for `max_age`: how late another process's revocation is seen.
    #[must_use]
    pub const fn believed_for(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Takes back every token of `user` issued up to now.
    ///
    /// # Errors
    /// When the store fails or is full.
    pub async fn revoke(&self, user: &UserId) -> Result<Epoch, StoreError> {
        let begun = self.clock.monotonic();
        let epoch = self.store.revoke(user).await?;
        self.lock().put(user, Some(epoch), begun);
        Ok(epoch)
    }

    /// Whether the viewer's token was taken back. For a stream: before each keep-alive is written.
    ///
    /// # Errors
    /// When the store fails. The viewer must then not be let on.
    pub async fn is_revoked(&self, viewer: &Viewer) -> Result<bool, StoreError> {
        let revokes = |epoch: Option<Epoch>| epoch.is_some_and(|e| e.revokes(viewer.issued_at));
        let now = self.clock.monotonic();
        let known = self.lock().get(&viewer.user);
        if let Some(known) = known {
            // An epoch never goes back, so a token once revoked needs no fresh word.
            let fresh = now.saturating_sub(known.read_at) < self.max_age;
            if fresh || revokes(known.epoch) {
                return Ok(revokes(known.epoch));
            }
        }
        let epoch = self.store.epoch(&viewer.user).await?;
        // As old as the question: what was revoked meanwhile may not be in the answer.
        let epoch = self.lock().put(&viewer.user, epoch, now);
        Ok(revokes(epoch))
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("store", &self.store)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
struct Known {
    epoch: Option<Epoch>,
    /// Monotonic.
    read_at: Duration,
}

/// Two halves: when the younger is full it becomes the older, whose users are asked for again.
#[derive(Default)]
struct Cache {
    younger: BTreeMap<UserId, Known>,
    older: BTreeMap<UserId, Known>,
}

impl Cache {
    fn get(&self, user: &UserId) -> Option<Known> {
        let known = self.younger.get(user).or_else(|| self.older.get(user));
        known.copied()
    }

    /// Takes what was read, unless a later epoch is known already, and says which holds.
    fn put(&mut self, user: &UserId, epoch: Option<Epoch>, read_at: Duration) -> Option<Epoch> {
        let before = self.get(user);
        let epoch = epoch.max(before.and_then(|known| known.epoch));
        let read_at = read_at.max(before.map_or(Duration::ZERO, |known| known.read_at));
        if self.younger.len() >= Revocations::CACHED && !self.younger.contains_key(user) {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(user.clone(), Known { epoch, read_at });
        epoch
    }
}
