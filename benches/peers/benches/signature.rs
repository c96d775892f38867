//! Verifying v2 beside what others do for the same request (docs/performance.md, rows 1 and 2), in
//! one run: an RFC 9421 verifier (httpsig-hyper, HMAC-SHA256 over the same parts, the digest of the
//! body checked), standardwebhooks (id, timestamp and body; no path, no query), and what signing
//! with AWS SigV4 costs, which its verifiers do again. The floor is the hashing alone.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningParams, SigningSettings, sign as sign_v4,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use futures_executor::block_on;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http_body_util::Full;
use httpsig_hyper::prelude::{AlgorithmName, HttpSignatureParams, SharedKey, message_component};
use httpsig_hyper::{ContentDigestType, MessageSignatureReqSync, RequestContentDigest};
use sha2::{Digest, Sha256};
use sheen_auth::signature::{KeyRing, Mode, Request, Scratch, Signer, SigningKey, Verifier};
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

const SECRET: &str = "correct-horse-battery-staple-32-bytes-min";
const PATH: &str = "/v1/create-preview-for-new-project";
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn key() -> SigningKey {
    SigningKey::new(
        KeyId::parse("k1").expect("an id"),
        PrincipalId::parse("web").expect("an id"),
        Secret::new(SECRET).expect("long enough"),
    )
}

fn sheen(group: &mut Group<'_>, body: &[u8]) {
    let verifier = Verifier::new(KeyRing::new(vec![key()]).expect("a ring"), Mode::EnforceV2);
    let entropy = SeededEntropy::new(1);
    let signed = Signer::new(key()).sign("POST", PATH, None, body, NOW, &entropy);
    let signed = signed.expect("it can be signed");
    let request = Request::new("POST", PATH, None, signed.as_headers(), body);
    let mut scratch = Scratch::new();
    assert!(verifier.check(&request, NOW, &mut scratch).is_ok());
    group.bench_function("sheen", |b| {
        b.iter(|| {
            let checked = verifier.check(black_box(&request), NOW, &mut scratch);
            checked.is_ok()
        });
    });
    let hash = const_hex::encode(Sha256::digest(body));
    let (nonce, stamp) = (&signed.nonce, &signed.timestamp);
    let text = format!("POST\n{PATH}\n\n{hash}\n{nonce}\n{stamp}");
    let keyed: Hmac<Sha256> = Hmac::new_from_slice(SECRET.as_bytes()).expect("any length");
    let expected = const_hex::decode(&signed.sig_v2).expect("hex");
    group.bench_function("floor: raw hmac + sha2", |b| {
        b.iter(|| {
            let body = (!body.is_empty()).then(|| Sha256::digest(black_box(body)));
            let mut mac = keyed.clone();
            mac.update(black_box(text.as_bytes()));
            (body, mac.verify_slice(&expected).is_ok())
        });
    });
    let ring_key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    group.bench_function("ring", |b| {
        b.iter(|| {
            let digest = || ring::digest::digest(&ring::digest::SHA256, black_box(body));
            let body = (!body.is_empty()).then(digest);
            let text = black_box(text.as_bytes());
            (body, ring::hmac::verify(&ring_key, text, &expected).is_ok())
        });
    });
}

fn httpsig(group: &mut Group<'_>, body: &[u8]) {
    let key = SharedKey::from_base64(&AlgorithmName::HmacSha256, &STANDARD.encode(SECRET));
    let key = key.expect("a key");
    let covered: Vec<_> = ["@method", "@path", "@query", "content-digest"]
        .into_iter()
        .map(|name| message_component::HttpMessageComponentId::try_from(name).expect("a component"))
        .collect();
    let mut parameters = HttpSignatureParams::try_new(&covered).expect("parameters");
    parameters.set_key_info(&key);
    parameters.set_random_nonce();
    let url = format!("https://worker.example{PATH}?a=1");
    let whole = http::Request::post(url).body(Full::new(Bytes::copy_from_slice(body)));
    let whole = whole.expect("a request");
    let digested = whole.set_content_digest(&ContentDigestType::Sha256);
    let mut request = block_on(digested).expect("a digest");
    let signed = request.set_message_signature_sync(&parameters, &key, Some("sheen"));
    signed.expect("it can be signed");
    assert!(request.verify_message_signature_sync(&key, None).is_ok());
    group.bench_function("httpsig-hyper, the body not looked at", |b| {
        b.iter(|| {
            black_box(&request)
                .verify_message_signature_sync(&key, None)
                .is_ok()
        });
    });
}

fn standardwebhooks(group: &mut Group<'_>, body: &[u8]) {
    let webhook = standardwebhooks::Webhook::from_bytes(SECRET.as_bytes().to_vec());
    let webhook = webhook.expect("a key");
    // It reads the system's clock.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = i64::try_from(now.expect("after 1970").as_secs()).expect("before 2262");
    let signature = webhook
        .sign("req_0123456789abcdef", now, body)
        .expect("text");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("webhook-id", "req_0123456789abcdef"),
        ("webhook-timestamp", &now.to_string()),
        ("webhook-signature", &signature),
    ] {
        headers.insert(name, value.parse().expect("a value"));
    }
    assert!(webhook.verify(body, &headers).is_ok());
    group.bench_function("standardwebhooks", |b| {
        b.iter(|| webhook.verify(black_box(body), &headers).is_ok());
    });
}

fn sigv4(group: &mut Group<'_>, body: &[u8]) {
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET, None, None, "bench");
    let identity: Identity = credentials.into();
    let parameters: SigningParams<'_> = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("execute-api")
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
        .settings(SigningSettings::default())
        .build()
        .expect("all is said")
        .into();
    let url = format!("https://worker.example{PATH}");
    group.bench_function("aws-sigv4, signing", |b| {
        b.iter(|| {
            let headers = [("host", "worker.example")].into_iter();
            let body = SignableBody::Bytes(black_box(body));
            let request = SignableRequest::new("POST", url.as_str(), headers, body);
            sign_v4(request.expect("a request"), &parameters).is_ok()
        });
    });
}

fn peers(c: &mut Criterion) {
    for (name, size) in [("empty body", 0), ("1 KiB", 1024), ("64 KiB", 65_536)] {
        let mut group = c.benchmark_group(format!("verify beside peers, {name}"));
        let body = vec![b'x'; size];
        sheen(&mut group, &body);
        httpsig(&mut group, &body);
        standardwebhooks(&mut group, &body);
        sigv4(&mut group, &body);
        group.finish();
    }
}

criterion_group!(benches, peers);
criterion_main!(benches);
