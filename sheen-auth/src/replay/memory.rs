//! Spent things in memory, in generations by the instant at which they may be forgotten.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use sheen_core::entropy::{Entropy, OsEntropy};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::PrincipalId;
use sheen_core::time::{Clock, Timestamp};

use super::store::ReplayStore;
use super::types::{Claim, ClaimOutcome, MARK_LIFE, Once, V1Mark};

/// The width of a generation, in milliseconds: at most five are alive, and one is dropped whole.
const GENERATION_MILLIS: i64 = 300_000;

/// How long before its start a store may have been told things it no longer knows (wire.md §1).
const START_GRACE: Duration = Duration::from_secs(2);

/// More principals than a ring of keys can hold.
const MAX_PRINCIPALS: usize = 1024;

/// A replay store of one process.
///
/// It holds `capacity` entries for each principal (a claim is one, a mark another), at most 1024
/// principals, 16 bytes and the table's slack an entry. At its bound it refuses that principal
/// with `Full`; the others do not notice. A restart loses everything, so for two seconds before
/// its start and all time before that it answers [`ClaimOutcome::TooOld`].
///
/// Should the wall clock step back by more than the ten minutes that entries outlive their window,
/// claims are `TooOld` until the clock has caught up: what was forgotten stays refused.
pub struct MemoryReplayStore {
    clock: Arc<dyn Clock>,
    state: Mutex<ReplayState>,
}

/// What a [`MemoryReplayStore`] knows.
pub struct ReplayState {
    started_at: Timestamp,
    capacity: usize,
    /// SHA-256 over one block of random key: digests cannot be aimed at each other.
    keyed: Sha256,
    principals: BTreeMap<PrincipalId, Ledger>,
}

impl MemoryReplayStore {
    /// A store that starts now and holds `capacity` entries for each principal.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, capacity: usize) -> Self {
        Self::with_entropy(clock, capacity, &OsEntropy)
    }

    /// The same, its digests keyed from `entropy`.
    #[must_use]
    pub fn with_entropy(clock: Arc<dyn Clock>, capacity: usize, entropy: &dyn Entropy) -> Self {
        let mut key = zeroize::Zeroizing::new([0_u8; 64]);
        entropy.fill(&mut *key);
        let state = Mutex::new(ReplayState {
            started_at: clock.now(),
            capacity,
            keyed: Sha256::new().chain_update(*key),
            principals: BTreeMap::new(),
        });
        Self { clock, state }
    }

    /// The state under its lock, for a step across rooms or without async.
    ///
    /// No other lock may be waited for while this one is held.
    pub fn lock(&self) -> MutexGuard<'_, ReplayState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReplayState {
    /// [`ReplayStore::claim`] at `now`.
    ///
    /// # Errors
    /// `Full` when the principal's share is used up.
    pub fn claim(&mut self, now: Timestamp, claim: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        let until = claim.remember_until();
        if claim.signed_at < self.started_at.minus(START_GRACE) || until < now {
            return Ok(ClaimOutcome::TooOld);
        }
        let digest = self.digest(kind_of(claim.once), claim.once.as_str().as_bytes());
        let mark = claim.mark.map(|mark| self.digest(MARK, mark.as_bytes()));
        let capacity = self.capacity;
        let ledger = self.ledger(claim.principal)?;
        ledger.forget(now);
        if until.as_millis() < ledger.floor {
            return Ok(ClaimOutcome::TooOld);
        }
        if ledger
            .generations
            .values()
            .any(|g| g.spent.contains(&digest))
        {
            return Ok(ClaimOutcome::Replayed);
        }
        let wanted = 1 + usize::from(mark.is_some());
        if ledger.len.saturating_add(wanted) > capacity {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        ledger.spend(digest, until);
        if let Some(mark) = mark {
            ledger.mark(mark, now.plus(MARK_LIFE));
        }
        Ok(ClaimOutcome::Claimed)
    }

    /// [`ReplayStore::v1_marked`] at `now`.
    #[must_use]
    pub fn v1_marked(&self, now: Timestamp, principal: &PrincipalId, mark: &V1Mark) -> bool {
        let Some(ledger) = self.principals.get(principal) else {
            return false;
        };
        let digest = self.digest(MARK, mark.as_bytes());
        let alive = |g: &Generation| g.marks.get(&digest).is_some_and(|&until| now <= until);
        ledger.generations.values().any(alive)
    }

    /// How many entries are held, those past their life and not yet dropped included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.principals.values().map(|ledger| ledger.len).sum()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn ledger(&mut self, principal: &PrincipalId) -> Result<&mut Ledger, StoreError> {
        let room = self.principals.len() < MAX_PRINCIPALS;
        if !room && !self.principals.contains_key(principal) {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        Ok(self.principals.entry(principal.clone()).or_default())
    }

    fn digest(&self, kind: u8, text: &[u8]) -> Digest {
        let full = self
            .keyed
            .clone()
            .chain_update([kind])
            .chain_update(text)
            .finalize();
        let mut half = [0_u8; 16];
        half.copy_from_slice(&full[..16]);
        Digest::from_le_bytes(half)
    }
}

