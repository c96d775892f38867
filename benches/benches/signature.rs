//! Verifying v2 (docs/performance.md, rows 1 and 2) beside the hashing that cannot be left out.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use sheen_auth::signature::{
    Headers, KeyRing, Mode, Request, Scratch, SignedHeaders, Signer, SigningKey, Verifier,
};
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

const SECRET: &str = "correct-horse-battery-staple-32-bytes-min";
const PATH: &str = "/v1/create-preview-for-new-project";

fn key() -> SigningKey {
    SigningKey::new(
        KeyId::parse("k1").expect("an id"),
        PrincipalId::parse("web").expect("an id"),
        Secret::new(SECRET).expect("long enough"),
    )
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

fn sign(query: Option<&str>, body: &[u8]) -> SignedHeaders {
    let signed = Signer::new(key()).sign("POST", PATH, query, body, now(), &SeededEntropy::new(1));
    signed.expect("a request that can be signed")
}

/// The text under the signature, made beforehand: the floors only hash it.
fn text_of(canonical_query: &str, body: &[u8], headers: Headers<'_>) -> String {
    let hash = const_hex::encode(Sha256::digest(body));
    let (nonce, stamp) = (
        headers.nonce.expect("signed"),
        headers.timestamp.expect("signed"),
    );
    format!("POST\n{PATH}\n{canonical_query}\n{hash}\n{nonce}\n{stamp}")
}

struct Case {
    name: &'static str,
    query: Option<&'static str>,
    canonical_query: &'static str,
    body: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let case = |name, query, canonical_query, len| Case {
        name,
        query,
        canonical_query,
        body: vec![b'x'; len],
    };
    vec![
        case("empty body", None, "", 0),
        case(
            "empty body, sorted query",
            Some("limit=50&userId=u_12345"),
            "limit=50&userId=u_12345",
            0,
        ),
        case(
            "empty body, query to sort and encode",
            Some("userId=u_12345&cursor=a%2fb&limit=50"),
            "cursor=a%2Fb&limit=50&userId=u_12345",
            0,
        ),
        case("1 KiB", None, "", 1024),
        case("64 KiB", None, "", 65_536),
    ]
}

fn verify(c: &mut Criterion) {
    let verifier = Verifier::new(KeyRing::new(vec![key()]).expect("a ring"), Mode::EnforceV2);
    let keyed: Hmac<Sha256> = Hmac::new_from_slice(SECRET.as_bytes()).expect("any length");
    let ring_key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let mut group = c.benchmark_group("verify v2");
    for case in cases() {
        let signed = sign(case.query, &case.body);
        let headers = signed.as_headers();
        let text = text_of(case.canonical_query, &case.body, headers);
        let expected = const_hex::decode(&signed.sig_v2).expect("hex");
        let hash = |body: &[u8]| (!body.is_empty()).then(|| Sha256::digest(body));

        group.bench_function(BenchmarkId::new("raw hmac + sha2", case.name), |b| {
            b.iter(|| {
                let body = hash(black_box(&case.body));
                let mut mac = keyed.clone();
                mac.update(black_box(text.as_bytes()));
                (body, mac.verify_slice(black_box(&expected)).is_ok())
            });
        });
        group.bench_function(BenchmarkId::new("ring", case.name), |b| {
            b.iter(|| {
                let body = black_box(&case.body);
                let body =
                    (!body.is_empty()).then(|| ring::digest::digest(&ring::digest::SHA256, body));
                let text = black_box(text.as_bytes());
                (body, ring::hmac::verify(&ring_key, text, &expected).is_ok())
            });
        });
        let request = Request::new("POST", PATH, case.query, headers, &case.body);
        let mut scratch = Scratch::new();
        let (at, fits) = (now(), verifier.check(&request, now(), &mut scratch).is_ok());
        assert!(fits, "{}", case.name);
        group.bench_function(BenchmarkId::new("sheen", case.name), |b| {
            b.iter(|| {
                let checked = verifier.check(black_box(&request), at, &mut scratch);
                checked.is_ok()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
