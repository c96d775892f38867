//! Queries in the order of callers in the field (wire.md §1, C3).

use super::vectors::{Case, vectors};
use super::*;
use crate::signature::parse;
use crate::signature::query::QueryScratch;

fn judge(verifier: &Verifier, case: &Case, signature: &str) -> Result<Scheme, Refusal> {
    let headers = Headers {
        sig_v2: Some(signature),
        nonce: Some(&case.nonce),
        timestamp: Some(&case.timestamp),
        ..Headers::default()
    };
    let body = case.body();
    let request = Request::new(&case.method, &case.path, case.raw_query(), headers, &body);
    let at = parse::timestamp(&case.timestamp).unwrap();
    let checked = verifier.check(&request, at, &mut Scratch::new());
    checked.map(|checked| checked.scheme)
}

#[test]
fn all_160_vectors_pass_in_both_orders_where_that_is_asked_for() {
    let both = verifier(Mode::Dual).accept_locale_order(true);
    let (mut differ, mut seen) = (0, 0);
    for case in vectors().cases {
        let expected = case.expected(Scheme::V2);
        for signature in [
            &case.v2.signature_byte_order,
            &case.v2.signature_locale_order,
        ] {
            let judged = judge(&both, &case, signature);
            assert_eq!(judged, expected, "{}", case.v1.path_with_query);
        }
        differ += usize::from(case.v2.signature_byte_order != case.v2.signature_locale_order);
        seen += 1;
    }
    assert_eq!(seen, 160);
    assert!(differ > 30, "only {differ} cases show the difference");
}

#[test]
fn the_feature_alone_changes_nothing() {
    for verifier in [
        verifier(Mode::Dual),
        verifier(Mode::Dual).accept_locale_order(false),
    ] {
        let differ = |case: &Case| case.v2.signature_byte_order != case.v2.signature_locale_order;
        for case in vectors().cases.iter().filter(|case| case.valid_utf8) {
            let judged = judge(&verifier, case, &case.v2.signature_locale_order);
            assert_eq!(judged.is_ok(), !differ(case), "{}", case.v1.path_with_query);
        }
    }
}

#[test]
fn the_order_is_that_of_the_vectors() {
    let order = crate::signature::order::LocaleOrder::new().unwrap();
    for case in vectors().cases.iter().filter(|case| case.valid_utf8) {
        let mut out = Vec::new();
        let query = case.raw_query().unwrap_or("");
        assert!(QueryScratch::default().append_in_locale_order(query, &order, &mut out));
        assert_eq!(out, case.canonical_query.locale_order.as_bytes());
    }
}

#[test]
fn c03_what_is_neither_order_is_refused_in_each_mode_that_reads_v2() {
    // Byte order has B, a, b; locale order a, b, B. Any other order fits nowhere.
    let query = "b=1&a=2&B=3";
    let canonical = ["B=3&a=2&b=1", "a=2&b=1&B=3", "b=1&a=2&B=3", "a=2&B=3&b=1"];
    let both = verifier(Mode::EnforceV2).accept_locale_order(true);
    for (number, canonical) in canonical.into_iter().enumerate() {
        let headers = super::canonical::by_hand("POST", PATH, canonical, BODY);
        let request = Request::new("POST", PATH, Some(query), headers.as_headers(), BODY);
        let expected = if number < 2 {
            Ok(Scheme::V2)
        } else {
            Err(Refusal::Invalid)
        };
        assert_eq!(check(&both, &request), expected, "{canonical}");
        // A pair more, less or changed is another request in either order.
        for changed in ["b=1&a=2", "b=1&a=2&B=4", "b=1&a=2&B=3&c=", "b=1&a=2&b=3"] {
            let request = Request::new("POST", PATH, Some(changed), headers.as_headers(), BODY);
            assert_eq!(check(&both, &request), Err(Refusal::Invalid), "{changed}");
        }
    }
}

#[test]
fn long_queries_are_tried_in_byte_order_alone() {
    let both = verifier(Mode::EnforceV2).accept_locale_order(true);
    let pairs = |count: usize| -> (String, String) {
        let rest: String = (0..count - 2).map(|n| format!("&c{n:04}=")).collect();
        (format!("B=&a={rest}"), format!("a=&B={rest}"))
    };
    let padded = |len: usize| {
        let fill = "x".repeat(len - "B=&a=&c=".len());
        (format!("B=&a=&c={fill}"), format!("a=&B=&c={fill}"))
    };
    for ((byte_order, locale_order), taken) in [
        (pairs(128), true),
        (pairs(129), false),
        (padded(8192), true),
        (padded(8193), false),
    ] {
        for (canonical, passes) in [(&byte_order, true), (&locale_order, taken)] {
            let headers = super::canonical::by_hand("GET", PATH, canonical, BODY);
            let request = Request::new("GET", PATH, Some(&byte_order), headers.as_headers(), BODY);
            assert_eq!(
                check(&both, &request).is_ok(),
                passes,
                "{}",
                byte_order.len()
            );
        }
    }
}

#[test]
fn shadow_sees_that_v2_fits_in_the_other_order() {
    let headers = super::canonical::by_hand("POST", PATH, "a=&B=", BODY);
    let v1 = Signer::new(key("k1")).with_v1();
    let v1 = v1.sign(
        "POST",
        PATH,
        Some("B=&a="),
        BODY,
        now(),
        &SeededEntropy::new(3),
    );
    let v1 = v1.unwrap();
    let headers = Headers {
        signature: v1.signature.as_deref(),
        ..headers.as_headers()
    };
    let request = Request::new("POST", PATH, Some("B=&a="), headers, BODY);
    for (accepts, outcome) in [
        (true, super::super::Outcome::Accepted),
        (false, super::super::Outcome::Refused(Refusal::Invalid)),
    ] {
        let verifier = verifier(Mode::Shadow).accept_locale_order(accepts);
        let (report, checked) = verifier.examine(&request, now(), &mut Scratch::new());
        assert_eq!(checked.unwrap().scheme, Scheme::V1);
        assert_eq!(report.v2, outcome);
    }
}
