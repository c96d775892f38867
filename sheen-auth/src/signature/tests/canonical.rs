//! The signed text: nothing can be moved from one field to another (C1–C5, C11, B1, B5).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;
use crate::signature::body::sha256;
use crate::signature::canonical_query;
use crate::signature::parse;
use crate::signature::text::SignedText;

fn canonical(raw: &str) -> Option<String> {
    let mut out = String::new();
    canonical_query(raw, &mut out).ok().map(|()| out)
}

#[test]
fn c03_keys_sort_bytewise_and_doubled_ones_keep_their_order() {
    let cases = [
        ("", ""),
        ("?", ""),
        ("?a=1", "a=1"),
        ("??a=1", "%3Fa=1"),
        ("a", "a="),
        ("a.=4&a-=3&a=1&A=0&%C3%A9=5", "%C3%A9=5&A=0&a=1&a-=3&a.=4"),
        ("b=2&a=9&a=1&a=5", "a=9&a=1&a=5&b=2"),
        ("&&a=1&&", "a=1"),
        ("=", "="),
        ("a=b=c", "a=b%3Dc"),
        ("a+b=c%20d", "a%20b=c%20d"),
        ("k=%2b&l=%2B", "k=%2B&l=%2B"),
        ("k=%", "k=%25"),
        ("k=%4", "k=%254"),
        ("k=%zz%41", "k=%25zzA"),
        ("\u{feff}a=%EF%BB%BF", "%EF%BB%BFa=%EF%BB%BF"),
    ];
    for (raw, expected) in cases {
        assert_eq!(canonical(raw).as_deref(), Some(expected), "{raw}");
    }
}

#[test]
fn c04_what_is_not_utf8_once_decoded_is_refused() {
    for raw in [
        "k=%FF",
        "k=%FE",
        "%ff",
        "k=%C3",
        "%E2%82=x",
        "a=1&k=%F0%9F",
        "k=%ED%A0%80",
    ] {
        assert_eq!(canonical(raw), None, "{raw}");
    }
    // Refused whatever the signature, in each scheme, and with nothing appended.
    let mut out = "before".to_owned();
    assert!(canonical_query("a=1&k=%FF", &mut out).is_err());
    assert_eq!(out, "before");
    let signature = const_hex::encode(key("k1").sign(&[b"/x?k=%FF"]));
    let headers = Headers {
        signature: Some(&signature),
        ..Headers::default()
    };
    let request = Request::new("GET", "/x", Some("k=%FF"), headers, b"");
    assert_eq!(
        check(&verifier(Mode::V1Only), &request),
        Err(Refusal::QueryNotUtf8)
    );
}

#[test]
fn c05_only_targets_in_origin_form_are_taken() {
    let ok = [
        "/",
        "//",
        "/v1//builds",
        "/..",
        "/%2e%2e/x",
        "/a;b=c",
        "/x:1",
        "/%2F",
        "/caf\u{e9}",
    ];
    let refused = [
        "",
        "*",
        "v1",
        "http://host/v1",
        "host:443",
        "/a b",
        "/a\nb",
        "/a\0",
        "/a?b",
        "/\t",
        "/a\u{7f}",
    ];
    for (paths, expected) in [
        (&ok[..], Ok(Scheme::V2)),
        (&refused[..], Err(Refusal::Invalid)),
    ] {
        for path in paths {
            let headers = by_hand("GET", path, "", b"");
            let request = Request::new("GET", path, None, headers.as_headers(), b"");
            assert_eq!(check(&verifier(Mode::Dual), &request), expected, "{path:?}");
        }
    }
    for (query, canonical, expected) in [
        ("a=?/:@", "a=%3F%2F%3A%40", Ok(Scheme::V2)),
        ("a=b c", "a=b%20c", Err(Refusal::Invalid)),
        ("a=\u{7f}", "a=%7F", Err(Refusal::Invalid)),
    ] {
        let headers = by_hand("GET", "/", canonical, b"");
        let request = Request::new("GET", "/", Some(query), headers.as_headers(), b"");
        assert_eq!(
            check(&verifier(Mode::Dual), &request),
            expected,
            "{query:?}"
        );
    }
    let headers = by_hand("GE T", "/", "", b"");
    let request = Request::new("GE T", "/", None, headers.as_headers(), b"");
    assert_eq!(
        check(&verifier(Mode::Dual), &request),
        Err(Refusal::Invalid)
    );
}

