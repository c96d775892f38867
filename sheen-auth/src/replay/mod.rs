//! What was spent: nonces, request ids, and v1 signatures that came beside a v2 one.
//!
//! 1. A claim is one atomic step, made only after the signature verified (wire.md §1).
//! 2. Nonces and request ids belong to a principal, whatever key it signs with.
//! 3. A claim is remembered from its own timestamp on: `signed_at` + the scheme's window + 10
//!    minutes. The instant depends on nothing else, so a request that was forgotten is one that is
//!    too old to be claimed.
//! 4. A store forgets only by time. Full means refuse.
//! 5. A memory store just started refuses what was signed more than 2 s before it started.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_auth::replay::{Claim, ClaimOutcome, MemoryReplayStore, Once, ReplayStore};
//! use sheen_core::{id::PrincipalId, time::{Clock, SystemClock}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(SystemClock::new());
//! let store = MemoryReplayStore::new(clock.clone(), 1_000_000);
//! let web = PrincipalId::parse("web")?;
//! let claim = Claim::new(&web, Once::Nonce("0123456789abcdef"), clock.now());
//! assert_eq!(store.claim(&claim).await?, ClaimOutcome::Claimed);
//! assert_eq!(store.claim(&claim).await?, ClaimOutcome::Replayed);
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
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod shared;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use memory::{MemoryReplayStore, ReplayState};
#[cfg(feature = "postgres")]
pub use postgres::PgReplayStore;
#[cfg(feature = "redis")]
pub use redis::RedisReplayStore;
pub use store::ReplayStore;
pub use types::{Claim, ClaimOutcome, MARK_LIFE, Once, V1Mark};
