//! Every mode against everything a caller may send (wire.md §1, R1–R3).

use super::*;
use crate::signature::{Modes, Outcome};

const MODES: [Mode; 4] = [Mode::V1Only, Mode::Shadow, Mode::Dual, Mode::EnforceV2];

/// What each mode, in the order above, says of these headers.
type Row = (&'static str, Headers<'static>, [Result<Scheme, Refusal>; 4]);

#[expect(clippy::too_many_lines, reason = "a table")]
fn rows() -> Vec<Row> {
    let dual: &'static SignedHeaders = Box::leak(Box::new(signed(1, "POST", None)));
    let rid: &'static str = request_id_signature(&dual.timestamp, "req_1", BODY).leak();
    let wrong: &'static str = "0".repeat(64).leak();
    let v1 = dual.signature.as_deref();
    let stamp = Some(dual.timestamp.as_str());
    let none = Headers::default();
    let full = dual.as_headers();
    let (ok1, ok2, okr) = (Ok(Scheme::V1), Ok(Scheme::V2), Ok(Scheme::V1RequestId));
    let missing = Err(Refusal::Missing);
    let invalid = Err(Refusal::Invalid);
    let retired = Err(Refusal::V1Retired);
    vec![
        ("nothing", none, [missing; 4]),
        (
            "v1",
            Headers {
                signature: v1,
                ..none
            },
            [ok1, ok1, ok1, retired],
        ),
        (
            "v1 that does not fit",
            Headers {
                signature: Some(wrong),
                ..none
            },
            [invalid; 4],
        ),
        (
            "v1-request-id",
            Headers {
                signature: Some(rid),
                timestamp: stamp,
                request_id: Some("req_1"),
                ..none
            },
            [okr, okr, okr, retired],
        ),
        (
            "v1 with a request id beside it",
            Headers {
                signature: v1,
                timestamp: stamp,
                request_id: Some("req_1"),
                ..none
            },
            [ok1, ok1, ok1, retired],
        ),
        (
            "v1-request-id without its timestamp",
            Headers {
                signature: Some(rid),
                request_id: Some("req_1"),
                ..none
            },
            [invalid; 4],
        ),
        (
            "v1-request-id with a timestamp that is none",
            Headers {
                signature: Some(rid),
                timestamp: Some("x"),
                request_id: Some("req_1"),
                ..none
            },
            [Err(Refusal::TimestampInvalid); 4],
        ),
        (
            "v2",
            Headers {
                signature: None,
                ..full
            },
            [missing, missing, ok2, ok2],
        ),
        ("both", full, [ok1, ok1, ok2, ok2]),
        (
            "v1 that fits, v2 that does not",
            Headers {
                sig_v2: Some(wrong),
                ..full
            },
            [ok1, ok1, invalid, invalid],
        ),
        (
            "v2 that fits, v1 that does not",
            Headers {
                signature: Some(wrong),
                ..full
            },
            [invalid, invalid, ok2, ok2],
        ),
        (
            "v1 and a nonce alone",
            Headers {
                sig_v2: None,
                timestamp: None,
                ..full
            },
            [ok1, ok1, missing, missing],
        ),
        (
            "v1 and a v2 signature without its nonce",
            Headers {
                nonce: None,
                ..full
            },
            [
                ok1,
                ok1,
                Err(Refusal::NonceInvalid),
                Err(Refusal::NonceInvalid),
            ],
        ),
        (
            "v1 and a v2 signature without its timestamp",
            Headers {
                timestamp: None,
                ..full
            },
            [
                ok1,
                ok1,
                Err(Refusal::TimestampInvalid),
                Err(Refusal::TimestampInvalid),
            ],
        ),
        (
            "v2 under its old name, with a nonce",
            Headers {
                signature: None,
                sig_v2: None,
                signature_v2: full.sig_v2,
                ..full
            },
            [missing, missing, ok2, ok2],
        ),
        (
            "the old name without a nonce is not looked at",
            Headers {
                sig_v2: None,
                signature_v2: Some(wrong),
                nonce: None,
                ..full
            },
            [ok1, ok1, ok1, retired],
        ),
        (
            "the old name alone is no signature",
            Headers {
                signature_v2: full.sig_v2,
                timestamp: stamp,
                ..none
            },
            [missing; 4],
        ),
        (
            "the old name beside the new one is not looked at",
            Headers {
                signature_v2: Some(wrong),
                ..full
            },
            [ok1, ok1, ok2, ok2],
        ),
        (
            "an empty signature is one that does not fit",
            Headers {
                signature: Some(""),
                ..none
            },
            [invalid; 4],
        ),
    ]
}

