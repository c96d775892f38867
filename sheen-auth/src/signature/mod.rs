//! Signatures of requests: v2, and the two forms of v1 that old callers still send (wire.md §1).
//!
//! 1. A signature is lower-case hex of HMAC-SHA256, 64 characters, compared in constant time.
//! 2. v2 signs method, path, canonical query, body hash, nonce and timestamp; a nonce is spent
//!    only after the signature fits, and the window is judged only then too.
//! 3. From [`Mode::Dual`] on, anything of v2 in a request means that v2 alone decides.
//! 4. In [`Mode::Dual`], an accepted POST, PUT, PATCH or DELETE that carries both marks its v1
//!    signature as spent.
//! 5. `x-sheen-key-id` picks a key; without it those of the first principal are tried, at most
//!    [`KeyRing::MAX_PER_PRINCIPAL`]. An unknown id costs what a known one costs.
//! 6. A query that is not UTF-8 once decoded is refused whatever its signature.
//! 7. A key's mode and its latch, which ends v1 for it, change from one request to the next, per key
//!    and without a lock ([`Gate::switch`], [`Gate::latch`]). Nobody gets to
//!    [`Mode::EnforceV2`] while that would refuse what was let in, or before enough came as v2
//!    ([`Gate::ready_after`]), unless forced.
//! 8. In [`Mode::Shadow`] v2 is read and compared, and nothing else: its outcome has no way into the
//!    answer or into the replay store. So it does not see that a nonce was used before; only `dual`
//!    does.
//! 9. A replay store that fails closes the door, unless the service chose the timestamp alone; what
//!    would mark a v1 signature stays out even then.
//! 10. A body that begins as `v1-request-id` texts do, with digits and a colon, fits no plain v1: such
//!     a text, cut before a `/`, would be one that has no timestamp.
//!
//! [`Verifier`] decides without any I/O; [`Gate`] asks a [replay store](crate::replay) besides;
//! [`Signer`] is the caller's side.
//!
//! ```
//! use sheen_auth::signature::{KeyRing, Mode, Refusal, Request, Scheme, Scratch, Signer, SigningKey, Verifier};
//! use sheen_core::{entropy::OsEntropy, id::{KeyId, PrincipalId}, secret::Secret, time::{Clock, SystemClock}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = || -> Result<SigningKey, Box<dyn std::error::Error>> {
//!     let secret = Secret::new("correct-horse-battery-staple-32-bytes-min")?;
//!     Ok(SigningKey::new(KeyId::parse("k1")?, PrincipalId::parse("web")?, secret))
//! };
//! let verifier = Verifier::new(KeyRing::new(vec![key()?])?, Mode::Dual);
//! let now = SystemClock::new().now();
//!
//! // `b=2&a=1` and `a=1&b=2` sign alike; another path does not.
//! let signed = Signer::new(key()?).sign("GET", "/v1/builds", Some("b=2&a=1"), b"", now, &OsEntropy)?;
//! let mut scratch = Scratch::new();
//! let same = Request::new("GET", "/v1/builds", Some("a=1&b=2"), signed.as_headers(), b"");
//! let checked = verifier.check(&same, now, &mut scratch)?;
//! assert_eq!(checked.scheme, Scheme::V2);
//! assert!(checked.claim.is_some(), "the nonce is still to be spent");
//!
//! let other = Request::new("GET", "/v1/Builds", Some("a=1&b=2"), signed.as_headers(), b"");
//! assert_eq!(verifier.check(&other, now, &mut scratch).unwrap_err(), Refusal::Invalid);
//! # Ok(())
//! # }
//! ```
//!
//! Bringing a key to v2 while its callers call:
//!
//! ```
//! # use std::sync::Arc;
//! # use sheen_auth::replay::MemoryReplayStore;
//! # use sheen_auth::signature::{Gate, KeyRing, Mode, Scratch, Signer, SigningKey, Switch, SwitchError, Verifier, Request};
//! # use sheen_core::{entropy::OsEntropy, id::{KeyId, PrincipalId}, secret::Secret, time::{Clock, SystemClock}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key = || -> Result<SigningKey, Box<dyn std::error::Error>> {
//! #     let secret = Secret::new("correct-horse-battery-staple-32-bytes-min")?;
//! #     Ok(SigningKey::new(KeyId::parse("k1")?, PrincipalId::parse("web")?, secret))
//! # };
//! # let clock = Arc::new(SystemClock::new());
//! # let store = Arc::new(MemoryReplayStore::new(clock.clone(), 1000));
//! # let gate = Gate::new(Verifier::new(KeyRing::new(vec![key()?])?, Mode::Dual), store, clock.clone());
//! let k1 = KeyId::parse("k1")?;
//! assert!(gate.switch(&k1, Mode::EnforceV2, Switch::WhenReady).is_err(), "nothing was seen yet");
//! for _ in 0..Gate::READY_AFTER {
//!     let signed = Signer::new(key()?).sign("GET", "/v1/builds", None, b"", clock.now(), &OsEntropy)?;
//!     let request = Request::new("GET", "/v1/builds", None, signed.as_headers(), b"");
//!     gate.admit(&request, &mut Scratch::new()).await?;
//! }
//! assert!(gate.readiness().keys[0].is_ready());
//! gate.switch(&k1, Mode::EnforceV2, Switch::WhenReady)?;
//! # Ok(())
//! # }
//! ```

mod body;
mod decide;
mod explain;
mod facts;
mod ids;
mod key;
mod modes;
#[cfg(feature = "locale-order")]
mod order;
mod parse;
mod query;
mod readiness;
mod rollout;
mod service;
mod sign;
#[cfg(test)]
mod tests;
mod text;
mod types;

pub use body::{Body, BodyDigest, BodyHasher};
pub use decide::{Scratch, Verifier};
pub use explain::Explanation;
pub use key::{KeyRing, KeyRingError, SigningKey};
pub use modes::{Mode, ModeError, Modes};
pub use query::{QueryNotUtf8, canonical_query};
pub use readiness::{KeyReadiness, Readiness};
pub use rollout::{Switch, SwitchError};
pub use service::{Examined, Fallback, FallbackWitness, Gate, GateObserver};
pub use sign::{SignError, SignedHeaders, Signer};
pub use types::{Checked, Headers, Outcome, Refusal, Report, Request, Scheme, Verified};
