//! What every store of limits must show, one case a clause of [`LimitStore`].
//!
//! ```
//! use std::sync::Arc;
//! use sheen_auth::limit::{MemoryLimitStore, conformance::Harness};
//! use sheen_core::time::{Advance, ManualClock, Timestamp};
//!
//! fn harness() -> Harness {
//!     let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
//!     let store = Arc::new(MemoryLimitStore::new(clock.clone(), 500));
//!     Harness::new(store, Advance::manual(clock)).bounded(500)
//! }
//! sheen_auth::limit_store_conformance!(harness());
//! # fn main() {}
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sheen_core::id::UserId;
use sheen_core::runtime::BoxFuture;
use sheen_core::time::Advance;

use super::store::LimitStore;
use super::types::{LimitKey, Quota, Quotas, Standing, Subject, TakeOutcome};

mod cases;
mod random;

pub use cases::*;
pub use random::c11_random_steps_agree_with_the_rule;

type Tasks = Vec<BoxFuture<'static, TakeOutcome>>;
type Race = Box<dyn Fn(Tasks) -> BoxFuture<'static, Vec<TakeOutcome>> + Send + Sync>;

/// A fresh store and a hold on its clock.
pub struct Harness {
    store: Arc<dyn LimitStore>,
    advance: Advance,
    race: Race,
    capacity: Option<usize>,
}

impl Harness {
    /// A store that knows no key, and its clock, which stands still until it is moved by a whole
    /// number of milliseconds.
    #[must_use]
    pub fn new(store: Arc<dyn LimitStore>, advance: Advance) -> Self {
        Self {
            store,
            advance,
            race: Box::new(|tasks| {
                Box::pin(async {
                    let mut outcomes = Vec::new();
                    for task in tasks {
                        outcomes.push(task.await);
                    }
                    outcomes
                })
            }),
            capacity: None,
        }
    }

    /// The store refuses a new key after this many (C10); at least 100.
    #[must_use]
    pub const fn bounded(mut self, capacity: usize) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// How to run steps at the same time; the macro gives each its own tokio task.
    #[must_use]
    pub fn racing(
        mut self,
        race: impl Fn(Tasks) -> BoxFuture<'static, Vec<TakeOutcome>> + Send + Sync + 'static,
    ) -> Self {
        self.race = Box::new(race);
        self
    }

    async fn take(&self, key: &LimitKey<'_>, quotas: &Quotas, cost: u32) -> TakeOutcome {
        let taken = self.store.take(key, quotas, cost).await;
        taken.expect("the store works")
    }

    async fn peek(&self, key: &LimitKey<'_>, quotas: &Quotas, cost: u32) -> TakeOutcome {
        let seen = self.store.peek(key, quotas, cost).await;
        seen.expect("the store works")
    }

    async fn refund(&self, key: &LimitKey<'_>, quotas: &Quotas, cost: u32) -> Standing {
        let given = self.store.refund(key, quotas, cost).await;
        given.expect("the store works")
    }

    /// Takes one at a time until refused: how many were left, and how long to wait.
    async fn drain(&self, key: &LimitKey<'_>, quotas: &Quotas) -> (u32, Duration) {
        for taken in 0..10_000 {
            match self.take(key, quotas, 1).await {
                TakeOutcome::Admitted(_) => {}
                TakeOutcome::Limited(standing) => return (taken, standing.wait()),
                TakeOutcome::TooCostly { .. } => panic!("one unit is never too costly"),
            }
        }
        panic!("no end of it");
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a valid id")
}

/// Minutes, so that no key of a store with times to live goes while a case runs.
fn quota(burst: u32, minutes: u64) -> Quota {
    Quota::new(burst, Duration::from_secs(60 * minutes)).expect("a quota")
}

fn quotas(of: &[(u32, u64)]) -> Quotas {
    let all: Vec<_> = of
        .iter()
        .map(|&(burst, minutes)| quota(burst, minutes))
        .collect();
    Quotas::new(&all).expect("one to four")
}

const fn key(subject: Subject<'_>) -> LimitKey<'_> {
    LimitKey::new("a-limit", subject)
}

const INSTANT: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Expands to one `#[tokio::test]` for each clause of
/// [`LimitStore`](crate::limit::LimitStore), each with a harness of its own, and one that compares
/// random steps with the rule; the expression may await. The calling crate needs tokio with
/// `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! limit_store_conformance {
    ($harness:expr) => {
        $crate::limit_store_conformance! { @cases $harness;
            c01_a_burst_is_shared_by_calls_at_the_same_time
            c02_units_come_back_one_by_one_and_no_further_than_the_burst
            c03_a_refused_call_takes_nothing_of_any_quota
            c04_a_cost_above_a_burst_never_passes_and_none_always_does
            c05_the_wait_is_exact
            c06_a_look_answers_the_same_and_changes_nothing
            c07_a_refund_gives_back_what_was_used_and_no_more
            c08_keys_never_meet
            c09_a_changed_set_of_quotas_starts_unused
            c10_a_full_store_keeps_what_it_knows
            c11_random_steps_agree_with_the_rule
        }
    };
    (@cases $harness:expr; $($case:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let harness = $harness.racing(|tasks| ::std::boxed::Box::pin(async move {
                let mut set = ::tokio::task::JoinSet::new();
                for task in tasks {
                    set.spawn(task);
                }
                set.join_all().await
            }));
            $crate::limit::conformance::$case(harness).await;
        }
    )*};
}
