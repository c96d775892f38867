//! The store in memory against the suite that every credit store must pass.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail by panic")]

use std::sync::Arc;

use sheen_billing::account::conformance::CreditHarness;
use sheen_billing::account::{CreditPolicy, MemoryCreditStore};
use sheen_core::time::{ManualClock, Timestamp};

async fn harness(policy: CreditPolicy) -> CreditHarness {
    let noon = Timestamp::parse_rfc3339("2026-11-20T12:00:00Z").unwrap();
    let clock = Arc::new(ManualClock::at(noon));
    let store = Arc::new(MemoryCreditStore::new(clock.clone(), policy, 1_000));
    let locked = store.clone();
    CreditHarness::new(
        store,
        move |duration| {
            clock.advance(duration);
            Box::pin(async {})
        },
        move |_user, meanwhile| {
            let (locked, runtime) = (locked.clone(), tokio::runtime::Handle::current());
            let held = tokio::task::spawn_blocking(move || {
                let _guard = locked.lock();
                runtime.block_on(meanwhile);
            });
            Box::pin(async { held.await.unwrap() })
        },
    )
}

sheen_billing::credit_store_conformance!(harness);

mod samples {
    use std::sync::Arc;

    use sheen_billing::estimate::{MemorySampleStore, SampleStore};

    async fn store() -> Arc<dyn SampleStore> {
        Arc::new(MemorySampleStore::new())
    }

    sheen_billing::sample_store_conformance!(store);
}
