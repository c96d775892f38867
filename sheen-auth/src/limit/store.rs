//! The contract of a store of limits.

use std::fmt::Debug;

use async_trait::async_trait;
use sheen_core::error::StoreError;

use super::types::{LimitKey, Quotas, Standing, TakeOutcome};

/// Counts what keys do. Each step is atomic, and the time is the store's.
///
/// 1. **C1** Of any number of calls at one instant a quota admits as many as its burst holds,
///    however many come at the same time.
/// 2. **C2** One unit comes back each interval, up to the burst and no further.
/// 3. **C3** A call takes of every quota or of none: what is refused takes nothing.
/// 4. **C4** A cost above a burst is `TooCostly`, whatever the state. A cost of nothing passes.
/// 5. **C5** After the `wait` of a `Limited` the same call is admitted; before, it is not.
/// 6. **C6** `peek` answers what `take` would, and changes nothing.
/// 7. **C7** `refund` gives back at most what was used and has not come back yet.
/// 8. **C8** Two keys never meet, whatever bytes their names are made of.
/// 9. **C9** What was used is remembered for the set of quotas that it was used of; under another
///    set, even of one quota changed, the key starts unused. So no change makes a key worse off,
///    a lowered quota holds from the next call on, and of processes that know different sets a key
///    gets what each set gives, however it goes from one to the other.
/// 10. **C10** A full store answers a `take` of a key it does not know with
///     [`Full`](sheen_core::error::StoreErrorKind::Full); the keys it knows keep their state and
///     their service. Time makes room.
#[async_trait]
pub trait LimitStore: Debug + Send + Sync + 'static {
    /// Takes `cost` of every quota of `key`, or of none (C1–C5, C8–C10).
    ///
    /// # Errors
    /// When the store fails or is full. Whether something was taken is then not known.
    async fn take(
        &self,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<TakeOutcome, StoreError>;

    /// What `take` would answer; an `Admitted` holds the standing as it is, with nothing taken
    /// (C6).
    ///
    /// # Errors
    /// When the store fails.
    async fn peek(
        &self,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<TakeOutcome, StoreError>;

    /// Gives back what a call took that came to nothing (C7).
    ///
    /// # Errors
    /// When the store fails. Whether something was given back is then not known.
    async fn refund(
        &self,
        key: &LimitKey<'_>,
        quotas: &Quotas,
        cost: u32,
    ) -> Result<Standing, StoreError>;
}
