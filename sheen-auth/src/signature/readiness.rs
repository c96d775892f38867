//! What each key's callers send, counted: who is still on v1, and whether v1 can be left.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use sheen_core::id::KeyId;
use sheen_core::time::Timestamp;

use super::decide::Verifier;
use super::modes::{Mode, Policy};
use super::rollout::SwitchError;
use super::types::{Refusal, Report, Scheme};

const SCHEMES: usize = Scheme::ALL.len();
/// Accepted, and each refusal.
const OUTCOMES: usize = 1 + Refusal::ALL.len();
/// No instant: nothing was seen.
const NEVER: i64 = i64::MIN;

/// Counts of one process since it started, without a lock. As many as there are keys; no caller's
/// text is ever a label.
#[derive(Debug)]
pub(super) struct Counts {
    keys: Box<[KeyCounts]>,
    /// Refusals of requests under which no key's signature fitted.
    unattributed: [AtomicU64; OUTCOMES],
    store_failures: AtomicU64,
    timestamp_only: AtomicU64,
}

#[derive(Debug)]
struct KeyCounts {
    by_scheme: [[AtomicU64; OUTCOMES]; SCHEMES],
    mismatches: AtomicU64,
    would_refuse: AtomicU64,
    v2_accepted: AtomicU64,
    /// What the last two were when the present count began.
    would_refuse_before: AtomicU64,
    v2_accepted_before: AtomicU64,
    v1_last_seen: AtomicI64,
    skew_least: AtomicI64,
    skew_most: AtomicI64,
}

