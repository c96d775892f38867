//! Limits of one process.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sheen_core::entropy::{Entropy, OsEntropy};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::time::Clock;
use siphasher::sip::SipHasher13;

use super::decide::{self, Judged, LimitState};
use super::store::LimitStore;
use super::types::{LimitKey, Quotas, Standing, TakeOutcome};

const MAX_SHARDS: usize = 64;
/// A store with fewer keys has fewer shards, so that each has room for uneven hashes.
const KEYS_PER_SHARD: usize = 1024;
/// Keys looked at, to see whether they are whole again, for each key that comes new.
const LOOKS: usize = 2;
/// The same for a key that comes to a full shard.
const LOOKS_WHEN_FULL: usize = 16;

/// Limits in the memory of one process, by the monotonic time of its clock.
///
/// It holds at most `capacity` keys (one for each set of quotas it used). One of which nothing is used any more is as good as new and
/// makes room for another. Under a flood of keys those that are known keep their state and their
/// service; a new one looks at sixteen known ones and, when none of these can go, is refused with
/// `Full`: what then happens to the call is [`OnFailure`](super::OnFailure)'s to say.
///
/// A key is known by 64 bits of a keyed hash. Two of a million live keys share one, and so their
/// state, with a probability of 1 to 37 million; nobody without the hash's key can bring it about.
/// A key takes 55 to 110 bytes. One hash and one lock of 64 a call, no allocation for a key
/// that is known.
pub struct MemoryLimitStore {
    clock: Arc<dyn Clock>,
    hash: SipHasher13,
    shards: Box<[Shard]>,
}

/// On cache lines of its own, or neighbours would slow each other down.
#[repr(align(128))]
struct Shard(Mutex<Keys>);

struct Keys {
    known: HashMap<u64, LimitState, BuildHasherDefault<Prehashed>>,
    /// Every known key once, the next to be looked at first.
    ring: VecDeque<u64>,
    capacity: usize,
}

impl MemoryLimitStore {
    /// A store of at most `capacity` keys.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, capacity: usize) -> Self {
        Self::with_entropy(clock, capacity, &OsEntropy)
    }

    /// The same, its hash keyed from `entropy`.
    #[must_use]
    pub fn with_entropy(clock: Arc<dyn Clock>, capacity: usize, entropy: &dyn Entropy) -> Self {
        let mut key = [0_u8; 16];
        entropy.fill(&mut key);
        let shards = (capacity / KEYS_PER_SHARD).clamp(1, MAX_SHARDS);
        // Halved to a power of two, so that a mask picks one.
        let shards = 1 << shards.ilog2();
        let shard = |number: usize| {
            Shard(Mutex::new(Keys {
                known: HashMap::default(),
                ring: VecDeque::new(),
                // Together exactly `capacity`.
                capacity: capacity / shards + usize::from(number < capacity % shards),
            }))
        };
        Self {
            clock,
            hash: SipHasher13::new_with_key(&key),
            shards: (0..shards).map(shard).collect(),
        }
    }

    /// How many keys are held, those included that are whole again and were not looked at yet.
    #[must_use]
    pub fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| shard.lock().known.len()).sum()
    }

    /// Whether no key is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// [`LimitStore::take`] at `now`, in microseconds of the clock's monotonic time.
    ///
    /// # Errors
    /// `Full` for a key that is not known when there is no room.
    // Put into words where it is read: copying an outcome takes as long as deciding it.
    #[inline]
    pub fn take_at(
        &self,
        now: u64,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<TakeOutcome, StoreError> {
        let max_cost = quotas.max_cost();
        if cost > max_cost {
            return Ok(TakeOutcome::TooCostly { max_cost });
        }
        let judged = self.judged_at(now, key, quotas, cost)?;
        Ok(judged.outcome(quotas))
    }

    fn judged_at(
        &self,
        now: u64,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<Judged, StoreError> {
        let (hash, mut keys) = self.find(key, quotas);
        if let Some(state) = keys.known.get_mut(&hash) {
            let judged = Judged::of(state, now, quotas, cost);
            if let Some(after) = judged.state(now) {
                *state = after;
            }
            return Ok(judged);
        }
        let judged = Judged::of(&LimitState::default(), now, quotas, cost);
        if let Some(after) = judged.state(now)
            && cost > 0
        {
            keys.insert(now, hash, after)?;
        }
        Ok(judged)
    }

    /// [`LimitStore::peek`] at `now`, in microseconds of the clock's monotonic time.
    #[must_use]
    pub fn peek_at(&self, now: u64, key: &LimitKey<'_>, quotas: &Quotas, cost: u32) -> TakeOutcome {
        let (hash, keys) = self.find(key, quotas);
        let state = keys.known.get(&hash).copied().unwrap_or_default();
        decide::peek(&state, now, quotas, cost)
    }

    /// [`LimitStore::refund`] at `now`, in microseconds of the clock's monotonic time.
    #[must_use]
    pub fn refund_at(&self, now: u64, key: &LimitKey<'_>, quotas: &Quotas, cost: u32) -> Standing {
        let (hash, mut keys) = self.find(key, quotas);
        let Some(state) = keys.known.get_mut(&hash) else {
            return decide::refund(&LimitState::default(), now, quotas, cost);
        };
        let standing = decide::refund(state, now, quotas, cost);
        *state = LimitState::of(now, &standing);
        standing
    }

    #[inline]
    fn find(&self, key: &LimitKey<'_>, quotas: &Quotas) -> (u64, MutexGuard<'_, Keys>) {
        let mut hasher = self.hash;
        key.feed(quotas, |bytes| hasher.write(bytes));
        let hash = hasher.finish();
        // The table inside takes the lowest and the highest bits.
        let number = (hash >> 40) as usize & (self.shards.len() - 1);
        (hash, self.shards[number].lock())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    /// Takes in a key that is not known.
    fn insert(&mut self, now: u64, hash: u64, state: LimitState) -> Result<(), StoreError> {
        self.let_go(now, LOOKS);
        if self.known.len() >= self.capacity {
            self.let_go(now, LOOKS_WHEN_FULL);
        }
        if self.known.len() >= self.capacity {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        self.known.insert(hash, state);
        self.ring.push_back(hash);
        Ok(())
    }

    /// Looks at the next keys of the ring and lets go of those that are whole again.
    fn let_go(&mut self, now: u64, looks: usize) {
        for _ in 0..looks.min(self.ring.len()) {
            let Some(hash) = self.ring.pop_front() else {
                return;
            };
            let state = self.known.get(&hash);
            if state.is_some_and(|state| state.is_whole_at() > now) {
                self.ring.push_back(hash);
            } else {
                self.known.remove(&hash);
            }
        }
    }
}

#[async_trait]
impl LimitStore for MemoryLimitStore {
    async fn take(
        &self,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<TakeOutcome, StoreError> {
        self.take_at(self.now(), key, quotas, cost)
    }

    async fn peek(
        &self,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<TakeOutcome, StoreError> {
        Ok(self.peek_at(self.now(), key, quotas, cost))
    }

    async fn refund(
        &self,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<Standing, StoreError> {
        Ok(self.refund_at(self.now(), key, quotas, cost))
    }
}

impl fmt::Debug for MemoryLimitStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLimitStore")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// The keys are hashes already.
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

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
