//! Targets of sheen-auth.

use std::str::from_utf8;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sheen_auth::signature::{
    BodyHasher, Headers, KeyRing, Mode, Refusal, Request, Scheme, Scratch, Signer, SigningKey,
    Verifier, canonical_query as canonical,
};
use sheen_auth::token::ViewerTokens;
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::{BuildId, KeyId, PrincipalId, UserId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

const SECRET: &str = "correct-horse-battery-staple-32-bytes-min";
const NOW: i64 = 1_800_000_000_000;
const MODES: [Mode; 4] = [Mode::V1Only, Mode::Shadow, Mode::Dual, Mode::EnforceV2];

fn key() -> SigningKey {
    SigningKey::new(
        KeyId::parse("k1").expect("an id"),
        PrincipalId::parse("web").expect("an id"),
        Secret::new(SECRET).expect("long enough"),
    )
}

fn verifier(mode: Mode) -> Verifier {
    Verifier::new(KeyRing::new(vec![key()]).expect("a ring"), mode).accept_locale_order(true)
}

fn mac(parts: &[&[u8]]) -> Vec<u8> {
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(SECRET.as_bytes()).expect("any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// The canonical query the slow way, or nothing where a key or value is not UTF-8.
fn slow_canonical(raw: &str) -> Option<String> {
    let raw = raw.strip_prefix('?').unwrap_or(raw);
    let mut pairs = Vec::new();
    for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        pairs.push((slow_encode(key)?, slow_encode(value)?));
    }
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
    Some(pairs.join("&"))
}

fn slow_encode(raw: &str) -> Option<String> {
    let raw = raw.replace('+', " ").into_bytes();
    let mut decoded = Vec::new();
    let mut rest = raw.as_slice();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| from_utf8(two).ok());
        let digits = digits.filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match byte.filter(|_| *first == b'%') {
            Some(byte) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    let kept = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()".contains(c);
    let mut out = String::new();
    for character in String::from_utf8(decoded).ok()?.chars() {
        if kept(character) {
            out.push(character);
        } else {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    Some(out)
}

/// A query, raw: its canonical form is what the slow and obvious way makes of it, is its own
/// canonical form, and in the other order holds the same pairs. It is appended, and nothing is
/// where the query is refused.
pub fn canonical_query(data: &[u8]) {
    let Ok(raw) = from_utf8(data) else {
        return;
    };
    let mut ours = "kept".to_owned();
    let read = canonical(raw, &mut ours);
    let ours = ours.strip_prefix("kept").expect("it is appended");
    let slow = slow_canonical(raw);
    assert_eq!(read.is_ok(), slow.is_some(), "{raw:?}");
    let Some(slow) = slow else {
        assert_eq!(ours, "");
        return;
    };
    assert_eq!(ours, slow, "{raw:?}");
    let mut again = String::new();
    canonical(ours, &mut again).expect("its own form is UTF-8");
    assert_eq!(again, ours);

    let headers = Headers {
        sig_v2: Some("0000000000000000000000000000000000000000000000000000000000000000"),
        nonce: Some("0123456789abcdef"),
        timestamp: Some("1800000000000"),
        ..Headers::default()
    };
    let request = Request::new("GET", "/", Some(raw), headers, b"");
    let told = verifier(Mode::EnforceV2).explain(&request, Timestamp::from_millis(NOW));
    if let Some(other) = told.canonical_in_locale_order {
        let pairs = |text: &str| {
            let query = text.split('\n').nth(2).expect("a third line");
            let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
            pairs.sort();
            pairs
        };
        assert_eq!(pairs(&other), pairs(&told.canonical.expect("there is one")));
    }
}

/// A request: method, path, query (`-` for none), the seven headers in the order of
/// `Headers::NAMES` (`-` for none), each a line, then the body.
pub fn signature(data: &[u8]) {
    let mut lines = data.splitn(11, |byte| *byte == b'\n');
    let mut line = || {
        lines
            .next()
            .and_then(|line| from_utf8(line).ok())
            .unwrap_or("-")
    };
    let (method, path, query) = (line(), line(), line());
    let values: Vec<&str> = Headers::NAMES.iter().map(|_| line()).collect();
    let body = lines.next().unwrap_or(b"");
    let given = |text: &&str| *text != "-";
    let query = Some(query).filter(given);
    let pairs = Headers::NAMES
        .into_iter()
        .zip(values)
        .filter(|(_, value)| given(value));
    let headers = Headers::from_pairs(pairs);
    let request = Request::new(method, path, query, headers, body);
    for mode in MODES {
        judge(&request, mode);
    }

    // Whatever a signer signs gets in, v1 beside it too, and not under another path.
    let (signer, entropy) = (Signer::new(key()).with_v1(), SeededEntropy::new(1));
    let now = Timestamp::from_millis(NOW);
    if let Ok(signed) = signer.sign(method, path, query, body, now, &entropy) {
        let headers = signed.as_headers();
        for mode in MODES {
            let request = Request { headers, ..request };
            let scheme = check(&verifier(mode), &request);
            let v2 = matches!(mode, Mode::Dual | Mode::EnforceV2);
            let expected = if v2 { Scheme::V2 } else { Scheme::V1 };
            assert_eq!(scheme, Ok(expected), "{request:?} in {mode}");
        }
        let longer = format!("{path}x");
        let moved = Request {
            path: &longer,
            headers,
            ..request
        };
        assert_eq!(
            check(&verifier(Mode::EnforceV2), &moved),
            Err(Refusal::Invalid)
        );
    }
}

fn check(verifier: &Verifier, request: &Request<'_>) -> Result<Scheme, Refusal> {
    let now = Timestamp::from_millis(NOW);
    let checked = verifier.check(request, now, &mut Scratch::new());
    checked.map(|checked| checked.scheme)
}

/// What is let in was signed with our secret, by the rule book and not by our code.
fn judge(request: &Request<'_>, mode: Mode) {
    let verifier = verifier(mode);
    let verdict = check(&verifier, request);
    let told = verifier.explain(request, Timestamp::from_millis(NOW));
    assert_eq!(told.refusal, verdict.err());
    let headers = &request.headers;
    let body = match request.body {
        sheen_auth::signature::Body::Whole(body) => body,
        sheen_auth::signature::Body::Digest(_) => return,
    };
    let Ok(scheme) = verdict else {
        return;
    };
    let sent = match scheme {
        Scheme::V2 => headers.sig_v2.or(headers.signature_v2),
        _ => headers.signature,
    };
    let sent = sent.expect("what is let in is signed");
    let stamp = headers.timestamp.unwrap_or("").as_bytes();
    let query = request.query.unwrap_or("");
    let expected = match scheme {
        Scheme::V2 => {
            let query = slow_canonical(query).expect("UTF-8");
            let hash = const_hex::encode(Sha256::digest(body));
            let nonce = headers.nonce.expect("v2 has a nonce");
            let method = request.method.to_ascii_uppercase();
            let stamp = headers.timestamp.expect("v2 has a timestamp");
            let text = [method.as_str(), request.path, &query, &hash, nonce, stamp].join("\n");
            let mut hasher = BodyHasher::new();
            body.chunks(7).for_each(|piece| hasher.update(piece));
            let hashed = hasher.finish();
            let hashed = Request::hashed(
                request.method,
                request.path,
                request.query,
                *headers,
                hashed,
            );
            if mode >= Mode::Dual {
                assert_eq!(check(&verifier, &hashed), verdict);
            }
            mac(&[text.as_bytes()])
        }
        Scheme::V1 => {
            let mark = if request.query.is_some() { "?" } else { "" };
            mac(&[
                body,
                request.path.as_bytes(),
                mark.as_bytes(),
                query.as_bytes(),
            ])
        }
        _ => {
            let id = headers.request_id.expect("it has an id").as_bytes();
            mac(&[stamp, b":", id, b":", body])
        }
    };
    assert_eq!(const_hex::encode(expected), sent, "{request:?} in {mode}");
}

/// A timestamp: which are taken at all, and which are fresh, by plain arithmetic.
pub fn timestamp(data: &[u8]) {
    let Ok(stamp) = from_utf8(data) else {
        return;
    };
    let hash = const_hex::encode(Sha256::digest(b""));
    let nonce = "0123456789abcdef";
    let text = format!("GET\n/\n\n{hash}\n{nonce}\n{stamp}");
    let signature = const_hex::encode(mac(&[text.as_bytes()]));
    let headers = Headers {
        sig_v2: Some(&signature),
        nonce: Some(nonce),
        timestamp: Some(stamp),
        ..Headers::default()
    };
    let request = Request::new("GET", "/", None, headers, b"");
    let digits = !stamp.is_empty() && stamp.chars().all(|c| c.is_ascii_digit());
    let number: Option<i128> = stamp.parse().ok().filter(|_| digits);
    // What an i64 cannot say is no timestamp.
    let expected = match number.filter(|n| *n <= i128::from(i64::MAX) && stamp.len() <= 19) {
        None => Err(Refusal::TimestampInvalid),
        Some(number) => {
            let millis = if stamp.len() <= 11 {
                number * 1000
            } else {
                number
            };
            if (millis - i128::from(NOW)).abs() <= 120_000 {
                Ok(Scheme::V2)
            } else {
                Err(Refusal::TimestampOutsideWindow)
            }
        }
    };
    assert_eq!(
        check(&verifier(Mode::EnforceV2), &request),
        expected,
        "{stamp:?}"
    );
}

/// An issued token changed in a byte is none: two bytes say where, the third what to.
fn changed_token(data: &[u8]) {
    let [high, low, to, ..] = *data else { return };
    let secret = Secret::new(SECRET).expect("long enough");
    let tokens = ViewerTokens::new(vec![secret]).expect("one secret");
    let now = Timestamp::from_millis(NOW);
    let user = UserId::parse("ada").expect("an id");
    let build = BuildId::parse("bld_1").expect("an id");
    let (token, _) = tokens.issue(&user, &build, now, Duration::from_mins(10));
    assert!(tokens.verify(token.expose(), now).is_ok());
    let mut bytes = token.expose().as_bytes().to_vec();
    let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
    if bytes[at] == to {
        return;
    }
    bytes[at] = to;
    if let Ok(changed) = from_utf8(&bytes) {
        let verified = tokens.verify(changed, now);
        assert!(verified.is_err(), "byte {at} became {to}");
    }
}

/// A viewer token as sent; or after `=` its header and claims, a line each, signed with our secret.
/// The first bytes also change an issued token.
pub fn token(data: &[u8]) {
    changed_token(data);
    let Ok(text) = from_utf8(data) else {
        return;
    };
    let secret = Secret::new(SECRET).expect("long enough");
    let tokens = ViewerTokens::new(vec![secret]).expect("one secret");
    let now = Timestamp::from_millis(NOW);
    let Some((header, claims)) = text
        .strip_prefix('=')
        .and_then(|text| text.split_once('\n'))
    else {
        if let Ok(viewer) = tokens.verify(text, now) {
            let (signed, sent) = text.rsplit_once('.').expect("it has parts");
            assert_eq!(URL_SAFE_NO_PAD.encode(mac(&[signed.as_bytes()])), sent);
            assert!(viewer.expires_at > now);
        }
        return;
    };
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = URL_SAFE_NO_PAD.encode(mac(&[signed.as_bytes()]));
    let Ok(viewer) = tokens.verify(&format!("{signed}.{signature}"), now) else {
        return;
    };
    // Whatever is let in says all of this, in so many words.
    let header: Value = serde_json::from_str(header).expect("a header");
    let claims: Value = serde_json::from_str(claims).expect("claims");
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none());
    assert_eq!(claims["sub"], viewer.user.as_str());
    assert_eq!(claims["buildId"], viewer.build.as_str());
    assert_eq!(claims["scope"], "build:events");
    let (iat, exp) = (claims["iat"].as_u64(), claims["exp"].as_u64());
    let (iat, exp) = (iat.expect("iat"), exp.expect("exp"));
    let now = u64::try_from(NOW / 1000).expect("after 1970");
    assert!(exp > now && iat < exp && exp - iat <= 600 && iat <= now + 60);
    assert!(claims.get("nbf").is_none() && claims.get("aud").is_none());
}