#[async_trait]
impl ReplayStore for MemoryReplayStore {
    async fn claim(&self, claim: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        let mut state = self.lock();
        state.claim(self.clock.now(), claim)
    }

    async fn v1_marked(&self, principal: &PrincipalId, mark: &V1Mark) -> Result<bool, StoreError> {
        let state = self.lock();
        Ok(state.v1_marked(self.clock.now(), principal, mark))
    }
}

impl fmt::Debug for MemoryReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayStore").finish_non_exhaustive()
    }
}

impl fmt::Debug for ReplayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayState")
            .field("started_at", &self.started_at)
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// What one principal spent.
#[derive(Default)]
struct Ledger {
    /// By the number of the generation's width since the epoch.
    generations: BTreeMap<i64, Generation>,
    /// Everything due before this instant (in milliseconds) may have been forgotten.
    floor: i64,
    len: usize,
}

/// What may be forgotten in one stretch of time.
#[derive(Default)]
struct Generation {
    spent: HashSet<Digest, BuildHasherDefault<Prehashed>>,
    /// With the exact end of their life, in milliseconds: a v1 caller waits for it.
    marks: HashMap<Digest, Timestamp, BuildHasherDefault<Prehashed>>,
}

impl Ledger {
    /// Drops whole generations, so that no claim walks entries.
    fn forget(&mut self, now: Timestamp) {
        while let Some(oldest) = self.generations.first_entry() {
            let end = oldest
                .key()
                .saturating_add(1)
                .saturating_mul(GENERATION_MILLIS);
            if end > now.as_millis() {
                break;
            }
            let gone = oldest.remove();
            self.len -= gone.spent.len() + gone.marks.len();
            self.floor = self.floor.max(end);
        }
    }

    fn generation(&mut self, until: Timestamp) -> &mut Generation {
        let number = until
            .as_millis()
            .max(self.floor)
            .div_euclid(GENERATION_MILLIS);
        self.generations.entry(number).or_default()
    }

    fn spend(&mut self, digest: Digest, until: Timestamp) {
        let new = self.generation(until).spent.insert(digest);
        self.len += usize::from(new);
    }

    fn mark(&mut self, digest: Digest, until: Timestamp) {
        let marks = &mut self.generation(until).marks;
        let before = marks.len();
        let kept = marks.entry(digest).or_insert(until);
        *kept = until.max(*kept);
        let new = marks.len() - before;
        self.len += new;
    }
}

const MARK: u8 = b'm';

const fn kind_of(once: Once<'_>) -> u8 {
    match once {
        Once::Nonce(_) => b'n',
        Once::RequestId(_) => b'r',
    }
}

/// Half a keyed SHA-256: spread evenly, and nobody outside can make two alike.
type Digest = u128;

/// Takes a digest's low half as its hash: it is random already.
#[derive(Default)]
struct Prehashed(u64);

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0_u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, digest: u128) {
        let bytes = digest.to_le_bytes();
        let mut low = [0_u8; 8];
        low.copy_from_slice(&bytes[..8]);
        self.0 = u64::from_le_bytes(low);
    }
}
