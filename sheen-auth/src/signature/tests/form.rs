//! The form of a signature's headers, judged before there is a body.

use proptest::prelude::*;

use super::*;

const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const NONCE: &str = "0123456789abcdef";
const STAMP: &str = "1800000000000";

#[test]
fn headers_are_well_formed_when_one_scheme_has_all_its_parts() {
    let of = |pairs: &[(&'static str, &'static str)]| Headers::from_pairs(pairs.iter().copied());
    let v2 = [
        ("x-sheen-sig-v2", HEX),
        ("x-sheen-nonce", NONCE),
        ("x-sheen-timestamp", STAMP),
    ];
    assert!(of(&[("x-sheen-signature", HEX)]).are_well_formed());
    assert!(of(&v2).are_well_formed());
    let old_name = [("x-sheen-signature-v2", HEX), v2[1], v2[2]];
    assert!(of(&old_name).are_well_formed());

    assert!(!Headers::default().are_well_formed());
    let upper = "AA112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    for bad in ["", "x", &HEX[1..], upper] {
        assert!(!of(&[("x-sheen-signature", bad)]).are_well_formed());
        assert!(!of(&[("x-sheen-sig-v2", bad), v2[1], v2[2]]).are_well_formed());
    }
    for missing in 0..3 {
        let mut parts = v2.to_vec();
        parts.remove(missing);
        assert!(!of(&parts).are_well_formed(), "{missing}");
    }
    assert!(!of(&[v2[0], ("x-sheen-nonce", "short"), v2[2]]).are_well_formed());
    assert!(!of(&[v2[0], v2[1], ("x-sheen-timestamp", "+18")]).are_well_formed());
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(texts))
}

proptest! {
    /// What a door does that leaves the body of an ill-formed call unread.
    #[test]
    fn ill_formed_headers_are_refused_alike_whatever_the_body(
        signature in one_of(&["", "x", HEX]),
        sig_v2 in one_of(&["", "x", HEX]),
        signature_v2 in one_of(&["x", HEX]),
        timestamp in one_of(&["", "soon", STAMP]),
        nonce in one_of(&["short", NONCE]),
        request_id in one_of(&["a:b", "r1"]),
        key_id in one_of(&["k1", "k9"]),
        mode in prop::sample::select(&[Mode::V1Only, Mode::Shadow, Mode::Dual, Mode::EnforceV2][..]),
    ) {
        let headers =
            Headers { signature, sig_v2, signature_v2, timestamp, nonce, request_id, key_id };
        let verifier = verifier(mode);
        let refusal = |body: &'static [u8]| {
            check(&verifier, &Request::new("POST", PATH, None, headers, body)).unwrap_err()
        };
        if !headers.are_well_formed() {
            prop_assert_eq!(refusal(b""), refusal(BODY));
        }
    }
}
