//! How often somebody may call (wire.md §11).
//!
//! 1. A [`Quota`] is a burst and the period in which it comes back, unit by unit: in any stretch of
//!    time a key gets at most the burst and what came back meanwhile.
//! 2. A call takes its cost of every quota of its key, or of none. What is refused takes nothing.
//! 3. A refused call is told when it passes. A cost above a burst never does, and is told so.
//! 4. A set of quotas counts for itself: a changed one starts unused, so that no change makes a key
//!    worse off, and a lowered quota holds at once.
//! 5. The time is the store's. Nothing here sends headers or knows HTTP: [`LimitFigures`],
//!    [`PolicyField`] and [`RateLimitField`] are what an answer says, [`LimitTable`] is the wire's.
//! 6. Ask after the signature is verified: a forged call must take nothing of the one it names.
//! 7. What holds when the store fails is a choice, [`OnFailure`], made where a [`Limiter`] is made;
//!    each failure is counted.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use sheen_auth::limit::{
//!     LimitFigures, LimitTable, Limiter, MemoryLimitStore, OnFailure, RouteClass, Verdict, Who,
//! };
//! use sheen_core::id::UserId;
//! use sheen_core::time::{ManualClock, Timestamp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
//! let store = Arc::new(MemoryLimitStore::new(clock.clone(), 100_000));
//! let limiter = Limiter::new(store, OnFailure::Closed);
//!
//! let user = UserId::parse("u_1")?;
//! let limit = LimitTable::wire().limit(RouteClass::Chat, &Who::new().user(Some(&user)));
//! for _ in 0..3 {
//!     let verdict = limiter.take(&limit.key, &limit.quotas, 1).await;
//!     assert!(matches!(verdict, Verdict::Admitted(_)));
//! }
//! let Verdict::Limited(standing) = limiter.take(&limit.key, &limit.quotas, 1).await else {
//!     panic!("three a minute");
//! };
//! assert_eq!(LimitFigures::of(&standing).retry_after_seconds, Some(20));
//!
//! clock.advance(Duration::from_secs(20));
//! let verdict = limiter.take(&limit.key, &limit.quotas, 1).await;
//! assert!(matches!(verdict, Verdict::Admitted(_)));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "conformance")]
#[expect(
    clippy::missing_panics_doc,
    reason = "a case panics where a store breaks its contract"
)]
pub mod conformance;
mod decide;
mod headers;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod service;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod types;

#[cfg(feature = "redis")]
pub use self::redis::RedisLimitStore;
pub use decide::{LimitState, peek, refund, take};
pub use headers::{LimitFigures, PolicyField, PolicyName, RateLimitField};
pub use memory::MemoryLimitStore;
pub use service::{Limiter, OnFailure, Verdict};
pub use store::LimitStore;
pub use table::{Limit, LimitTable, RouteClass, Who};
pub use types::{LimitKey, Meter, Quota, QuotaError, Quotas, Standing, Subject, TakeOutcome};
