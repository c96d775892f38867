//! Targets of sheen-auth.

use std::str::from_utf8;
use std::time::Duration;

use sheen_auth::signature::{
    Headers, KeyRing, Mode, Request, Scratch, Signer, SigningKey, Verifier, canonical_query,
};
use sheen_auth::token::ViewerTokens;
use sheen_core::entropy::{Entropy, OsEntropy};
use sheen_core::id::{BuildId, KeyId, PrincipalId, UserId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_763_634_600_000);

fn secret() -> Secret {
    Secret::new("correct-horse-battery-staple-32-bytes-min").expect("long enough")
}

fn key() -> SigningKey {
    let id = KeyId::parse("k1").expect("an id");
    SigningKey::new(id, PrincipalId::parse("web").expect("an id"), secret())
}

/// A query's canonical form is its own canonical form, sorted, in the letters of the wire, and
/// nothing is written for a query that is refused.
pub fn canonical(data: &[u8]) {
    let Ok(raw) = from_utf8(data) else { return };
    let mut once = "kept".to_owned();
    if canonical_query(raw, &mut once).is_err() {
        assert_eq!(once, "kept");
        return;
    }
    let once = once
        .strip_prefix("kept")
        .expect("it is appended")
        .to_owned();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()%=&".contains(&b);
    assert!(once.bytes().all(plain), "{once}");
    let keys = || once.split('&').map(|pair| pair.split('=').next());
    assert!(keys().is_sorted(), "{once}");
    let mut twice = String::new();
    canonical_query(&once, &mut twice).expect("it is canonical");
    assert_eq!(twice, once);
}

/// The first seven lines are the signature's headers, an empty one left out, the eighth method,
/// path and query, the rest the body. Nobody signed any of it, so nothing passes; the same request
/// signed does.
pub fn signature(data: &[u8]) {
    let Ok(text) = from_utf8(data) else { return };
    let mut lines = text.splitn(9, '\n');
    let values: [&str; 7] = std::array::from_fn(|_| lines.next().unwrap_or(""));
    let pairs = Headers::NAMES
        .into_iter()
        .zip(values)
        .filter(|(_, value)| !value.is_empty());
    let mut target = lines.next().unwrap_or("").splitn(2, ' ');
    let (method, target) = (target.next().unwrap_or(""), target.next().unwrap_or("/"));
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let body = lines.next().unwrap_or("").as_bytes();
    let mut scratch = Scratch::new();
    let unsigned = Request::new(method, path, query, Headers::from_pairs(pairs), body);
    for mode in [Mode::V1Only, Mode::Shadow, Mode::Dual, Mode::EnforceV2] {
        let verifier = Verifier::new(KeyRing::new(vec![key()]).expect("a key"), mode);
        assert!(verifier.check(&unsigned, NOW, &mut scratch).is_err());
    }
    let entropy: &dyn Entropy = &OsEntropy;
    let Ok(signed) = Signer::new(key()).sign(method, path, query, body, NOW, entropy) else {
        return;
    };
    let request = Request::new(method, path, query, signed.as_headers(), body);
    let verifier = Verifier::new(KeyRing::new(vec![key()]).expect("a key"), Mode::EnforceV2);
    assert!(verifier.check(&request, NOW, &mut scratch).is_ok());
}

/// No text that we did not issue is a token, and an issued one changed in a byte is none.
pub fn token(data: &[u8]) {
    let tokens = ViewerTokens::new(vec![secret()]).expect("a secret");
    if let Ok(text) = from_utf8(data) {
        assert!(tokens.verify(text, NOW).is_err());
    }
    let (user, build) = (UserId::parse("ada"), BuildId::parse("bld_1"));
    let (user, build) = (user.expect("an id"), build.expect("an id"));
    let (token, _) = tokens.issue(&user, &build, NOW, Duration::from_secs(600));
    assert!(tokens.verify(token.expose(), NOW).is_ok());
    // Two bytes say where, the third what to.
    let [high, low, to, ..] = *data else { return };
    let mut bytes = token.expose().as_bytes().to_vec();
    let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
    if bytes[at] == to {
        return;
    }
    bytes[at] = to;
    if let Ok(changed) = from_utf8(&bytes) {
        assert!(
            tokens.verify(changed, NOW).is_err(),
            "byte {at} became {to}"
        );
    }
}
