//! With warm buffers, verifying allocates nothing. Alone in its file: the counter is the process's.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sheen_auth::signature::{
    Headers, KeyRing, Mode, Refusal, Request, Scheme, Scratch, Signer, SigningKey, Verifier,
};
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

const SECRET: &str = "correct-horse-battery-staple-32-bytes-min";

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[expect(clippy::unwrap_used, reason = "outside a #[test], but only for one")]
fn key() -> SigningKey {
    SigningKey::new(
        KeyId::parse("k1").unwrap(),
        PrincipalId::parse("web").unwrap(),
        Secret::new(SECRET).unwrap(),
    )
}

#[expect(clippy::unwrap_used, reason = "outside a #[test], but only for one")]
fn v1_allocates_nothing(verifier: &Verifier, now: Timestamp, scratch: &mut Scratch) {
    let body = [b'x'; 4096];
    let stamp = now.as_millis().to_string();
    let plain = [&body[..], b"/v1/estimate?b=2&a=1"].concat();
    let by_id = [stamp.as_bytes(), b":req_1:", &body].concat();
    for (text, scheme) in [(plain, Scheme::V1), (by_id, Scheme::V1RequestId)] {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(&text);
        let signature = const_hex::encode(mac.finalize().into_bytes());
        let headers = Headers {
            signature: Some(&signature),
            timestamp: Some(&stamp),
            request_id: Some("req_1"),
            ..Headers::default()
        };
        let request = Request::new("POST", "/v1/estimate", Some("b=2&a=1"), headers, &body);
        verifier.check(&request, now, scratch).unwrap();
        let region = Region::new(COUNTED);
        let accepted = verifier
            .check(&request, now, scratch)
            .map(|checked| checked.scheme);
        let change = region.change();
        assert_eq!(accepted, Ok(scheme));
        assert_eq!(
            (change.allocations, change.reallocations),
            (0, 0),
            "{scheme:?}: {change:?}"
        );
    }
}

#[test]
fn verifying_with_warm_buffers_allocates_nothing() {
    let verifier = Verifier::new(KeyRing::new(vec![key()]).unwrap(), Mode::Dual);
    let now = Timestamp::from_millis(1_800_000_000_000);
    let signer = Signer::new(key()).with_v1().naming_key();
    let entropy = SeededEntropy::new(1);
    // More pairs than a stable sort would take on the stack, some of them encoded.
    let query: String = (0..64).map(|n| format!("k%20{}={n}+x&", n % 50)).collect();
    let mut scratch = Scratch::new();
    for (query, body) in [(None, &b""[..]), (Some(query.as_str()), &[b'x'; 4096][..])] {
        let headers = signer
            .sign("POST", "/v1/estimate", query, body, now, &entropy)
            .unwrap();
        let request = Request::new("POST", "/v1/estimate", query, headers.as_headers(), body);
        let mut forged = request;
        forged.path = "/v1/estimates";
        verifier.check(&request, now, &mut scratch).unwrap();

        let region = Region::new(COUNTED);
        let accepted = verifier
            .check(&request, now, &mut scratch)
            .map(|checked| checked.scheme);
        let refused = verifier
            .check(&forged, now, &mut scratch)
            .map(|checked| checked.scheme);
        let change = region.change();

        assert_eq!(accepted, Ok(Scheme::V2));
        assert_eq!(refused, Err(Refusal::Invalid));
        assert_eq!(
            (change.allocations, change.reallocations),
            (0, 0),
            "{change:?}"
        );
    }
    v1_allocates_nothing(&verifier, now, &mut scratch);
    let region = Region::new(COUNTED);
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(region.change().allocations, 1, "the counter counts");
}
