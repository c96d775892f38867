//! Keys: what a signature must look like, which key is tried, and what is never shown (K1–K8).

use std::time::Duration;

use sheen_core::error::Code;

use super::*;
use crate::signature::{KeyRingError, ModeError, Modes, Outcome};

#[test]
fn k01_only_64_lower_case_hex_characters_are_a_signature() {
    let headers = signed(1, "POST", None);
    let good = headers.sig_v2.as_str();
    let forms = [
        String::new(),
        good[..63].to_owned(),
        good[..32].to_owned(),
        format!("{good}0"),
        format!("{good}{good}"),
        format!(" {good}"),
        format!("{good} "),
        good.to_uppercase(),
        format!("0x{}", &good[2..]),
        format!("{}\0", &good[..63]),
        format!("v2={good}"),
        format!("{good},{good}"),
        format!("{}\u{e9}", &good[..62]),
    ];
    let verifier = verifier(Mode::Dual);
    assert_eq!(
        check(&verifier, &post(headers.as_headers())),
        Ok(Scheme::V2)
    );
    for form in &forms {
        let v2 = Headers {
            sig_v2: Some(form),
            ..headers.as_headers()
        };
        assert_eq!(
            check(&verifier, &post(v2)),
            Err(Refusal::Invalid),
            "{form:?}"
        );
        let v1 = Headers {
            signature: Some(form),
            ..Headers::default()
        };
        assert_eq!(
            check(&verifier, &post(v1)),
            Err(Refusal::Invalid),
            "{form:?}"
        );
    }
}

#[test]
fn k02_short_secrets_and_broken_rings_are_refused_at_load() {
    assert!(Secret::new("").is_err());
    assert!(Secret::new("x".repeat(31)).is_err());
    assert_eq!(KeyRing::new(vec![]).unwrap_err(), KeyRingError::Empty);
    let twice = KeyRing::new(vec![key("k1"), key("k2"), key("k1")]).unwrap_err();
    assert_eq!(
        twice,
        KeyRingError::DuplicateId(KeyId::parse("k1").unwrap())
    );
    let five = ["a", "b", "c", "d", "e"].map(key).into();
    let web = PrincipalId::parse("web").unwrap();
    assert_eq!(
        KeyRing::new(five).unwrap_err(),
        KeyRingError::TooManyOfOne(web)
    );
    let crowd = (0..1025)
        .map(|n| key_of(&format!("p{n}"), &format!("k{n}")))
        .collect();
    assert_eq!(KeyRing::new(crowd).unwrap_err(), KeyRingError::TooMany);
}

#[test]
fn k02_one_secret_is_one_key() {
    let again = |principal: &str| {
        let secret = Secret::new(SECRET).unwrap();
        let principal = PrincipalId::parse(principal).unwrap();
        SigningKey::new(KeyId::parse("k9").unwrap(), principal, secret)
    };
    let id = |text| KeyId::parse(text).unwrap();
    for principal in ["web", "app"] {
        let retired = key("k1").valid_between(None, Some(now()));
        let error = KeyRing::new(vec![key("k2"), retired, again(principal)]).unwrap_err();
        assert_eq!(error, KeyRingError::SameSecret(id("k1"), id("k9")));
        assert!(!error.to_string().contains(SECRET));
    }
}

#[test]
fn k03_an_unknown_key_id_does_all_the_work_and_lets_nobody_in() {
    let headers = signed(1, "POST", None);
    let verifier = verifier(Mode::Dual);
    let mut scratch = Scratch::new();
    for id in ["nobody", "", "k1 ", "K1", "k1*", "../k1", "k'1"] {
        let named = Headers {
            key_id: Some(id),
            ..headers.as_headers()
        };
        let (report, checked) = verifier.examine(&post(named), now(), &mut scratch);
        assert_eq!(checked.unwrap_err(), Refusal::KeyUnknown, "{id:?}");
        // The signature was compared, against the key that is there.
        assert_eq!(report.v2, Outcome::Accepted);
        assert_eq!(report.key_id, None);
    }
    let forged = Headers {
        key_id: Some("nobody"),
        sig_v2: Some("00"),
        ..headers.as_headers()
    };
    assert_eq!(check(&verifier, &post(forged)), Err(Refusal::KeyUnknown));
}

