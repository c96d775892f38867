//! What every store of idempotency records must show: one test for each clause of
//! [`IdempotencyStore`], steps that race, and random operations against the memory store, with
//! steps that fail and steps that are done twice among them.
//!
//! Every case takes a fresh, empty store made with [`Lifetimes::default`](super::Lifetimes). The
//! tests want `tokio` with `macros` and `rt-multi-thread`.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_core::idempotency::{Lifetimes, MemoryIdempotencyStore};
//! use sheen_core::idempotency::conformance::IdempotencyHarness;
//! use sheen_core::time::{Advance, ManualClock, Timestamp};
//!
//! async fn harness() -> IdempotencyHarness {
//!     let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
//!     let store = MemoryIdempotencyStore::new(clock.clone(), Lifetimes::default(), 200);
//!     IdempotencyHarness::new(Arc::new(store), Advance::manual(clock)).full_at(200)
//! }
//!
//! sheen_core::idempotency_store_conformance!(harness());
//! ```
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case fails by panicking"
)]

mod faults;
mod leases;
mod model;
mod races;
mod records;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use faults::*;
pub use leases::*;
pub use model::*;
pub use races::*;
pub use records::*;

use super::store::IdempotencyStore;
use super::types::{
    BeginOutcome, Fingerprint, IdempotencyKey, Lease, LeaseOutcome, Scope, StoredAnswer,
};
use crate::id::{PrincipalId, UserId};
use crate::time::Advance;

/// A fresh, empty store under test, and its clock.
pub struct IdempotencyHarness {
    /// The store.
    pub store: Arc<dyn IdempotencyStore>,
    /// Moves the store's clock.
    pub advance: Advance,
    /// How many records it holds at most, where it has such a bound: 150 or more.
    pub capacity: Option<u32>,
    /// Whether one reaping may see a part of the records only.
    reaps_in_part: bool,
    /// What must outlive the store: a database of the test's own.
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl IdempotencyHarness {
    /// A store without a bound of its own, and its clock.
    #[must_use]
    pub fn new(store: Arc<dyn IdempotencyStore>, advance: Advance) -> Self {
        Self {
            store,
            advance,
            capacity: None,
            reaps_in_part: false,
            guard: None,
        }
    }

    /// Says that the store is full at `capacity` records.
    #[must_use]
    pub fn full_at(mut self, capacity: u32) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// Says that a reaping sees a part of the records only, such as those of one node of many; each
    /// part is seen sooner or later. Then reaping is asked again until it has removed what it must.
    #[must_use]
    pub const fn reaping_in_part(mut self) -> Self {
        self.reaps_in_part = true;
        self
    }

    /// Keeps `guard` until the case is over.
    #[must_use]
    pub fn with_guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }
}

impl fmt::Debug for IdempotencyHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyHarness")
            .field("store", &self.store)
            .field("capacity", &self.capacity)
            .field("reaps_in_part", &self.reaps_in_part)
            .field("guarded", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}

/// One test for each clause of a store of idempotency records. The argument is an expression whose
/// value is a future of an
/// [`IdempotencyHarness`](crate::idempotency::conformance::IdempotencyHarness); it is evaluated
/// once a test.
#[macro_export]
macro_rules! idempotency_store_conformance {
    ($harness:expr) => {
        $crate::idempotency_store_conformance! { @each ($harness)
            c01_of_any_number_of_first_calls_one_runs
            c02_another_call_with_the_key_is_refused
            c02_of_two_calls_racing_for_a_key_one_runs
            c03_the_replayed_answer_is_the_stored_one
            c04_scopes_never_meet
            c05_an_expired_lease_is_taken_over_by_the_same_call
            c05_of_any_number_of_take_overs_one_wins
            c06_a_late_holder_writes_nothing
            c06_a_freed_key_never_sees_a_token_twice
            c07_an_abandoned_key_is_free
            c08_a_record_lives_its_life_and_is_forgotten
            c09_a_full_store_refuses_and_evicts_nothing_alive
            c10_an_extended_lease_lasts_its_whole_time_again
            c11_reaping_removes_only_what_is_past_its_life
            c12_completing_twice_is_done_twice
            c13_looking_changes_nothing
            c04_one_key_in_many_scopes_at_once_starts_in_each
            c06_of_a_completion_and_a_take_over_at_once_one_counts
            c07_of_a_completion_and_an_abandoning_at_once_one_counts
            c08_of_two_calls_after_a_records_life_one_runs
            c09_the_last_place_is_given_once
            c10_of_an_extension_and_a_take_over_at_once_one_counts
            c11_a_reaping_beside_its_holder_takes_all_or_nothing
            c12_of_two_answers_at_once_one_is_kept
            c13_a_look_beside_a_completion_sees_before_or_after
            c14_a_step_that_failed_can_be_repeated
            c14_a_write_done_twice_counts_once
            c14_calls_over_failing_steps_have_one_effect
            model_random_operations_equal_those_of_the_memory_store
        }
    };
    (@each ($harness:expr) $($case:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let harness: $crate::idempotency::conformance::IdempotencyHarness = $harness.await;
            $crate::idempotency::conformance::$case(harness).await;
        }
    )+};
}

