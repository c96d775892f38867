//! Bodies that were hashed while they were read (B1, B3).

use super::*;
use crate::signature::{Body, BodyHasher};

fn digest(pieces: &[&[u8]]) -> crate::signature::BodyDigest {
    let mut hasher = BodyHasher::new();
    pieces.iter().for_each(|piece| hasher.update(piece));
    hasher.finish()
}

#[test]
fn b03_a_body_hashed_in_any_pieces_verifies_like_the_whole() {
    let headers = signed(1, "POST", None);
    let v2 = Headers {
        signature: None,
        ..headers.as_headers()
    };
    let verifier = verifier(Mode::Dual);
    for cut in 0..=BODY.len() {
        let (front, back) = BODY.split_at(cut);
        let body = digest(&[front, b"", back]);
        let request = Request::hashed("POST", PATH, None, v2, body);
        let mut scratch = Scratch::new();
        let checked = verifier.check(&request, now(), &mut scratch).unwrap();
        assert_eq!(checked.body_sha256, Some(*body.as_bytes()));
        // Truncated, extended and in another order it is another body.
        for other in [
            digest(&[front]),
            digest(&[front, back, b"x"]),
            digest(&[back, front]),
        ] {
            let request = Request::hashed("POST", PATH, None, v2, other);
            let same = other == body;
            assert_eq!(check(&verifier, &request).is_ok(), same, "cut at {cut}");
        }
    }
}

#[test]
fn b05_a_hasher_that_saw_nothing_is_an_empty_body() {
    let headers = Signer::new(key("k1"))
        .sign("GET", PATH, None, b"", now(), &SeededEntropy::new(1))
        .unwrap();
    let body = BodyHasher::new().finish();
    let request = Request::hashed("GET", PATH, None, headers.as_headers(), body);
    assert_eq!(check(&verifier(Mode::EnforceV2), &request), Ok(Scheme::V2));
}

#[test]
fn neither_v1_form_fits_a_digest() {
    let both = signed(1, "POST", None);
    let id = request_id_signature(&both.timestamp, "req_1", BODY);
    let body = digest(&[BODY]);
    for signature in [both.signature.as_deref(), Some(id.as_str())] {
        let headers = Headers {
            signature,
            timestamp: Some(&both.timestamp),
            request_id: Some("req_1"),
            ..Headers::default()
        };
        let whole = post(headers);
        let hashed = Request {
            body: Body::Digest(body),
            ..whole
        };
        for mode in [Mode::V1Only, Mode::Shadow, Mode::Dual] {
            assert!(check(&verifier(mode), &whole).is_ok());
            assert_eq!(check(&verifier(mode), &hashed), Err(Refusal::Invalid));
        }
    }
    assert_eq!(
        format!("{:?}", post(Headers::default()).body),
        "Whole(16 bytes)"
    );
}
