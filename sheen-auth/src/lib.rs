//! Who is calling a worker, and that no call counts twice.
//!
//! [`signature`] reads and makes the signatures of requests, [`replay`] remembers what was spent,
//! [`token`] lets a browser watch one build for ten minutes, [`limit`] says how often somebody may
//! call and [`address`] from where they do, [`signed_url`] opens one thing for one person.
//!
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod address;
mod guard;
pub mod limit;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod replay;
pub mod signature;
pub mod signed_url;
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
