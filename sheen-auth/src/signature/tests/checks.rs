//! Every check alone decides: a request that fits, with exactly one thing broken, is refused for
//! just that. So taking any of them out fails a line here.

use std::time::Duration;

use super::*;
use crate::signature::{Modes, Outcome};

const QUERY: &str = "b=2&a=1";

/// A request that fits, in parts that can be broken.
#[derive(Clone)]
struct Parts {
    method: &'static str,
    path: String,
    query: Option<String>,
    body: Vec<u8>,
    signature: Option<String>,
    sig_v2: Option<String>,
    timestamp: Option<String>,
    nonce: Option<String>,
    request_id: Option<String>,
    key_id: Option<String>,
}

impl Parts {
    fn bare() -> Self {
        Self {
            method: "POST",
            path: PATH.to_owned(),
            query: Some(QUERY.to_owned()),
            body: BODY.to_vec(),
            signature: None,
            sig_v2: None,
            timestamp: None,
            nonce: None,
            request_id: None,
            key_id: None,
        }
    }

    fn v2() -> Self {
        let signed = signed(1, "POST", Some(QUERY));
        Self {
            sig_v2: Some(signed.sig_v2),
            timestamp: Some(signed.timestamp),
            nonce: Some(signed.nonce),
            ..Self::bare()
        }
    }

    fn v1() -> Self {
        Self {
            signature: signed(1, "POST", Some(QUERY)).signature,
            ..Self::bare()
        }
    }

    fn v1_request_id() -> Self {
        let stamp = now().as_millis().to_string();
        Self {
            signature: Some(request_id_signature(&stamp, "req_1", BODY)),
            timestamp: Some(stamp),
            request_id: Some("req_1".to_owned()),
            ..Self::bare()
        }
    }

    fn with(mut self, breaks: impl FnOnce(&mut Self)) -> Self {
        breaks(&mut self);
        self
    }

    fn check(&self, verifier: &Verifier, at: Timestamp) -> Result<Scheme, Refusal> {
        let headers = Headers {
            signature: self.signature.as_deref(),
            sig_v2: self.sig_v2.as_deref(),
            timestamp: self.timestamp.as_deref(),
            nonce: self.nonce.as_deref(),
            request_id: self.request_id.as_deref(),
            key_id: self.key_id.as_deref(),
            ..Headers::default()
        };
        let query = self.query.as_deref();
        let request = Request::new(self.method, &self.path, query, headers, &self.body);
        let mut scratch = Scratch::new();
        let checked = verifier.check(&request, at, &mut scratch)?;
        Ok(checked.scheme)
    }
}

