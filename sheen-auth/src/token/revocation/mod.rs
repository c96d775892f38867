//! Taking viewer tokens back before they expire: an epoch for each user.
//!
//! 1. Revoking moves the user's epoch to the end of the present second; every token issued before
//!    its epoch counts no more, whoever issued it. Tokens carry whole seconds, so one issued again
//!    counts from the next second on.
//! 2. An epoch never goes back, whatever a clock does.
//! 3. It is remembered until every token it revokes has expired.
//! 4. [`Revocations`] caches what a store says for a few seconds, so that a stream may ask before
//!    each keep-alive; what this process revokes it knows at once. A store that fails lets nobody
//!    on.
//!
//! A token whose issuer's clock runs ahead carries a later second: one issued within that lead
//! before the revocation outlives it.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use sheen_auth::token::ViewerTokens;
//! use sheen_auth::token::revocation::{MemoryRevocationStore, Revocations};
//! use sheen_core::{id::{BuildId, UserId}, secret::Secret};
//! use sheen_core::time::{Clock, ManualClock, Timestamp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
//! let store = Arc::new(MemoryRevocationStore::new(clock.clone(), 10_000));
//! let revocations = Revocations::new(store, clock.clone());
//! let tokens = ViewerTokens::new(vec![Secret::new("correct-horse-battery-staple-32-bytes-min")?])?;
//!
//! let (user, build) = (UserId::parse("u_1")?, BuildId::parse("b_1")?);
//! let (token, _) = tokens.issue(&user, &build, clock.now(), Duration::from_secs(600));
//! let viewer = tokens.verify(token.expose(), clock.now())?;
//! assert!(!revocations.is_revoked(&viewer).await?);
//! revocations.revoke(&user).await?;
//! assert!(revocations.is_revoked(&viewer).await?);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "conformance")]
#[expect(
    clippy::missing_panics_doc,
    reason = "a case panics where a store breaks its contract"
)]
pub mod conformance;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use memory::{MemoryRevocationStore, RevocationState};
#[cfg(feature = "postgres")]
pub use postgres::PgRevocationStore;
#[cfg(feature = "redis")]
pub use redis::RedisRevocationStore;
pub use service::Revocations;
pub use store::RevocationStore;
pub use types::Epoch;

/// How long a shared store keeps an epoch: an hour longer than it must, for clocks that step back.
#[cfg(any(feature = "postgres", feature = "redis"))]
const KEPT: std::time::Duration = Epoch::KEEP.saturating_add(std::time::Duration::from_secs(3600));