/// K3: whatever the mode of the key that an unknown id is judged by, all that was sent is judged.
#[test]
fn k03_an_unknown_key_id_gets_one_answer_in_a_ring_of_mixed_modes() {
    let all = signed(1, "POST", None);
    let zeros = "0".repeat(64);
    let only_v2 = Headers {
        signature: None,
        ..all.as_headers()
    };
    let only_v1 = Headers {
        signature: all.signature.as_deref(),
        ..Headers::default()
    };
    let forged = Headers {
        sig_v2: Some(&zeros),
        ..only_v2
    };
    for mode in Mode::ALL {
        let modes = Modes::all(Mode::EnforceV2).with(KeyId::parse("k1").unwrap(), mode);
        let ring = KeyRing::new(vec![key("k1"), key("k2")]).unwrap();
        let verifier = Verifier::with_modes(ring, modes).unwrap();
        for (headers, v1, v2) in [
            (all.as_headers(), Outcome::Accepted, Outcome::Accepted),
            (only_v2, Outcome::Absent, Outcome::Accepted),
            (only_v1, Outcome::Accepted, Outcome::Absent),
            (forged, Outcome::Absent, Outcome::Refused(Refusal::Invalid)),
        ] {
            let request = post(Headers {
                key_id: Some("nobody"),
                ..headers
            });
            let (report, checked) = verifier.examine(&request, now(), &mut Scratch::new());
            assert_eq!(checked.unwrap_err(), Refusal::KeyUnknown, "{mode}");
            assert_eq!((report.v1, report.v2), (v1, v2), "{mode}");
        }
    }
}

#[test]
fn a_key_id_picks_its_key_and_without_one_the_first_principals_are_tried() {
    let ring = vec![key("k1"), key("k2"), key_of("app", "k3")];
    let verifier = Verifier::new(KeyRing::new(ring).unwrap(), Mode::Dual);
    assert_eq!(verifier.ring().signing_key().id().as_str(), "k1");
    let cases = [
        ("web", "k1", None, Ok("k1")),
        ("web", "k2", None, Ok("k2")),
        ("web", "k2", Some("k2"), Ok("k2")),
        ("web", "k2", Some("k1"), Err(Refusal::Invalid)),
        ("app", "k3", Some("k3"), Ok("k3")),
        ("app", "k3", None, Err(Refusal::Invalid)),
    ];
    for (principal, id, named, expected) in cases {
        let signer = Signer::new(key_of(principal, id));
        let entropy = SeededEntropy::new(1);
        let headers = signer
            .sign("POST", PATH, None, BODY, now(), &entropy)
            .unwrap();
        let request = post(Headers {
            key_id: named,
            ..headers.as_headers()
        });
        let mut scratch = Scratch::new();
        let checked = verifier.check(&request, now(), &mut scratch);
        let seen = checked
            .as_ref()
            .map(|c| c.key_id.as_str())
            .map_err(|refusal| *refusal);
        assert_eq!(seen, expected, "{id} named {named:?}");
        if let Ok(checked) = checked {
            assert_eq!(checked.principal.as_str(), principal);
        }
    }
}

