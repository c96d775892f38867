//! The 160 cases that Node made.

use base64::Engine as _;
use serde::Deserialize;

use super::*;
use crate::signature::body::sha256;
use crate::signature::canonical_query;
use crate::signature::parse;
use crate::signature::text::SignedText;

#[derive(Deserialize)]
pub(super) struct Vectors {
    secret: String,
    pub(super) cases: Vec<Case>,
}

#[derive(Deserialize)]
pub(super) struct Case {
    pub(super) method: String,
    pub(super) path: String,
    query: String,
    body_base64: String,
    pub(super) nonce: String,
    pub(super) timestamp: String,
    pub(super) valid_utf8: bool,
    pub(super) canonical_query: Canonical,
    pub(super) v2: V2,
    pub(super) v1: V1,
    v1_request_id: V1RequestId,
}

#[derive(Deserialize)]
pub(super) struct Canonical {
    pub(super) byte_order: String,
    #[cfg(feature = "locale-order")]
    pub(super) locale_order: String,
}

#[derive(Deserialize)]
pub(super) struct V2 {
    canonical_byte_order: String,
    pub(super) signature_byte_order: String,
    pub(super) signature_locale_order: String,
}

#[derive(Deserialize)]
pub(super) struct V1 {
    pub(super) path_with_query: String,
    signature: String,
}

#[derive(Deserialize)]
pub(super) struct V1RequestId {
    request_id: String,
    timestamp: String,
    signature: String,
}

pub(super) fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../tests/vectors/signatures.json")).unwrap()
}

impl Case {
    /// What stands after the `?` of the request line.
    pub(super) fn raw_query(&self) -> Option<&str> {
        let path = self.v1.path_with_query.strip_prefix(&self.path).unwrap();
        let raw = path.strip_prefix('?');
        assert_eq!(raw.is_none(), self.query.is_empty());
        raw
    }

    pub(super) fn body(&self) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD
            .decode(&self.body_base64)
            .unwrap()
    }

    fn check(&self, headers: Headers<'_>) -> Result<Scheme, Refusal> {
        let body = self.body();
        let request = Request::new(&self.method, &self.path, self.raw_query(), headers, &body);
        let at = parse::timestamp(&self.timestamp).unwrap();
        let verifier = verifier(Mode::Dual);
        let checked = verifier.check(&request, at, &mut Scratch::new());
        checked.map(|checked| checked.scheme)
    }

    pub(super) fn expected(&self, scheme: Scheme) -> Result<Scheme, Refusal> {
        if self.valid_utf8 {
            Ok(scheme)
        } else {
            Err(Refusal::QueryNotUtf8)
        }
    }
}

#[test]
fn they_are_all_here_and_of_our_secret() {
    let vectors = vectors();
    assert_eq!(vectors.secret, SECRET);
    assert_eq!(vectors.cases.len(), 160);
    assert_eq!(
        vectors.cases.iter().filter(|case| !case.valid_utf8).count(),
        27
    );
}

#[test]
fn v2_in_byte_order_passes_and_what_is_not_utf8_is_refused() {
    for case in vectors().cases {
        let headers = |signature| Headers {
            sig_v2: Some(signature),
            nonce: Some(&case.nonce),
            timestamp: Some(&case.timestamp),
            ..Headers::default()
        };
        let byte_order = case.check(headers(&case.v2.signature_byte_order));
        assert_eq!(
            byte_order,
            case.expected(Scheme::V2),
            "{}",
            case.v1.path_with_query
        );
        if case.valid_utf8 && case.v2.signature_locale_order != case.v2.signature_byte_order {
            let locale_order = case.check(headers(&case.v2.signature_locale_order));
            assert_eq!(
                locale_order,
                Err(Refusal::Invalid),
                "{}",
                case.v1.path_with_query
            );
        }
    }
}

#[test]
fn the_canonical_text_is_that_of_the_vectors() {
    for case in vectors().cases.into_iter().filter(|case| case.valid_utf8) {
        let mut query = String::new();
        canonical_query(case.raw_query().unwrap_or(""), &mut query).unwrap();
        assert_eq!(query, case.canonical_query.byte_order);
        let mut text = Vec::new();
        SignedText {
            method: &case.method,
            path: &case.path,
            canonical_query: query.as_bytes(),
            body_sha256: &sha256(&case.body()),
            nonce: &case.nonce,
            timestamp: &case.timestamp,
        }
        .append_to(&mut text);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            case.v2.canonical_byte_order
        );
    }
}

#[test]
fn v1_passes() {
    for case in vectors().cases {
        let headers = Headers {
            signature: Some(&case.v1.signature),
            ..Headers::default()
        };
        assert_eq!(
            case.check(headers),
            case.expected(Scheme::V1),
            "{}",
            case.v1.path_with_query
        );
    }
}

#[test]
fn v1_request_id_passes() {
    for case in vectors().cases {
        assert_eq!(case.timestamp, case.v1_request_id.timestamp);
        let headers = Headers {
            signature: Some(&case.v1_request_id.signature),
            timestamp: Some(&case.v1_request_id.timestamp),
            request_id: Some(&case.v1_request_id.request_id),
            ..Headers::default()
        };
        assert_eq!(case.check(headers), case.expected(Scheme::V1RequestId));
    }
}
