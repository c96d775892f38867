//! Idempotency: a call repeated with the same key happens once (wire.md §4).
//!
//! 1. A key belongs to a front end and a person; the same key of another is another key.
//! 2. It is for one call, known by its fingerprint: method, path, canonical query and the very bytes
//!    of the body. Another call with it is refused, before anything happens.
//! 3. The first call runs under a lease of 60 s that can be extended. Repeats meanwhile are told that
//!    it runs; once it was done they get its answer again, for 24 h.
//! 4. A lease that expired can be taken over by the same call. Each lease has a token that the store
//!    never gave before, so the late holder can neither store its answer nor free the key.
//! 5. Only successes are kept. A refusal changed nothing, so it frees its key.
//! 6. A store that is full or cannot be reached refuses: the call must then not run.
//!
//! The rules are pure functions ([`decide_begin`], [`decide_complete`] …); [`MemoryIdempotencyStore`]
//! applies them, and `idempotency_store_conformance!` (feature `conformance`) tests any other store.
//! `PgIdempotencyStore` (feature `postgres`) and `RedisIdempotencyStore` (feature `redis`) keep
//! leases for many processes; `PgTransactionalIdempotency` has no leases: claim, effect and answer
//! are one transaction.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_core::id::{PrincipalId, UserId};
//! use sheen_core::idempotency::{
//!     BeginOutcome, Fingerprint, IdempotencyKey, LeaseOutcome, Lifetimes, MemoryIdempotencyStore,
//!     Scope, StoredAnswer,
//! };
//! use sheen_core::time::{Clock, SystemClock};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = SystemClock::new();
//! // At most 1,000 keys. Services hold it as `Arc<dyn IdempotencyStore>` and await its methods; here
//! // the same steps are taken under its lock.
//! let store = MemoryIdempotencyStore::new(Arc::new(clock.clone()), Lifetimes::default(), 1_000);
//! let mut keys = store.lock();
//!
//! let scope = Scope::new(PrincipalId::parse("web")?, UserId::parse("u1")?);
//! let key = IdempotencyKey::parse(b"\"8e03978e-40d5-43dd-bc93-6894a57f9324\"")?;
//! let pay = Fingerprint::of("POST", "/v1/credits/reserve", "", &[7; 32]);
//!
//! // The first call runs; a repeat meanwhile does not.
//! let BeginOutcome::Started(lease) = keys.begin(clock.now(), &scope, &key, pay)? else {
//!     return Err("the key is new".into());
//! };
//! assert_eq!(keys.begin(clock.now(), &scope, &key, pay)?, BeginOutcome::InProgress);
//!
//! // It was done: a repeat gets the same answer, another call with the key is refused.
//! let answer = StoredAnswer::new(201, Vec::new(), &b"{}"[..], "req_1")?;
//! assert_eq!(keys.complete(clock.now(), &lease, answer.clone()), LeaseOutcome::Done);
//! assert_eq!(keys.begin(clock.now(), &scope, &key, pay)?, BeginOutcome::Replay(answer));
//! let other = Fingerprint::of("POST", "/v1/credits/reserve", "", &[8; 32]);
//! assert_eq!(keys.begin(clock.now(), &scope, &key, other)?, BeginOutcome::Reused);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "conformance")]
pub mod conformance;
mod decide;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use decide::*;
pub use memory::{IdempotencyState, MemoryIdempotencyStore};
#[cfg(feature = "postgres")]
pub use postgres::{
    Claim, ClaimOutcome, PgIdempotencyStore, PgTransactionalIdempotency, RunOutcome,
};
#[cfg(feature = "redis")]
pub use redis::{RedisIdempotencyStore, RedisOpenError};
pub use store::IdempotencyStore;
pub use types::*;