impl Default for KeyCounts {
    fn default() -> Self {
        Self {
            by_scheme: Default::default(),
            mismatches: AtomicU64::new(0),
            would_refuse: AtomicU64::new(0),
            v2_accepted: AtomicU64::new(0),
            would_refuse_before: AtomicU64::new(0),
            v2_accepted_before: AtomicU64::new(0),
            v1_last_seen: AtomicI64::new(NEVER),
            skew_least: AtomicI64::new(i64::MAX),
            skew_most: AtomicI64::new(i64::MIN),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn place_of(outcome: Result<(), Refusal>) -> usize {
    let same = |known: &Refusal| Err(*known) == outcome;
    Refusal::ALL.iter().position(same).map_or(0, |at| at + 1)
}

const fn place_of_scheme(scheme: Scheme) -> usize {
    match scheme {
        Scheme::V1 => 0,
        Scheme::V1RequestId => 1,
        Scheme::V2 => 2,
    }
}

impl Counts {
    pub(super) fn new(verifier: &Verifier) -> Self {
        let keys = (0..verifier.ring().len()).map(|_| KeyCounts::default());
        Self {
            keys: keys.collect(),
            unattributed: Default::default(),
            store_failures: AtomicU64::new(0),
            timestamp_only: AtomicU64::new(0),
        }
    }

    pub(super) fn store_failed(&self) {
        count(&self.store_failures);
    }

    pub(super) fn let_in_by_timestamp(&self) {
        count(&self.timestamp_only);
    }

    /// One request, its last word included.
    pub(super) fn record(
        &self,
        verifier: &Verifier,
        report: &Report,
        outcome: Result<(), Refusal>,
        now: Timestamp,
    ) {
        let place = report.key_id.as_ref();
        let place = place.and_then(|id| verifier.ring().place_of(id.as_str()));
        let (Some(key), Some(scheme)) = (place.map(|place| &self.keys[place]), report.scheme)
        else {
            count(&self.unattributed[place_of(outcome)]);
            return;
        };
        count(&key.by_scheme[place_of_scheme(scheme)][place_of(outcome)]);
        if report.mismatch() {
            count(&key.mismatches);
        }
        if scheme != Scheme::V2 {
            key.v1_last_seen
                .fetch_max(now.as_millis(), Ordering::Relaxed);
        }
        if let Some(skew) = report.clock_skew_millis {
            key.skew_least.fetch_min(skew, Ordering::Relaxed);
            key.skew_most.fetch_max(skew, Ordering::Relaxed);
        }
        if outcome.is_ok() && report.enforcing_would_refuse() {
            count(&key.would_refuse);
        } else if outcome.is_ok() {
            count(&key.v2_accepted);
        }
    }

    /// Begins a key's count for `enforce-v2` anew.
    pub(super) fn begin(&self, place: usize) {
        let key = &self.keys[place];
        let carry = |from: &AtomicU64, to: &AtomicU64| {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        };
        carry(&key.would_refuse, &key.would_refuse_before);
        carry(&key.v2_accepted, &key.v2_accepted_before);
    }

    /// Whether a key can go to `enforce-v2`.
    pub(super) fn ready(&self, place: usize, v2_needed: u64) -> Result<(), SwitchError> {
        let key = &self.keys[place];
        let (would_refuse, v2_accepted) = (key.would_refuse_now(), key.v2_accepted_now());
        if would_refuse > 0 || v2_accepted < v2_needed {
            return Err(SwitchError::NotReady {
                would_refuse,
                v2_accepted,
                v2_needed,
            });
        }
        Ok(())
    }

    pub(super) fn read(&self, verifier: &Verifier, v2_needed: u64) -> Readiness {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let keys = verifier.ring().iter().enumerate().map(|(place, key)| {
            let policy = verifier.policies().of(place);
            self.keys[place].read(key.id().clone(), policy, v2_needed)
        });
        Readiness {
            keys: keys.collect(),
            unattributed: self.unattributed.each_ref().map(read),
            store_failures: read(&self.store_failures),
            timestamp_only: read(&self.timestamp_only),
        }
    }
}

impl KeyCounts {
    fn would_refuse_now(&self) -> u64 {
        let before = self.would_refuse_before.load(Ordering::Relaxed);
        let all = self.would_refuse.load(Ordering::Relaxed);
        all.saturating_sub(before)
    }

    fn v2_accepted_now(&self) -> u64 {
        let before = self.v2_accepted_before.load(Ordering::Relaxed);
        let all = self.v2_accepted.load(Ordering::Relaxed);
        all.saturating_sub(before)
    }

    fn read(&self, key_id: KeyId, policy: Policy, v2_needed: u64) -> KeyReadiness {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let v1_last_seen = self.v1_last_seen.load(Ordering::Relaxed);
        let least = self.skew_least.load(Ordering::Relaxed);
        let most = self.skew_most.load(Ordering::Relaxed);
        KeyReadiness {
            key_id,
            mode: policy.mode,
            latched: policy.latched,
            by_scheme: self
                .by_scheme
                .each_ref()
                .map(|row| row.each_ref().map(read)),
            mismatches: read(&self.mismatches),
            would_refuse: self.would_refuse_now(),
            v2_accepted: self.v2_accepted_now(),
            v2_needed,
            v1_last_seen: (v1_last_seen != NEVER).then(|| Timestamp::from_millis(v1_last_seen)),
            clock_skew_millis: (least <= most).then_some((least, most)),
        }
    }
}

/// What one process saw of each key's callers since it started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// Each key, in the ring's order.
    pub keys: Vec<KeyReadiness>,
    unattributed: [u64; OUTCOMES],
    /// How often the replay store failed or was full.
    pub store_failures: u64,
    /// How many requests got in by their timestamp alone, since the store had failed.
    pub timestamp_only: u64,
}

impl Readiness {
    /// How many requests were refused so with no key's signature fitting.
    #[must_use]
    pub fn unattributed(&self, refusal: Refusal) -> u64 {
        self.unattributed[place_of(Err(refusal))]
    }

    /// The keys that were seen on v1 since `since`, whether it was still taken or not.
    pub fn on_v1_since(&self, since: Timestamp) -> impl Iterator<Item = &KeyReadiness> {
        let seen = move |key: &&KeyReadiness| key.v1_last_seen.is_some_and(|last| last >= since);
        self.keys.iter().filter(seen)
    }
}

/// What one process saw of one key's callers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyReadiness {
    /// The key.
    pub key_id: KeyId,
    /// Its mode now.
    pub mode: Mode,
    /// Whether v1 from it is refused whatever its mode says.
    pub latched: bool,
    by_scheme: [[u64; OUTCOMES]; SCHEMES],
    /// Requests with both schemes of which one fitted, the other not.
    pub mismatches: u64,
    /// Let in since the present count began, and `enforce-v2` would refuse them. A count begins
    /// with the process, with each change of mode, and when an operator says so.
    pub would_refuse: u64,
    /// Let in since the present count began, their v2 signature fitting. In `shadow` that says nothing
    /// of their nonces, which may have been used before.
    pub v2_accepted: u64,
    /// How many of those make the key ready ([`Gate::ready_after`](super::Gate::ready_after)).
    pub v2_needed: u64,
    /// When a v1 signature of this key was last seen, taken or not.
    pub v1_last_seen: Option<Timestamp>,
    /// The least and the most that our clock was ahead of an authentic timestamp, in milliseconds.
    pub clock_skew_millis: Option<(i64, i64)>,
}

impl KeyReadiness {
    /// How many requests that this key signed with `scheme` got in.
    #[must_use]
    pub const fn accepted(&self, scheme: Scheme) -> u64 {
        self.by_scheme[place_of_scheme(scheme)][0]
    }

    /// How many that this key signed with `scheme` were refused so.
    #[must_use]
    pub fn refused(&self, scheme: Scheme, refusal: Refusal) -> u64 {
        self.by_scheme[place_of_scheme(scheme)][place_of(Err(refusal))]
    }

    /// What part of the requests that got in came as v1, from 0 to 1; nothing when none got in.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn v1_share(&self) -> Option<f64> {
        let v1 = self.accepted(Scheme::V1) + self.accepted(Scheme::V1RequestId);
        let all = v1 + self.accepted(Scheme::V2);
        (all > 0).then(|| v1 as f64 / all as f64)
    }

    /// Whether `enforce-v2` would shut nobody out, by what was counted: enough calls as v2, and none
    /// that it would refuse. Callers that were silent meanwhile are not known.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.would_refuse == 0 && self.v2_accepted >= self.v2_needed
    }
}
