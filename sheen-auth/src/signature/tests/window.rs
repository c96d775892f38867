//! Timestamps: what is one, and when it is fresh (T1, T2, T4, T5).

use std::time::Duration;

use super::*;
use crate::signature::parse;

#[test]
fn t01_up_to_eleven_digits_are_seconds_and_more_are_milliseconds() {
    let cases = [
        ("0", Some(0)),
        ("1800000000", Some(1_800_000_000_000)),
        ("01800000000", Some(1_800_000_000_000)),
        ("001800000000", Some(1_800_000_000)),
        ("1800000000000", Some(1_800_000_000_000)),
        ("0001800000000000", Some(1_800_000_000_000)),
        ("", None),
        ("+1800000000", None),
        ("-1", None),
        (" 1800000000", None),
        ("1800000000 ", None),
        ("1e9", None),
        ("1800000000.0", None),
        ("0x10", None),
        ("\u{661}\u{662}", None),
        ("18446744073709551616", None),
        ("99999999999999999999999999", None),
    ];
    for (text, expected) in cases {
        let at = parse::timestamp(text).map(Timestamp::as_millis);
        assert_eq!(at, expected, "{text:?}");
    }
    // Beyond the years that can be said: clamped, and outside every window.
    let clamped = parse::timestamp("9223372036854775807");
    assert_eq!(clamped, Some(Timestamp::from_millis(i64::MAX)));
}

/// v2 headers of `k1` with this timestamp, and what the verifier says at `at`.
fn v2_at(timestamp: &str, at: Timestamp) -> Result<Scheme, Refusal> {
    let nonce = "0123456789abcdef";
    let body_hex = const_hex::encode(crate::signature::body::sha256(BODY));
    let text = format!("POST\n{PATH}\n\n{body_hex}\n{nonce}\n{timestamp}");
    let signature = const_hex::encode(key("k1").sign(&[text.as_bytes()]));
    let headers = Headers {
        sig_v2: Some(&signature),
        nonce: Some(nonce),
        timestamp: Some(timestamp),
        ..Headers::default()
    };
    let verifier = verifier(Mode::Dual);
    let checked = verifier.check(&post(headers), at, &mut Scratch::new());
    checked.map(|checked| checked.scheme)
}

fn v1_request_id_at(timestamp: &str, at: Timestamp) -> Result<Scheme, Refusal> {
    let signature = request_id_signature(timestamp, "req_1", BODY);
    let headers = Headers {
        signature: Some(&signature),
        timestamp: Some(timestamp),
        request_id: Some("req_1"),
        ..Headers::default()
    };
    let verifier = verifier(Mode::Dual);
    let checked = verifier.check(&post(headers), at, &mut Scratch::new());
    checked.map(|checked| checked.scheme)
}

#[test]
fn t02_the_window_includes_its_bounds_on_both_sides() {
    type Judge = fn(&str, Timestamp) -> Result<Scheme, Refusal>;
    let schemes: [(Judge, u64, Scheme); 2] = [
        (v2_at, 120_000, Scheme::V2),
        (v1_request_id_at, 300_000, Scheme::V1RequestId),
    ];
    for (judge, window, scheme) in schemes {
        // A stamp in seconds stands for its first millisecond.
        for stamp in ["1800000000", "1800000000000"] {
            for (off, expected) in [
                (0, Ok(scheme)),
                (window - 1, Ok(scheme)),
                (window, Ok(scheme)),
                (window + 1, Err(Refusal::TimestampOutsideWindow)),
            ] {
                let off = Duration::from_millis(off);
                assert_eq!(
                    judge(stamp, now().plus(off)),
                    expected,
                    "{stamp} {off:?} late"
                );
                assert_eq!(
                    judge(stamp, now().minus(off)),
                    expected,
                    "{stamp} {off:?} early"
                );
            }
        }
    }
}

#[test]
fn t04_clocks_at_the_ends_of_time_do_not_panic() {
    let ends = [i64::MIN, -1, 0, i64::MAX].map(Timestamp::from_millis);
    for at in ends {
        for stamp in ["0", "1800000000", "99999999999", "9223372036854775807"] {
            let outside = Err(Refusal::TimestampOutsideWindow);
            let near = parse::timestamp(stamp).unwrap();
            let fresh = near.since(at).max(at.since(near)) <= Duration::from_secs(120);
            assert_eq!(
                v2_at(stamp, at),
                if fresh { Ok(Scheme::V2) } else { outside }
            );
        }
    }
}

#[test]
fn t05_who_cannot_sign_learns_nothing_about_clocks() {
    let old = now().plus(Duration::from_secs(86_400));
    let mut headers = signed(1, "POST", None);
    headers.sig_v2 = "0".repeat(64);
    let verifier = verifier(Mode::EnforceV2);
    let checked = verifier.check(&post(headers.as_headers()), old, &mut Scratch::new());
    assert_eq!(checked.unwrap_err(), Refusal::Invalid);
}

#[test]
fn the_report_tells_the_skew_of_an_authentic_clock_alone() {
    let headers = signed(1, "POST", None);
    let verifier = verifier(Mode::Dual);
    let late = now().plus(Duration::from_millis(1500));
    let mut scratch = Scratch::new();
    let (report, checked) = verifier.examine(&post(headers.as_headers()), late, &mut scratch);
    assert!(checked.is_ok());
    assert_eq!(report.clock_skew_millis, Some(1500));
    let forged = Headers {
        sig_v2: Some("00"),
        ..headers.as_headers()
    };
    let (report, _) = verifier.examine(&post(forged), late, &mut scratch);
    assert_eq!(report.clock_skew_millis, None);
}

#[test]
fn n06_a_nonce_is_16_to_128_of_its_alphabet() {
    let long = "n".repeat(128);
    let longer = "n".repeat(129);
    for (nonce, expected) in [
        ("0123456789abcdef", true),
        ("ABCDEFGHIJ-_wxyz", true),
        (long.as_str(), true),
        ("0123456789abcde", false),
        (longer.as_str(), false),
        ("", false),
        ("0123456789abcde.", false),
        ("0123456789abcde\n", false),
        ("0123456789abcde\u{e9}", false),
    ] {
        assert_eq!(parse::is_nonce(nonce), expected, "{nonce:?}");
        if !expected {
            let headers = signed(1, "POST", None);
            let headers = Headers {
                nonce: Some(nonce),
                ..headers.as_headers()
            };
            assert_eq!(
                check(&verifier(Mode::Dual), &post(headers)),
                Err(Refusal::NonceInvalid)
            );
        }
    }
}