#[test]
fn every_mode_against_every_combination() {
    for (what, headers, expected) in rows() {
        for (mode, expected) in MODES.into_iter().zip(expected) {
            assert_eq!(
                check(&verifier(mode), &post(headers)),
                expected,
                "{what} in {mode}"
            );
        }
    }
}

#[test]
fn the_same_holds_key_by_key() {
    for (what, headers, expected) in rows() {
        for (mode, expected) in MODES.into_iter().zip(expected) {
            // Another key in the strictest and in the laxest mode changes nothing for k1.
            for other in [Mode::V1Only, Mode::EnforceV2] {
                let ring = KeyRing::new(vec![key("k2"), key("k1")]).unwrap();
                let modes = Modes::all(other).with(KeyId::parse("k1").unwrap(), mode);
                let verifier = Verifier::with_modes(ring, modes).unwrap();
                let named = post(Headers {
                    key_id: Some("k1"),
                    ..headers
                });
                assert_eq!(check(&verifier, &named), expected, "{what} in {mode}");
                let unnamed = check(&verifier, &post(headers));
                assert_eq!(unnamed.is_ok(), expected.is_ok(), "{what} in {mode}");
            }
        }
    }
}

#[test]
fn r02_shadow_reports_v2_and_spends_nothing_of_it() {
    let verifier = verifier(Mode::Shadow);
    let mut scratch = Scratch::new();
    let headers = signed(1, "POST", None);
    let wrong = "0".repeat(64);
    let cases = [
        (headers.as_headers(), Outcome::Accepted, false),
        (
            Headers {
                sig_v2: Some(&wrong),
                ..headers.as_headers()
            },
            Outcome::Refused(Refusal::Invalid),
            true,
        ),
        (
            Headers {
                nonce: Some("short"),
                ..headers.as_headers()
            },
            Outcome::Refused(Refusal::NonceInvalid),
            true,
        ),
        (
            Headers {
                sig_v2: None,
                nonce: None,
                ..headers.as_headers()
            },
            Outcome::Absent,
            false,
        ),
    ];
    for (headers, v2, mismatch) in cases {
        let (report, checked) = verifier.examine(&post(headers), now(), &mut scratch);
        let checked = checked.unwrap();
        assert_eq!(
            (checked.scheme, checked.claim, checked.look_up),
            (Scheme::V1, None, None)
        );
        assert_eq!((report.v1, report.v2), (Outcome::Accepted, v2));
        assert_eq!(report.mismatch(), mismatch);
        assert_eq!(report.key_id.unwrap().as_str(), "k1");
    }
}

#[test]
fn only_dual_sets_marks_and_only_for_calls_that_change_something() {
    for mode in MODES {
        for method in [
            "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "delete",
        ] {
            let headers = signed(1, method, None);
            let request = Request::new(method, PATH, None, headers.as_headers(), BODY);
            let verifier = verifier(mode);
            let mut scratch = Scratch::new();
            let checked = verifier.check(&request, now(), &mut scratch).unwrap();
            let marked = checked.claim.is_some_and(|claim| claim.mark.is_some());
            let mutates = !["GET", "HEAD", "OPTIONS"].contains(&method);
            assert_eq!(marked, mode == Mode::Dual && mutates, "{method} in {mode}");
            assert_eq!(checked.claim.is_some(), mode >= Mode::Dual);
            // A v1 call asks for the mark exactly where one could be.
            let v1 = Headers {
                signature: headers.signature.as_deref(),
                ..Headers::default()
            };
            let request = Request::new(method, PATH, None, v1, BODY);
            if let Ok(checked) = verifier.check(&request, now(), &mut scratch) {
                assert_eq!(checked.look_up.is_some(), marked, "{method} in {mode}");
            }
        }
    }
}