/// Signed without the signer's own checks.
pub(super) fn by_hand(
    method: &str,
    path: &str,
    canonical_query: &str,
    body: &[u8],
) -> SignedHeaders {
    let mut headers = signed(1, "POST", None);
    let mut text = Vec::new();
    SignedText {
        method,
        path,
        canonical_query: canonical_query.as_bytes(),
        body_sha256: &sha256(body),
        nonce: &headers.nonce,
        timestamp: &headers.timestamp,
    }
    .append_to(&mut text);
    headers.sig_v2 = const_hex::encode(key("k1").sign(&[&text]));
    headers
}

#[test]
fn c02_the_path_counts_as_it_stands_on_the_line() {
    let path = "/v1/p%2F1/a%41";
    let headers = by_hand("GET", path, "", b"");
    let mut request = Request::new("GET", path, None, headers.as_headers(), b"");
    assert_eq!(check(&verifier(Mode::Dual), &request), Ok(Scheme::V2));
    for other in [
        "/v1/p/1/a%41",
        "/v1/p%2f1/a%41",
        "/v1/p%2F1/aA",
        "/v1/p%2F1/a%41/",
        "/V1/p%2F1/a%41",
    ] {
        request.path = other;
        assert_eq!(
            check(&verifier(Mode::Dual), &request),
            Err(Refusal::Invalid),
            "{other}"
        );
    }
}

#[test]
fn b01_every_flipped_bit_of_the_body_is_seen() {
    let v2 = signed(1, "POST", None);
    let rid = request_id_signature("1800000000", "req_1", BODY);
    let v1 = v2.signature.clone().unwrap();
    let accepted = [
        v2.as_headers(),
        Headers {
            signature: Some(&v1),
            ..Headers::default()
        },
        Headers {
            signature: Some(&rid),
            timestamp: Some("1800000000"),
            request_id: Some("req_1"),
            ..Headers::default()
        },
    ];
    let verifier = verifier(Mode::Dual);
    for headers in accepted {
        assert!(check(&verifier, &post(headers)).is_ok());
        for bit in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            let request = Request::new("POST", PATH, None, headers, &body);
            assert_eq!(
                check(&verifier, &request),
                Err(Refusal::Invalid),
                "bit {bit}"
            );
        }
    }
}

#[test]
fn b05_an_empty_body_is_the_hash_of_nothing() {
    use sha2::{Digest as _, Sha256};
    assert_eq!(sha256(b""), <[u8; 32]>::from(Sha256::digest(b"")));
    let headers = by_hand("GET", PATH, "", b"");
    let empty = Request::new("GET", PATH, None, headers.as_headers(), b"");
    assert_eq!(check(&verifier(Mode::Dual), &empty), Ok(Scheme::V2));
    let headers = by_hand("GET", PATH, "", b"a body on a GET");
    let full = Request::new("GET", PATH, None, headers.as_headers(), b"a body on a GET");
    assert_eq!(check(&verifier(Mode::Dual), &full), Ok(Scheme::V2));
}

#[test]
fn single_bit_flips_of_every_header_are_refused() {
    let headers = signed(1, "POST", None);
    let verifier = verifier(Mode::EnforceV2);
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| *name != "x-sheen-signature")
    {
        for bit in 0..value.len() * 8 {
            let mut bytes = value.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // A header that is no text does not reach the verifier.
            let Ok(flipped) = String::from_utf8(bytes) else {
                continue;
            };
            let pairs = headers
                .iter()
                .map(|(n, v)| (n, if n == name { flipped.as_str() } else { v }));
            let request = post(Headers::from_pairs(pairs));
            assert!(check(&verifier, &request).is_err(), "{name}: {flipped}");
        }
    }
}