const SECOND: Duration = Duration::from_secs(1);
/// Past the default life of a lease.
const LAPSE: Duration = Duration::from_secs(61);
/// Past the default life of a record.
const DAY: Duration = Duration::from_secs(24 * 3600 + 1);
/// How many callers stand at the door at once.
const CROWD: u32 = 64;

fn scope(principal: &str, user: &str) -> Scope {
    Scope::new(
        PrincipalId::parse(principal).unwrap(),
        UserId::parse(user).unwrap(),
    )
}

fn mine() -> Scope {
    scope("web", "u")
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text.as_bytes()).unwrap()
}

/// The fingerprint of the call whose body is made of `n`.
fn call(n: u8) -> Fingerprint {
    Fingerprint::of("POST", "/v1/update-project", "", &[n; 32])
}

fn answer(text: &str) -> StoredAnswer {
    let headers = vec![("content-type".into(), "application/json".into())];
    StoredAnswer::new(202, headers, text.as_bytes(), "req_1").unwrap()
}

impl IdempotencyHarness {
    async fn begin(&self, name: &str, n: u8) -> BeginOutcome {
        self.store
            .begin(&mine(), &key(name), call(n))
            .await
            .unwrap()
    }

    async fn look(&self, name: &str, n: u8) -> Option<BeginOutcome> {
        self.store.look(&mine(), &key(name), call(n)).await.unwrap()
    }

    async fn started(&self, name: &str, n: u8) -> Lease {
        match self.begin(name, n).await {
            BeginOutcome::Started(lease) => lease,
            refused => panic!("not started: {refused:?}"),
        }
    }

    async fn done(&self, name: &str, n: u8, text: &str) -> Lease {
        let lease = self.started(name, n).await;
        assert_eq!(self.complete(&lease, text).await, LeaseOutcome::Done);
        lease
    }

    async fn complete(&self, lease: &Lease, text: &str) -> LeaseOutcome {
        self.store.complete(lease, answer(text)).await.unwrap()
    }

    async fn abandon(&self, lease: &Lease) -> LeaseOutcome {
        self.store.abandon(lease).await.unwrap()
    }

    /// Reaping at most `limit` records removes just `expected`.
    async fn reaps(&self, limit: u32, expected: u32) {
        let mut reaped = 0;
        let tries = if self.reaps_in_part { 300 } else { 1 };
        for _ in 0..tries {
            reaped += self.store.reap(limit - reaped).await.unwrap();
            if reaped >= expected {
                break;
            }
        }
        assert_eq!(reaped, expected);
    }
}

/// Begins `call(n % calls)` with one key for n = 0, 1, … at once on tasks of their own.
async fn crowd(h: &IdempotencyHarness, name: &str, calls: u32) -> Vec<(Fingerprint, BeginOutcome)> {
    let start = Arc::new(tokio::sync::Barrier::new(CROWD as usize));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..CROWD {
        let (store, start, key) = (Arc::clone(&h.store), Arc::clone(&start), key(name));
        let fingerprint = call(u8::try_from(n % calls).unwrap());
        tasks.spawn(async move {
            start.wait().await;
            let outcome = store.begin(&mine(), &key, fingerprint).await;
            (fingerprint, outcome.unwrap())
        });
    }
    tasks.join_all().await
}
