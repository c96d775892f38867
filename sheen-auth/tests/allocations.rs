//! With warm buffers, verifying allocates nothing. Alone in its file: the counter is the process's.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

use sheen_auth::signature::{
    KeyRing, Mode, Refusal, Request, Scheme, Scratch, Signer, SigningKey, Verifier,
};
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[expect(clippy::unwrap_used, reason = "outside a #[test], but only for one")]
fn key() -> SigningKey {
    SigningKey::new(
        KeyId::parse("k1").unwrap(),
        PrincipalId::parse("web").unwrap(),
        Secret::new("correct-horse-battery-staple-32-bytes-min").unwrap(),
    )
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
    let region = Region::new(COUNTED);
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(region.change().allocations, 1, "the counter counts");
}
