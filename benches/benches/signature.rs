//! Verifying a v2 signature (docs/performance.md, rows 1 and 2): everything from the headers to
//! the comparison, with the caller's scratch buffers, beside HMAC and SHA-256 of the same bytes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use sheen_auth::signature::{KeyRing, Mode, Request, Scratch, Signer, SigningKey, Verifier};
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

const SECRET: &str = "correct-horse-battery-staple-32-bytes-min";
const PATH: &str = "/v1/builds/bld_7b0a7c3e/events";
const QUERY: &str = "limit=50&userId=u_1";

fn key() -> SigningKey {
    let id = KeyId::parse("k1").expect("an id");
    let principal = PrincipalId::parse("web").expect("an id");
    SigningKey::new(id, principal, Secret::new(SECRET).expect("long enough"))
}

fn verify(c: &mut Criterion) {
    let now = Timestamp::from_millis(1_763_634_600_000);
    let verifier = Verifier::new(KeyRing::new(vec![key()]).expect("a key"), Mode::EnforceV2);
    let keyed = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    for (name, len) in [("empty body", 0), ("1 KiB", 1024), ("64 KiB", 64 * 1024)] {
        let body = vec![b'x'; len];
        let signed = Signer::new(key())
            .sign(
                "POST",
                PATH,
                Some(QUERY),
                &body,
                now,
                &SeededEntropy::new(1),
            )
            .expect("signable");
        let request = Request::new("POST", PATH, Some(QUERY), signed.as_headers(), &body);
        let body_hash = const_hex::encode(Sha256::digest(&body));
        let (nonce, timestamp) = (&signed.nonce, &signed.timestamp);
        let text = format!("POST\n{PATH}\n{QUERY}\n{body_hash}\n{nonce}\n{timestamp}");

        let mut group = c.benchmark_group(format!("verify v2, {name}"));
        group.throughput(Throughput::Bytes(len.max(text.len()) as u64));
        let mut scratch = Scratch::new();
        assert!(verifier.check(&request, now, &mut scratch).is_ok());
        group.bench_function("verify", |b| {
            b.iter(|| {
                verifier
                    .check(black_box(&request), now, &mut scratch)
                    .is_ok()
            });
        });
        // The key's midstate is kept here too; what is left is hashing and nothing else.
        group.bench_function("floor: hmac and sha2 of the same bytes", |b| {
            b.iter(|| {
                let hash = Sha256::digest(black_box(&body));
                let mac = keyed.clone().chain_update(black_box(text.as_bytes()));
                (hash, mac.finalize().into_bytes())
            });
        });
        group.finish();
    }
}

criterion_group!(benches, verify);
criterion_main!(benches);
