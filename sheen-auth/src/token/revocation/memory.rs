//! Epochs in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::UserId;
use sheen_core::time::{Clock, Timestamp};

use super::store::RevocationStore;
use super::types::Epoch;

/// Epochs of one process, of at most `capacity` users: the next one is refused with `Full`.
///
/// A restart loses everything, so tokens issued before it started count as revoked: their holders
/// fetch new ones. What it has forgotten stays revoked should the clock step back.
pub struct MemoryRevocationStore {
    clock: Arc<dyn Clock>,
    state: Mutex<RevocationState>,
}

/// What a [`MemoryRevocationStore`] knows.
pub struct RevocationState {
    capacity: usize,
    /// The latest epoch that was forgotten, or the start: everybody's.
    floor: Epoch,
    epochs: BTreeMap<UserId, Epoch>,
    by_age: BTreeSet<(Epoch, UserId)>,
}

impl MemoryRevocationStore {
    /// A store that starts now and keeps the epochs of at most `capacity` users.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, capacity: usize) -> Self {
        let state = Mutex::new(RevocationState {
            capacity,
            floor: Epoch::from_seconds(clock.now().as_seconds()),
            epochs: BTreeMap::new(),
            by_age: BTreeSet::new(),
        });
        Self { clock, state }
    }

    /// The state under its lock, for a step across rooms or without async.
    ///
    /// No other lock may be waited for while this one is held.
    pub fn lock(&self) -> MutexGuard<'_, RevocationState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RevocationState {
    /// [`RevocationStore::revoke`] at `now`.
    ///
    /// # Errors
    /// `Full` when the user is not known and there is no room.
    pub fn revoke(&mut self, now: Timestamp, user: &UserId) -> Result<Epoch, StoreError> {
        self.forget(now);
        let known = self.epochs.get(user).copied();
        if known.is_none() && self.epochs.len() >= self.capacity {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        let epoch = Epoch::after(now)
            .max(self.floor)
            .max(known.unwrap_or(self.floor));
        if let Some(known) = known {
            self.by_age.remove(&(known, user.clone()));
        }
        self.by_age.insert((epoch, user.clone()));
        self.epochs.insert(user.clone(), epoch);
        Ok(epoch)
    }

    /// [`RevocationStore::epoch`].
    #[must_use]
    pub fn epoch(&self, user: &UserId) -> Epoch {
        let own = self.epochs.get(user).copied();
        own.unwrap_or(self.floor).max(self.floor)
    }

    /// How many users' epochs are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.epochs.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    /// Each is forgotten once: the work is that of the revocations.
    fn forget(&mut self, now: Timestamp) {
        while let Some((epoch, user)) = self.by_age.pop_first() {
            if epoch.forgotten_from() > now {
                self.by_age.insert((epoch, user));
                return;
            }
            self.epochs.remove(&user);
            self.floor = self.floor.max(epoch);
        }
    }
}

#[async_trait]
impl RevocationStore for MemoryRevocationStore {
    async fn revoke(&self, user: &UserId) -> Result<Epoch, StoreError> {
        let now = self.clock.now();
        self.lock().revoke(now, user)
    }

    async fn epoch(&self, user: &UserId) -> Result<Option<Epoch>, StoreError> {
        Ok(Some(self.lock().epoch(user)))
    }
}

impl fmt::Debug for MemoryRevocationStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRevocationStore")
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RevocationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationState")
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
