//! What a caller's author is told.

use super::*;

#[test]
fn the_text_and_the_rule_are_told() {
    let headers = signed(1, "POST", Some("b=1&a=2"));
    let verifier = verifier(Mode::Dual);
    let request = Request::new("post", PATH, Some("b=1&a=2"), headers.as_headers(), BODY);
    let told = verifier.explain(&request, now());
    let hash = const_hex::encode(crate::signature::body::sha256(BODY));
    let text = format!(
        "POST\n{PATH}\na=2&b=1\n{hash}\n{}\n{}",
        headers.nonce, headers.timestamp
    );
    assert_eq!(told.canonical.as_deref(), Some(text.as_str()));
    assert_eq!(told.refusal, None);
    assert!(told.to_string().contains("replay store is left"));
    assert_eq!(told.canonical_in_locale_order, None);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_refusal_has_a_rule_of_its_own() {
    let signed = signed(1, "POST", None);
    let full = signed.as_headers();
    let wrong = "0".repeat(64);
    let none = Headers::default();
    let v1 = Headers {
        signature: full.signature,
        ..none
    };
    let cases = [
        (none, Mode::Dual, Refusal::Missing, "no header"),
        (
            Headers {
                sig_v2: None,
                ..full
            },
            Mode::Dual,
            Refusal::Missing,
            "x-sheen-sig-v2",
        ),
        (
            Headers {
                timestamp: None,
                ..full
            },
            Mode::Dual,
            Refusal::TimestampInvalid,
            "digits",
        ),
        (
            Headers {
                nonce: Some("short"),
                ..full
            },
            Mode::Dual,
            Refusal::NonceInvalid,
            "16 to 128",
        ),
        (
            Headers {
                key_id: Some("k9"),
                ..full
            },
            Mode::Dual,
            Refusal::KeyUnknown,
            "x-sheen-key-id",
        ),
        (
            Headers {
                sig_v2: Some("00"),
                ..full
            },
            Mode::Dual,
            Refusal::Invalid,
            "64 lower-case",
        ),
        (
            Headers {
                sig_v2: Some(&wrong),
                ..full
            },
            Mode::Dual,
            Refusal::Invalid,
            "not that of this",
        ),
        (v1, Mode::EnforceV2, Refusal::V1Retired, "latch"),
    ];
    let mut rules = std::collections::BTreeSet::new();
    for (headers, mode, refusal, said) in cases {
        let told = verifier(mode).explain(&post(headers), now());
        assert_eq!(told.refusal, Some(refusal));
        assert!(told.rule.contains(said), "{refusal:?}: {}", told.rule);
        assert!(rules.insert(told.rule), "told twice: {}", told.rule);
    }
    let late = now().plus(std::time::Duration::from_secs(121));
    let told = verifier(Mode::Dual).explain(&post(full), late);
    assert!(told.rule.contains("120 s"), "{}", told.rule);
    for (request, said) in [
        (Request::new("PO ST", PATH, None, full, BODY), "method"),
        (Request::new("POST", "v1", None, full, BODY), "target"),
        (Request::new("POST", PATH, Some("%FF"), full, BODY), "utf-8"),
    ] {
        let told = verifier(Mode::Dual).explain(&request, now());
        assert!(told.rule.contains(said), "{}", told.rule);
    }
}

#[test]
fn k06_it_tells_no_secret_no_signature_and_no_token() {
    let query = "access_token=t0ken&a=1";
    let signed = signed(1, "POST", Some(query));
    let verifier = verifier(Mode::Dual);
    let expected = const_hex::encode(key("k1").sign(&[b"anything"]));
    for sig_v2 in [signed.sig_v2.as_str(), &"0".repeat(64)] {
        let headers = Headers {
            sig_v2: Some(sig_v2),
            ..signed.as_headers()
        };
        let request = Request::new("POST", PATH, Some(query), headers, BODY);
        let told = verifier.explain(&request, now());
        let shown = format!("{told:?} {told}");
        assert!(shown.contains("a=1"));
        let v1 = signed.signature.as_deref().unwrap();
        for hidden in [
            SECRET,
            &signed.sig_v2,
            v1,
            "t0ken",
            sig_v2,
            &expected,
            "u_1",
        ] {
            assert!(!shown.contains(hidden), "{hidden} in {shown}");
        }
    }
}