#[test]
fn c11_no_scheme_verifies_as_another() {
    let rid = request_id_signature("1800000000", "req_1", BODY);
    let dual = signed(1, "POST", None);
    let (v1, v2) = (dual.signature.clone().unwrap(), dual.sig_v2.clone());
    let verifier = verifier(Mode::Dual);
    for signature in [&v2, &rid] {
        let headers = Headers {
            signature: Some(signature),
            ..Headers::default()
        };
        assert_eq!(check(&verifier, &post(headers)), Err(Refusal::Invalid));
    }
    for signature in [&v1, &rid] {
        let headers = Headers {
            sig_v2: Some(signature),
            ..dual.as_headers()
        };
        assert_eq!(check(&verifier, &post(headers)), Err(Refusal::Invalid));
    }
    let headers = Headers {
        signature: Some(&v2),
        timestamp: Some("1800000000"),
        request_id: Some("req_1"),
        ..Headers::default()
    };
    assert_eq!(check(&verifier, &post(headers)), Err(Refusal::Invalid));
}

/// A v1 text is its body and then its path, so whoever holds a text with a `/` in it chooses where
/// the path begins; with a v1-request-id text that would lose timestamp and request id.
#[test]
fn c11_no_cut_of_a_request_id_text_verifies_as_v1() {
    let long = format!("{}/x", "1".repeat(19));
    for (stamp, id, body) in [
        (
            "1800000000",
            "req_1",
            r#"{"userId":"u_2","prompt":"/v1/billing/balance/u_1?x="}"#,
        ),
        ("1800000000", "req/1/", r#"{"userId":"u_2"}"#),
        ("1800000000123", "/", "/v1/estimate"),
        ("1", long.as_str(), "1:/v1/estimate"),
    ] {
        let signature = request_id_signature(stamp, id, body.as_bytes());
        let headers = Headers {
            signature: Some(&signature),
            ..Headers::default()
        };
        let text = format!("{stamp}:{id}:{body}");
        let cuts: Vec<_> = text.match_indices('/').map(|(at, _)| at).collect();
        assert!(!cuts.is_empty());
        for at in cuts {
            let (body, target) = text.split_at(at);
            let (path, query) = match target.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (target, None),
            };
            let request = Request::new("GET", path, query, headers, body.as_bytes());
            for mode in [Mode::V1Only, Mode::Shadow, Mode::Dual] {
                let judged = check(&verifier(mode), &request);
                assert_eq!(judged, Err(Refusal::Invalid), "{mode}: {body} + {target}");
            }
        }
    }
    // Other bodies stay what they are.
    for body in [
        "",
        "1",
        "12",
        ":",
        "a1:",
        "-1:",
        "{\"a\":1}",
        "[1]",
        "\"1:\"",
    ] {
        let signature = const_hex::encode(key("k1").sign(&[body.as_bytes(), PATH.as_bytes()]));
        let headers = Headers {
            signature: Some(&signature),
            ..Headers::default()
        };
        let request = Request::new("POST", PATH, None, headers, body.as_bytes());
        assert_eq!(
            check(&verifier(Mode::Dual), &request),
            Ok(Scheme::V1),
            "{body}"
        );
    }
}

