//! Spent things in memory, in generations by the instant at which they may be forgotten.

mod digest;
mod generation;
mod ledger;
mod pages;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::entropy::{Entropy, OsEntropy};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::PrincipalId;
use sheen_core::time::{Clock, Timestamp};

use self::digest::{Digest, DigestKey, Kind};
use self::ledger::Ledger;
use super::decide::{ClaimDecision, Known, decide_claim};
use super::store::ReplayStore;
use super::types::{Claim, ClaimOutcome, MARK_LIFE, V1Mark};

/// More principals than a ring of keys can hold.
const MAX_PRINCIPALS: usize = 1024;

/// A replay store of one process.
///
/// It holds `capacity` entries for each principal (a claim is one, a mark another), at most 1024
/// principals, at most 24 bytes a claim from a thousand on (a mark: 36). No claim does work that
/// grows with what is held: tables grow page by page, a stretch of time is forgotten whole, and its
/// memory freed by the claims that follow, a few pages each.
///
/// At its bound it refuses that principal with `Full`; the others do not notice. A restart loses
/// everything, so it answers [`ClaimOutcome::TooOld`] to what was signed more than two seconds
/// before it started, as its wall clock tells that now: a clock that was behind at the start and set
/// since moves no instant of before the start to after it. A caller whose clock is ahead signs later than that: what it sent up to two
/// minutes before a restart can be replayed once after it, unless its clock is right to two seconds.
///
/// Should the wall clock step back by more than the ten minutes that entries outlive their window,
/// claims are `TooOld` until the clock has caught up: what was forgotten stays refused.
pub struct MemoryReplayStore {
    clock: Arc<dyn Clock>,
    /// The same as the state's: digests are made before the lock is taken.
    key: DigestKey,
    state: Mutex<ReplayState>,
}

/// What a [`MemoryReplayStore`] knows.
pub struct ReplayState {
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    /// The same instant by the clock that nobody sets.
    started: Duration,
    capacity: usize,
    key: DigestKey,
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
        let key = DigestKey::new(entropy);
        let state = Mutex::new(ReplayState {
            started_at: clock.now(),
            started: clock.monotonic(),
            clock: clock.clone(),
            capacity,
            key: key.clone(),
            principals: BTreeMap::new(),
        });
        Self { clock, key, state }
    }

    /// [`ReplayStore::claim`] without a future.
    ///
    /// # Errors
    /// `Full` when the principal's share is used up.
    pub fn claim_now(&self, claim: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        let digests = Digests::of(&self.key, claim);
        let mut state = self.lock();
        state.claim_digested(self.clock.now(), claim, &digests)
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
        let digests = Digests::of(&self.key, claim);
        self.claim_digested(now, claim, &digests)
    }

    fn claim_digested(
        &mut self,
        now: Timestamp,
        claim: &Claim<'_>,
        digests: &Digests,
    ) -> Result<ClaimOutcome, StoreError> {
        let (capacity, since) = (self.capacity, Some(self.since(now)));
        let ledger = self.ledger(claim.principal)?;
        ledger.forget(now);
        let wanted = 1 + usize::from(digests.mark.is_some());
        let known = Known {
            since,
            floor: ledger.floor(),
            is_spent: ledger.is_spent(digests.once),
            has_room: ledger.len().saturating_add(wanted) <= capacity,
        };
        match decide_claim(&known, now, claim) {
            ClaimDecision::Refuse(outcome) => return Ok(outcome),
            ClaimDecision::Full => return Err(StoreError::new(StoreErrorKind::Full)),
            ClaimDecision::Spend => {}
        }
        ledger.spend(digests.once, claim.remember_until());
        if let Some(mark) = digests.mark {
            ledger.mark(mark, now.plus(MARK_LIFE));
        }
        Ok(ClaimOutcome::Claimed)
    }

    /// When it started, in the wall clock's present reckoning where that was set forward since.
    fn since(&self, now: Timestamp) -> Timestamp {
        let lived = self.clock.monotonic().saturating_sub(self.started);
        self.started_at.max(now.minus(lived))
    }

    /// [`ReplayStore::v1_marked`] at `now`.
    #[must_use]
    pub fn v1_marked(&self, now: Timestamp, principal: &PrincipalId, mark: &V1Mark) -> bool {
        let digest = self.key.digest(Kind::Mark, mark.as_bytes());
        let ledger = self.principals.get(principal);
        ledger.is_some_and(|ledger| ledger.is_marked(digest, now))
    }

    /// How many entries are held, those past their life and not yet dropped included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.principals.values().map(Ledger::len).sum()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn ledger(&mut self, principal: &PrincipalId) -> Result<&mut Ledger, StoreError> {
        if !self.principals.contains_key(principal) {
            if self.principals.len() >= MAX_PRINCIPALS {
                return Err(StoreError::new(StoreErrorKind::Full));
            }
            self.principals.insert(principal.clone(), Ledger::default());
        }
        let ledger = self.principals.get_mut(principal);
        ledger.ok_or_else(|| StoreError::new(StoreErrorKind::Full))
    }
}

/// What of a claim is kept.
struct Digests {
    once: Digest,
    mark: Option<Digest>,
}

impl Digests {
    fn of(key: &DigestKey, claim: &Claim<'_>) -> Self {
        let text = claim.once.as_str().as_bytes();
        let mark = claim.mark.as_ref();
        Self {
            once: key.digest(Kind::of(claim.once), text),
            mark: mark.map(|mark| key.digest(Kind::Mark, mark.as_bytes())),
        }
    }
}

#[async_trait]
impl ReplayStore for MemoryReplayStore {
    async fn claim(&self, claim: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        self.claim_now(claim)
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
