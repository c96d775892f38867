//! The contract of an outbox of settled builds.

use std::fmt::Debug;

use async_trait::async_trait;

use super::types::{
    DeliveryLease, Hearing, Leased, Parked, PutBackOutcome, RegisterOutcome, ResolveOutcome,
    RetireOutcome,
};
use crate::error::StoreError;
use crate::id::{BuildId, ObserverId, WorkerId};

/// Delivering. Each step is atomic.
///
/// 1. **D1** A build that ends, by whatever right and step, is there for every observer registered
///    by then as soon as its end is committed, once; a step that ends nothing leaves nothing.
/// 2. **D2** A lease gives what is due for one observer, the earliest due first, at most `limit`
///    and [`MAX_LEASED`](super::MAX_LEASED), the build as it ended; of any number of leases at once
///    each delivery is in one.
/// 3. **D3** What was heard is gone.
/// 4. **D4** What failed is due again after the wait of [`wait_after`](super::wait_after), as the
///    next attempt.
/// 5. **D5** A lease that ran out by the store's clock is due again, as the next attempt.
/// 6. **D6** A lease is resolved once, and only the last one of a delivery: else it is `Lost` and
///    nothing is written. One that ran out and that nobody took over may still be resolved.
/// 7. **D7** The failure of the last attempt, or its lease's running out, parks the delivery with
///    its error; a parked one is not leased. A lease says how many it parked.
/// 8. **D8** What becomes of one observer's deliveries changes nothing for another's.
#[async_trait]
pub trait SettledOutbox: Debug + Send + Sync + 'static {
    /// Takes what `observer` is to be told now (D2, D5, D7). An unknown observer has nothing to
    /// hear.
    ///
    /// # Errors
    /// When the store fails. What a lost answer leased is due again once the lease has run out.
    async fn lease(
        &self,
        observer: &ObserverId,
        worker: &WorkerId,
        limit: u32,
    ) -> Result<Leased, StoreError>;

    /// Says how telling ended (D3, D4, D6, D7).
    ///
    /// # Errors
    /// When the store fails; repeat it. A repeat of what was done is `Lost`.
    async fn resolve(
        &self,
        lease: &DeliveryLease,
        hearing: Hearing,
    ) -> Result<ResolveOutcome, StoreError>;
}

/// Registering observers, and looking after what was given up.
///
/// 1. **O1** A name is registered once, at most [`MAX_OBSERVERS`](super::MAX_OBSERVERS) of them;
///    builds that ended before are not told of.
/// 2. **O2** Who is retired hears nothing more, and all it had yet to hear is gone; registered
///    again, it begins anew.
/// 3. **O3** Parked deliveries of one observer are listed in the order in which builds ended, those
///    after a position, at most `limit`.
/// 4. **O4** What is put back is due at once, with all attempts before it; only what is parked is.
#[async_trait]
pub trait ObserverRegistry: Debug + Send + Sync + 'static {
    /// Adds an observer (O1). Services do it each time they start.
    ///
    /// # Errors
    /// When the store fails.
    async fn register(&self, observer: &ObserverId) -> Result<RegisterOutcome, StoreError>;

    /// Removes an observer (O2).
    ///
    /// # Errors
    /// When the store fails.
    async fn retire(&self, observer: &ObserverId) -> Result<RetireOutcome, StoreError>;

    /// What was given up (O3); begin with `after` 0, go on with the last one's position.
    ///
    /// # Errors
    /// When the store fails.
    async fn parked(
        &self,
        observer: &ObserverId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Parked>, StoreError>;

    /// Has a parked delivery tried again (O4).
    ///
    /// # Errors
    /// When the store fails; repeat it.
    async fn put_back(
        &self,
        observer: &ObserverId,
        build: &BuildId,
    ) -> Result<PutBackOutcome, StoreError>;
}
