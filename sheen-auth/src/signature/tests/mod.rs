//! What the door lets in, by the lines of the wire and of what went wrong elsewhere.

mod body;
mod canonical;
mod checks;
mod explain;
mod fallback;
mod form;
mod gate;
mod keys;
#[cfg(feature = "locale-order")]
mod locale;
mod modes;
mod observers;
mod rollout;
mod vectors;
mod window;

use std::sync::Arc;

use sheen_core::entropy::SeededEntropy;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::secret::Secret;
use sheen_core::time::{ManualClock, Timestamp};

use super::{
    Gate, Headers, KeyRing, Mode, Refusal, Request, Scheme, Scratch, SignedHeaders, Signer,
    SigningKey, Verifier,
};
use crate::replay::MemoryReplayStore;

const SECRET: &str = "correct-horse-battery-staple-32-bytes-min";
const BODY: &[u8] = br#"{"userId":"u_1"}"#;
const PATH: &str = "/v1/estimate";

/// A key of principal `web` whose secret follows from `id`; `k1` has [`SECRET`].
fn key(id: &str) -> SigningKey {
    key_of("web", id)
}

fn key_of(principal: &str, id: &str) -> SigningKey {
    let secret = if id == "k1" {
        SECRET.to_owned()
    } else {
        format!("{SECRET}-{id}")
    };
    SigningKey::new(
        KeyId::parse(id).unwrap(),
        PrincipalId::parse(principal).unwrap(),
        Secret::new(secret).unwrap(),
    )
}

fn verifier(mode: Mode) -> Verifier {
    Verifier::new(KeyRing::new(vec![key("k1")]).unwrap(), mode)
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

fn check(verifier: &Verifier, request: &Request<'_>) -> Result<Scheme, Refusal> {
    let mut scratch = Scratch::new();
    verifier
        .check(request, now(), &mut scratch)
        .map(|checked| checked.scheme)
}

/// Signed by `k1`, v1 beside v2, each seed with a nonce of its own.
fn signed(seed: u64, method: &str, query: Option<&str>) -> SignedHeaders {
    let entropy = SeededEntropy::new(seed);
    let signer = Signer::new(key("k1")).with_v1();
    signer
        .sign(method, PATH, query, BODY, now(), &entropy)
        .unwrap()
}

/// The v1-request-id signature of `k1`.
fn request_id_signature(timestamp: &str, id: &str, body: &[u8]) -> String {
    let parts: [&[u8]; 5] = [timestamp.as_bytes(), b":", id.as_bytes(), b":", body];
    const_hex::encode(key("k1").sign(&parts))
}

fn post<'a>(headers: Headers<'a>) -> Request<'a> {
    Request::new("POST", PATH, None, headers, BODY)
}

/// A door that opened an hour ago, with its clock and its memory.
fn gate(mode: Mode) -> (Gate, Arc<ManualClock>, Arc<MemoryReplayStore>) {
    gate_of(verifier(mode))
}

fn gate_of(verifier: Verifier) -> (Gate, Arc<ManualClock>, Arc<MemoryReplayStore>) {
    let hour = std::time::Duration::from_secs(3600);
    let clock = Arc::new(ManualClock::at(now().minus(hour)));
    let store = Arc::new(MemoryReplayStore::new(clock.clone(), 10_000));
    clock.advance(hour);
    (
        Gate::new(verifier, store.clone(), clock.clone()),
        clock,
        store,
    )
}
