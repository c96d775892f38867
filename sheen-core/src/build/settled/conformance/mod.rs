//! What every outbox of settled builds must show: one test for each clause of
//! [`SettledOutbox`] and [`ObserverRegistry`].
//!
//! Every case takes a fresh, empty store of builds made with
//! [`Deadlines::default`](crate::build::Deadlines) and room for at least 1,000 builds. The tests
//! want `tokio` with `macros` and `rt-multi-thread`.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_core::build::{Deadlines, MemoryBuildStore};
//! use sheen_core::build::conformance::BuildHarness;
//! use sheen_core::build::settled::conformance::OutboxHarness;
//! use sheen_core::time::{Advance, ManualClock, Timestamp};
//!
//! async fn harness() -> OutboxHarness {
//!     let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
//!     let store = Arc::new(MemoryBuildStore::new(clock.clone(), Deadlines::default(), 1_000));
//!     let builds = BuildHarness::new(store.clone(), store.clone(), Advance::manual(clock));
//!     OutboxHarness::new(builds, store.clone(), store)
//! }
//!
//! sheen_core::settled_outbox_conformance!(harness());
//! ```
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case fails by panicking"
)]

mod deliveries;
mod model;
mod registry;

use std::sync::Arc;

pub use deliveries::*;
pub use model::*;
pub use registry::*;

use super::store::{ObserverRegistry, SettledOutbox};
use super::types::{
    Delivery, Hearing, Leased, Parked, PutBackOutcome, RegisterOutcome, ResolveOutcome,
};
use crate::build::conformance::{BuildHarness, failed, new_build, user, worker};
use crate::build::types::{Authority, Build, FailureReason};
use crate::id::{BuildId, ObserverId};

/// A fresh, empty store of builds under test, its outbox and its registry.
#[derive(Debug)]
#[non_exhaustive]
pub struct OutboxHarness {
    /// The store of builds and its clock.
    pub builds: BuildHarness,
    /// Its outbox.
    pub outbox: Arc<dyn SettledOutbox>,
    /// Its observers.
    pub registry: Arc<dyn ObserverRegistry>,
}

impl OutboxHarness {
    /// A store with its outbox and its observers.
    #[must_use]
    pub fn new(
        builds: BuildHarness,
        outbox: Arc<dyn SettledOutbox>,
        registry: Arc<dyn ObserverRegistry>,
    ) -> Self {
        Self {
            builds,
            outbox,
            registry,
        }
    }

    async fn registered(&self, name: &str) -> ObserverId {
        let observer = observer(name);
        let outcome = self.registry.register(&observer).await.unwrap();
        assert_eq!(outcome, RegisterOutcome::Registered);
        observer
    }

    /// Starts build `n` and calls it off.
    async fn ended(&self, n: u32) -> Build {
        let project = format!("p{n}");
        let queued = self.builds.started(new_build(n, "u", &project)).await;
        let by = Authority::Owner(user("u"));
        let ending = failed(FailureReason::Cancelled);
        self.builds.finished(&queued.build.id, by, ending).await
    }

    async fn lease(&self, observer: &ObserverId, limit: u32) -> Vec<Delivery> {
        let leased = self.outbox.lease(observer, &worker(), limit).await;
        leased.unwrap().deliveries
    }

    /// The one delivery that is due.
    async fn one(&self, observer: &ObserverId) -> Delivery {
        let mut due = self.lease(observer, 10).await;
        assert_eq!(due.len(), 1, "{due:?}");
        due.remove(0)
    }

    async fn nothing(&self, observer: &ObserverId) {
        let leased = self.outbox.lease(observer, &worker(), 10).await;
        assert_eq!(leased.unwrap(), Leased::default());
    }

    async fn resolve(&self, delivery: &Delivery, hearing: Hearing) -> ResolveOutcome {
        let resolved = self.outbox.resolve(&delivery.lease, hearing).await;
        resolved.unwrap()
    }

    async fn parked(&self, observer: &ObserverId) -> Vec<Parked> {
        self.registry.parked(observer, 0, 100).await.unwrap()
    }

    async fn put_back(&self, observer: &ObserverId, build: &BuildId) -> PutBackOutcome {
        self.registry.put_back(observer, build).await.unwrap()
    }

    /// Fails the one delivery of `observer` until it is parked.
    async fn park(&self, observer: &ObserverId) -> Delivery {
        loop {
            let due = self.one(observer).await;
            match self.resolve(&due, broken("it broke")).await {
                ResolveOutcome::Again(wait) => self.builds.advance.by(wait).await,
                ResolveOutcome::Parked => return due,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn observer(name: &str) -> ObserverId {
    ObserverId::parse(name).unwrap()
}

fn broken(error: &str) -> Hearing {
    Hearing::Failed(error.into())
}

/// One test for each clause of an outbox of settled builds. The argument is an expression whose
/// value is a future of an
/// [`OutboxHarness`](crate::build::settled::conformance::OutboxHarness); it is evaluated once a test.
#[macro_export]
macro_rules! settled_outbox_conformance {
    ($harness:expr) => {
        $crate::settled_outbox_conformance! { @each ($harness)
            d01_every_end_is_there_for_every_observer_once
            d01_what_ends_nothing_leaves_nothing
            d02_a_lease_takes_the_earliest_due_first
            d02_of_any_number_of_leases_at_once_each_delivery_is_in_one
            d03_what_was_heard_is_gone
            d04_what_failed_comes_again_after_its_wait
            d05_a_lease_that_ran_out_is_due_again
            d06_only_the_last_lease_is_resolved_and_once
            d06_of_any_number_of_resolutions_at_once_one_counts
            d07_the_tenth_failure_parks
            d07_ten_silent_tries_park
            d08_observers_do_not_meet
            o01_a_name_is_registered_once_and_hears_from_then_on
            o01_of_any_number_of_registrations_at_once_one_counts
            o02_who_is_retired_hears_nothing_more
            o03_parked_deliveries_are_listed_in_order
            o04_what_is_put_back_is_tried_anew
            model_random_deliveries_equal_those_of_the_memory_store
        }
    };
    (@each ($harness:expr) $($case:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let harness: $crate::build::settled::conformance::OutboxHarness = $harness.await;
            $crate::build::settled::conformance::$case(harness).await;
        }
    )+};
}