#[test]
fn the_joint_of_request_id_and_body_cannot_be_moved() {
    let rid = request_id_signature("1800000000", "req_1", br#"{"a":[1]}"#);
    for (id, body) in [
        ("req_1:{\"a\"", "[1]}"),
        ("req_1:{\"a\":[1]}", ""),
        ("", ""),
    ] {
        let headers = Headers {
            signature: Some(&rid),
            timestamp: Some("1800000000"),
            request_id: Some(id),
            ..Headers::default()
        };
        let request = Request::new("POST", PATH, None, headers, body.as_bytes());
        assert_eq!(
            check(&verifier(Mode::Dual), &request),
            Err(Refusal::Invalid),
            "{id}"
        );
    }
}

/// The fields that a request can have once it was read, body as its hash.
type Fields = (String, String, String, [u8; 32], String, String);

fn fields() -> impl Strategy<Value = Fields> {
    (
        "[A-Z]{1,6}",
        "/[a-zA-Z0-9%./\n]{0,12}",
        "[ab&=+%?\u{e9}]{0,10}",
        prop::array::uniform32(0_u8..2),
        "[A-Za-z0-9_-]{16,18}",
        "[0-9]{1,14}",
    )
}

fn text((method, path, query, body_sha256, nonce, timestamp): &Fields) -> Option<Vec<u8>> {
    if !parse::is_target(path, Some(query)) {
        return None;
    }
    let canonical = canonical(query)?;
    let mut out = Vec::new();
    let canonical_query = canonical.as_bytes();
    SignedText {
        method,
        path,
        canonical_query,
        body_sha256,
        nonce,
        timestamp,
    }
    .append_to(&mut out);
    Some(out)
}

proptest! {
    /// C1: two requests that differ in a field differ in the text; of the query, what counts is
    /// the list of its pairs by key.
    #[test]
    fn c01_different_requests_sign_different_texts(a in fields(), mut b in fields(), keep in 0_u8..64) {
        // Most pairs share most fields, else they differ everywhere and show little.
        if keep & 1 != 0 { b.0.clone_from(&a.0); }
        if keep & 2 != 0 { b.1.clone_from(&a.1); }
        if keep & 4 != 0 { b.2.clone_from(&a.2); }
        if keep & 8 != 0 { b.3 = a.3; }
        if keep & 16 != 0 { b.4.clone_from(&a.4); }
        if keep & 32 != 0 { b.5.clone_from(&a.5); }
        let pairs = |raw: &str| {
            let raw = raw.strip_prefix('?').unwrap_or(raw);
            let mut pairs: Vec<_> = form_urlencoded::parse(raw.as_bytes()).into_owned().collect();
            pairs.sort_by(|x, y| x.0.cmp(&y.0));
            pairs
        };
        if let (Some(left), Some(right)) = (text(&a), text(&b)) {
            let same = (&a.0, &a.1, a.3, &a.4, &a.5) == (&b.0, &b.1, b.3, &b.4, &b.5)
                && pairs(&a.2) == pairs(&b.2);
            prop_assert_eq!(same, left == right);
        }
    }

    /// Held against the URL standard's parser for what is UTF-8.
    #[test]
    fn the_canonical_query_agrees_with_the_url_standard(raw in "[aB1&=+%?.~/#\u{e9}\u{1f600} 2Cf-]{0,24}") {
        const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
            .remove(b'-').remove(b'_').remove(b'.').remove(b'!').remove(b'~')
            .remove(b'*').remove(b'\'').remove(b'(').remove(b')');
        let stripped = raw.strip_prefix('?').unwrap_or(&raw);
        let encode = |text: &str| utf8_percent_encode(text, COMPONENT).to_string();
        let mut pairs: Vec<(String, String)> = form_urlencoded::parse(stripped.as_bytes())
            .map(|(key, value)| (encode(&key), encode(&value)))
            .collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let expected: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if let Some(ours) = canonical(&raw) {
            prop_assert_eq!(ours, expected.join("&"));
        } else {
            prop_assert!(expected.join("&").contains("%EF%BF%BD"), "{raw} was refused");
        }
    }

    /// No input makes the reader panic, and whatever it accepts is what was signed.
    #[test]
    fn any_headers_are_judged_without_a_panic(
        values in prop::array::uniform7(prop::option::of("[ -~]{0,70}|[0-9]{1,25}|[0-9a-f]{64}")),
        path in "[ -~\u{e9}]{0,20}", query in prop::option::of("[ -~\u{e9}]{0,20}"),
    ) {
        let names = Headers::NAMES.iter().zip(&values);
        let pairs = names.filter_map(|(name, value)| value.as_deref().map(|value| (*name, value)));
        let request = Request::new("POST", &path, query.as_deref(), Headers::from_pairs(pairs), b"x");
        for mode in [Mode::V1Only, Mode::Shadow, Mode::Dual, Mode::EnforceV2] {
            prop_assert!(check(&verifier(mode), &request).is_err());
        }
    }
}