type Break = (&'static str, fn(&mut Parts), Refusal);

fn flip(text: &mut Option<String>) {
    let text = text.as_mut().unwrap();
    let last = if text.ends_with('0') { "1" } else { "0" };
    text.replace_range(text.len() - 1.., last);
}

/// Breaks of each part that v2 covers.
const OF_V2: &[Break] = &[
    ("method", |p| p.method = "PUT", Refusal::Invalid),
    ("path", |p| p.path.push('/'), Refusal::Invalid),
    (
        "case of the path",
        |p| p.path = "/v1/Estimate".to_owned(),
        Refusal::Invalid,
    ),
    ("no query", |p| p.query = None, Refusal::Invalid),
    (
        "a value",
        |p| p.query = Some("b=2&a=2".to_owned()),
        Refusal::Invalid,
    ),
    (
        "a key",
        |p| p.query = Some("b=2&c=1".to_owned()),
        Refusal::Invalid,
    ),
    (
        "a pair more",
        |p| p.query = Some("b=2&a=1&a=1".to_owned()),
        Refusal::Invalid,
    ),
    ("a byte of the body", |p| p.body[0] ^= 1, Refusal::Invalid),
    ("a byte more", |p| p.body.push(b' '), Refusal::Invalid),
    (
        "a byte less",
        |p| p.body.truncate(BODY.len() - 1),
        Refusal::Invalid,
    ),
    ("another nonce", |p| flip(&mut p.nonce), Refusal::Invalid),
    (
        "another instant",
        |p| flip(&mut p.timestamp),
        Refusal::Invalid,
    ),
    (
        "seconds for milliseconds",
        |p| p.timestamp.as_mut().unwrap().truncate(10),
        Refusal::Invalid,
    ),
    ("the signature", |p| flip(&mut p.sig_v2), Refusal::Invalid),
    (
        "another key's id",
        |p| p.key_id = Some("k2".to_owned()),
        Refusal::Invalid,
    ),
    (
        "no key's id",
        |p| p.key_id = Some("k9".to_owned()),
        Refusal::KeyUnknown,
    ),
    (
        "an id that is none",
        |p| p.key_id = Some("k 1".to_owned()),
        Refusal::KeyUnknown,
    ),
    ("no nonce", |p| p.nonce = None, Refusal::NonceInvalid),
    (
        "a short nonce",
        |p| p.nonce.as_mut().unwrap().truncate(15),
        Refusal::NonceInvalid,
    ),
    (
        "a nonce of other characters",
        |p| p.nonce.as_mut().unwrap().push('='),
        Refusal::NonceInvalid,
    ),
    (
        "no timestamp",
        |p| p.timestamp = None,
        Refusal::TimestampInvalid,
    ),
    (
        "a timestamp that is none",
        |p| p.timestamp.as_mut().unwrap().insert(0, '+'),
        Refusal::TimestampInvalid,
    ),
    (
        "a query that is not UTF-8",
        |p| p.query = Some("b=2&a=%FF".to_owned()),
        Refusal::QueryNotUtf8,
    ),
    (
        "a path with a line break",
        |p| p.path.push('\n'),
        Refusal::Invalid,
    ),
];

/// Breaks of each part that v1 covers.
const OF_V1: &[Break] = &[
    ("path", |p| p.path.push('/'), Refusal::Invalid),
    ("no query", |p| p.query = None, Refusal::Invalid),
    (
        "the order of the query",
        |p| p.query = Some("a=1&b=2".to_owned()),
        Refusal::Invalid,
    ),
    ("a byte of the body", |p| p.body[0] ^= 1, Refusal::Invalid),
    (
        "the signature",
        |p| flip(&mut p.signature),
        Refusal::Invalid,
    ),
    (
        "another key's id",
        |p| p.key_id = Some("k2".to_owned()),
        Refusal::Invalid,
    ),
    (
        "no key's id",
        |p| p.key_id = Some("k9".to_owned()),
        Refusal::KeyUnknown,
    ),
    (
        "a query that is not UTF-8",
        |p| p.query = Some("%ff".to_owned()),
        Refusal::QueryNotUtf8,
    ),
];

/// Breaks of each part that v1-request-id covers.
const OF_V1_REQUEST_ID: &[Break] = &[
    ("a byte of the body", |p| p.body[0] ^= 1, Refusal::Invalid),
    (
        "another id",
        |p| p.request_id = Some("req_2".to_owned()),
        Refusal::Invalid,
    ),
    (
        "another instant",
        |p| flip(&mut p.timestamp),
        Refusal::Invalid,
    ),
    ("no id", |p| p.request_id = None, Refusal::Invalid),
    ("no timestamp", |p| p.timestamp = None, Refusal::Invalid),
    (
        "the signature",
        |p| flip(&mut p.signature),
        Refusal::Invalid,
    ),
    (
        "another key's id",
        |p| p.key_id = Some("k2".to_owned()),
        Refusal::Invalid,
    ),
];

fn two_keys(mode: Mode) -> Verifier {
    Verifier::new(KeyRing::new(vec![key("k1"), key("k2")]).unwrap(), mode)
}

/// B1, C1, C7, K1, K3, T1: a negative line for each thing, in every mode that takes the scheme.
#[test]
fn every_part_that_a_scheme_covers_is_checked_in_each_mode_that_takes_it() {
    let (ask, early) = (
        [Mode::V1Only, Mode::Shadow, Mode::Dual],
        [Mode::Dual, Mode::EnforceV2],
    );
    let schemes: [(Parts, Scheme, &[Break], &[Mode]); 3] = [
        (Parts::v2(), Scheme::V2, OF_V2, &early),
        (Parts::v1(), Scheme::V1, OF_V1, &ask),
        (
            Parts::v1_request_id(),
            Scheme::V1RequestId,
            OF_V1_REQUEST_ID,
            &ask,
        ),
    ];
    for (whole, scheme, breaks, modes) in schemes {
        for mode in modes {
            let verifier = two_keys(*mode);
            assert_eq!(
                whole.check(&verifier, now()),
                Ok(scheme),
                "whole, in {mode}"
            );
            for (what, break_it, refusal) in breaks {
                let broken = whole.clone().with(break_it);
                let verdict = broken.check(&verifier, now());
                assert_eq!(verdict, Err(*refusal), "{scheme:?} in {mode}: {what}");
            }
        }
    }
}

/// T2 and C8: what is not under the signature of v1-request-id counts for nothing, so it may differ.
#[test]
fn v1_request_id_covers_neither_path_nor_query() {
    let moved = Parts::v1_request_id().with(|p| {
        p.path = "/v1/other".to_owned();
        p.query = None;
        p.method = "DELETE";
    });
    assert_eq!(
        moved.check(&two_keys(Mode::Dual), now()),
        Ok(Scheme::V1RequestId)
    );
}

#[test]
fn the_window_is_checked_on_both_sides_of_each_scheme_that_has_one() {
    for (whole, seconds) in [(Parts::v2(), 120), (Parts::v1_request_id(), 300)] {
        let verifier = two_keys(Mode::Dual);
        let (window, instant) = (Duration::from_secs(seconds), Duration::from_millis(1));
        for (at, fits) in [
            (now().plus(window), true),
            (now().minus(window), true),
            (now().plus(window).plus(instant), false),
            (now().minus(window).minus(instant), false),
        ] {
            let verdict = whole.check(&verifier, at);
            let expected = Err(Refusal::TimestampOutsideWindow);
            assert_eq!(verdict.is_ok(), fits, "{at}");
            assert!(fits || verdict == expected, "{verdict:?}");
        }
    }
}

#[test]
fn a_keys_life_its_mode_and_its_latch_are_checked() {
    let second = Duration::from_secs(1);
    let ring = |key: SigningKey| KeyRing::new(vec![key]).unwrap();
    let later = Verifier::new(
        ring(key("k1").valid_between(Some(now().plus(second)), None)),
        Mode::Dual,
    );
    let retired = Verifier::new(ring(key("k1").valid_between(None, Some(now()))), Mode::Dual);
    for verifier in [&later, &retired] {
        for whole in [Parts::v2(), Parts::v1(), Parts::v1_request_id()] {
            let verdict = whole.check(verifier, now());
            assert!(verdict.is_err(), "{verdict:?}");
        }
    }
    assert_eq!(
        Parts::v2().check(&later, now().plus(second)),
        Ok(Scheme::V2)
    );
    assert_eq!(
        Parts::v2().check(&retired, now().minus(second)),
        Ok(Scheme::V2)
    );

    let latched = Modes::all(Mode::Dual).latch(KeyId::parse("k1").unwrap());
    let latched = Verifier::with_modes(ring(key("k1")), latched).unwrap();
    for (whole, in_dual) in [
        (Parts::v1(), Scheme::V1),
        (Parts::v1_request_id(), Scheme::V1RequestId),
    ] {
        assert_eq!(whole.check(&two_keys(Mode::Dual), now()), Ok(in_dual));
        for verifier in [&latched, &two_keys(Mode::EnforceV2)] {
            assert_eq!(whole.check(verifier, now()), Err(Refusal::V1Retired));
        }
    }
    for mode in [Mode::V1Only, Mode::Shadow] {
        assert_eq!(
            Parts::v2().check(&two_keys(mode), now()),
            Err(Refusal::Missing)
        );
    }
}

/// What can be told without a key is told whatever key is named: the order of refusals (wire.md §1).
#[test]
fn what_is_wrong_with_the_form_comes_before_whose_key_it_is() {
    let unknown = |p: &mut Parts| p.key_id = Some("k9".to_owned());
    let verifier = two_keys(Mode::EnforceV2);
    for (breaks, refusal) in [
        ((|p| p.sig_v2 = None) as fn(&mut Parts), Refusal::Missing),
        (|p| p.timestamp = None, Refusal::TimestampInvalid),
        (
            |p| p.nonce = Some("short".to_owned()),
            Refusal::NonceInvalid,
        ),
        (|p| p.sig_v2 = Some("none".to_owned()), Refusal::KeyUnknown),
        (|_| {}, Refusal::KeyUnknown),
    ] {
        let broken = Parts::v2().with(unknown).with(breaks);
        assert_eq!(broken.check(&verifier, now()), Err(refusal));
    }
    // Without any signature nothing else is looked at but the query.
    let bare = Parts::bare().with(|p| p.path = "no path".to_owned());
    assert_eq!(bare.check(&verifier, now()), Err(Refusal::Missing));
}

/// In v1-only nothing of v2 is looked at, not even to report it.
#[test]
fn v1_only_reports_nothing_of_v2() {
    let both = signed(1, "POST", None);
    let request = post(both.as_headers());
    for (mode, v2) in [
        (Mode::V1Only, Outcome::Absent),
        (Mode::Shadow, Outcome::Accepted),
    ] {
        let verifier = two_keys(mode);
        let (report, checked) = verifier.examine(&request, now(), &mut Scratch::new());
        assert_eq!((report.v1, report.v2), (Outcome::Accepted, v2), "{mode}");
        assert!(checked.is_ok());
    }
}

/// What is left to the store is asked for: leaving out the claim, the mark or the look would let a
/// replay in.
#[test]
fn what_must_be_spent_or_looked_up_is_handed_on() {
    let whole = Parts::v2().with(|p| p.signature = Parts::v1().signature);
    let cases = [
        (whole.clone(), Mode::Dual, (true, true, false)),
        (whole.clone(), Mode::EnforceV2, (true, false, false)),
        (
            whole.with(|p| p.method = "post"),
            Mode::Dual,
            (true, true, false),
        ),
        // Without a v1 signature there is nothing to mark, nor with one that cannot be one.
        (Parts::v2(), Mode::Dual, (true, false, false)),
        (
            Parts::v2().with(|p| p.signature = Some("none".to_owned())),
            Mode::Dual,
            (true, false, false),
        ),
        (Parts::v1(), Mode::Dual, (false, false, true)),
        (Parts::v1(), Mode::V1Only, (false, false, false)),
        (Parts::v1_request_id(), Mode::Dual, (true, false, true)),
        (Parts::v1_request_id(), Mode::Shadow, (true, false, false)),
    ];
    for (parts, mode, expected) in cases {
        let verifier = two_keys(mode);
        let headers = Headers {
            signature: parts.signature.as_deref(),
            sig_v2: parts.sig_v2.as_deref(),
            timestamp: parts.timestamp.as_deref(),
            nonce: parts.nonce.as_deref(),
            request_id: parts.request_id.as_deref(),
            ..Headers::default()
        };
        let query = parts.query.as_deref();
        let request = Request::new(parts.method, &parts.path, query, headers, &parts.body);
        let mut scratch = Scratch::new();
        let checked = verifier.check(&request, now(), &mut scratch).unwrap();
        let claim = checked.claim.as_ref();
        let marks = claim.is_some_and(|claim| claim.mark.is_some());
        let seen = (claim.is_some(), marks, checked.look_up.is_some());
        assert_eq!(seen, expected, "{:?} in {mode}", checked.scheme);
        if let Some(claim) = claim {
            assert_eq!(claim.signed_at, now(), "spent from the signed instant on");
            assert_eq!(claim.principal.as_str(), "web");
        }
    }
}