#[test]
fn k05_a_retired_key_verifies_nothing_that_comes_later() {
    let minute = Duration::from_secs(60);
    let (from, until) = (now().minus(minute), now());
    let retiring = || key("k1").valid_between(Some(from), Some(until));
    let ring = KeyRing::new(vec![retiring(), key("k2")]).unwrap();
    let verifier = Verifier::new(ring, Mode::Dual);
    let moment = Duration::from_millis(1);
    for (at, live) in [
        (from.minus(moment), false),
        (from, true),
        (until.minus(moment), true),
        (until, false),
    ] {
        // Stamped well inside the key's life each time.
        let stamped = now().minus(minute / 2);
        let entropy = SeededEntropy::new(1);
        let headers = Signer::new(key("k1")).sign("POST", PATH, None, BODY, stamped, &entropy);
        let headers = headers.unwrap();
        let unnamed = verifier
            .check(&post(headers.as_headers()), at, &mut Scratch::new())
            .map(|_| ());
        assert_eq!(
            unnamed,
            if live { Ok(()) } else { Err(Refusal::Invalid) },
            "{at}"
        );
        let named = post(Headers {
            key_id: Some("k1"),
            ..headers.as_headers()
        });
        let named = verifier.check(&named, at, &mut Scratch::new()).map(|_| ());
        assert_eq!(
            named,
            if live {
                Ok(())
            } else {
                Err(Refusal::KeyUnknown)
            },
            "{at}"
        );
    }
}

#[test]
fn k06_nothing_shows_a_secret_a_signature_or_a_query() {
    let headers = signed(1, "POST", None);
    let request = Request::new(
        "POST",
        PATH,
        Some("access_token=t"),
        headers.as_headers(),
        BODY,
    );
    let ring = KeyRing::new(vec![key("k1")]).unwrap();
    let shown = format!(
        "{:?} {ring:?} {:?} {:?} {headers:?} {request:?} {:?}",
        key("k1"),
        Signer::new(key("k1")),
        verifier(Mode::Dual),
        Scratch::new(),
    );
    let hidden = [
        SECRET,
        &const_hex::encode(SECRET),
        &headers.sig_v2,
        headers.signature.as_deref().unwrap(),
        &headers.nonce,
        "access_token",
        "u_1",
    ];
    for text in hidden {
        assert!(!shown.contains(text), "{text} in {shown}");
    }
}

#[test]
fn k08_each_refusal_has_its_code() {
    let codes = [
        (Refusal::Missing, Code::SignatureMissing),
        (Refusal::QueryNotUtf8, Code::ValidationFailed),
        (Refusal::TimestampInvalid, Code::TimestampInvalid),
        (Refusal::NonceInvalid, Code::NonceInvalid),
        (Refusal::KeyUnknown, Code::KeyUnknown),
        (Refusal::Invalid, Code::SignatureInvalid),
        (Refusal::V1Retired, Code::SignatureV1Retired),
        (
            Refusal::TimestampOutsideWindow,
            Code::TimestampOutsideWindow,
        ),
        (
            Refusal::ReplayStoreUnavailable,
            Code::ReplayStoreUnavailable,
        ),
        (Refusal::NonceReplayed, Code::NonceReplayed),
    ];
    for (refusal, code) in codes {
        assert_eq!(refusal.code(), code);
    }
}

#[test]
fn modes_are_read_from_settings_and_a_stray_key_is_refused() {
    let modes: Modes = "k1=v1-only, k2=enforce-v2".parse().unwrap();
    let id = |text| KeyId::parse(text).unwrap();
    assert_eq!(modes.of(&id("k1")), Mode::V1Only);
    assert_eq!(modes.of(&id("k2")), Mode::EnforceV2);
    assert_eq!(modes.of(&id("k3")), Mode::Dual);
    assert_eq!("shadow".parse(), Ok(Modes::all(Mode::Shadow)));
    assert_eq!("Dual".parse::<Modes>(), Err(ModeError::Name));
    assert_eq!("".parse::<Modes>(), Err(ModeError::Name));
    assert_eq!("k1=dual,shadow".parse::<Modes>(), Err(ModeError::Pair));
    assert_eq!("k 1=dual".parse::<Modes>(), Err(ModeError::Pair));
    assert_eq!("k1=".parse::<Modes>(), Err(ModeError::Name));
    assert_eq!(
        "k1=dual,k1=dual".parse::<Modes>(),
        Err(ModeError::Twice(id("k1")))
    );
    let ring = KeyRing::new(vec![key("k1")]).unwrap();
    let stray = Verifier::with_modes(ring, modes).unwrap_err();
    assert_eq!(stray, ModeError::UnknownKey(id("k2")));
}
