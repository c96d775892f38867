//! Who is calling a worker, and that no call counts twice.
//!
//! [`signature`] reads and makes the signatures of requests, [`replay`] remembers what was spent,
//! [`token`] lets a browser watch one build for ten minutes. No async runtime, no HTTP types: a
//! request is its method, path, query, seven headers and body.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_auth::replay::MemoryReplayStore;
//! use sheen_auth::signature::{Gate, KeyRing, Mode, Refusal, Request, Scratch, Signer, SigningKey, Verifier};
//! use sheen_core::{entropy::OsEntropy, id::{KeyId, PrincipalId}, secret::Secret, time::{Clock, SystemClock}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = || -> Result<SigningKey, Box<dyn std::error::Error>> {
//!     let secret = Secret::new("correct-horse-battery-staple-32-bytes-min")?;
//!     Ok(SigningKey::new(KeyId::parse("k1")?, PrincipalId::parse("web")?, secret))
//! };
//! let clock = Arc::new(SystemClock::new());
//! let store = Arc::new(MemoryReplayStore::new(clock.clone(), 1_000_000));
//! let gate = Gate::new(Verifier::new(KeyRing::new(vec![key()?])?, Mode::Dual), store, clock.clone());
//!
//! let body = br#"{"userId":"u_1","operationType":"update"}"#;
//! let signed = Signer::new(key()?).sign("POST", "/v1/estimate", None, body, clock.now(), &OsEntropy::default())?;
//! let request = Request::new("POST", "/v1/estimate", None, signed.as_headers(), body);
//!
//! let mut scratch = Scratch::new();
//! let verified = gate.admit(&request, &mut scratch).await?;
//! assert_eq!(verified.principal.as_str(), "web");
//! assert_eq!(gate.admit(&request, &mut scratch).await.unwrap_err(), Refusal::NonceReplayed);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod replay;
pub mod signature;
pub mod token;

use hmac::KeyInit as _;

/// HMAC-SHA256 keyed with `secret`, to be cloned for each message.
fn keyed(secret: &sheen_core::secret::Secret) -> hmac::Hmac<sha2::Sha256> {
    #[expect(
        clippy::expect_used,
        reason = "HMAC takes keys of any length (RFC 2104)"
    )]
    hmac::Hmac::new_from_slice(secret.expose()).expect("HMAC takes keys of any length")
}
