//! Viewer tokens, honest and forged (V1–V4, K6, C11).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use sheen_core::error::Code;
use sheen_core::id::{BuildId, KeyId, PrincipalId, UserId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

use super::{TokenError, Viewer, ViewerTokens, ViewerTokensError, derive_secret};
use crate::keyed;
use crate::signature::{Headers, KeyRing, Mode, Request, Scratch, SigningKey, Verifier};

const SECRET: &str = "correct-horse-battery-staple-32-bytes-min";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const NOW: u64 = 1_800_000_000;

fn secret() -> Secret {
    Secret::new(SECRET).unwrap()
}

fn tokens() -> ViewerTokens {
    ViewerTokens::new(vec![secret()]).unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(seconds * 1000).unwrap())
}

fn now() -> Timestamp {
    at(NOW)
}

fn ids() -> (UserId, BuildId) {
    (
        UserId::parse("u_1").unwrap(),
        BuildId::parse("b_1").unwrap(),
    )
}

fn mac(text: &str) -> String {
    use hmac::Mac as _;
    let mac = keyed(&secret()).chain_update(text).finalize().into_bytes();
    URL_SAFE_NO_PAD.encode(mac)
}

/// Signed with the right secret, whatever it says.
fn forge(header: &str, claims: &str) -> String {
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = mac(&text);
    format!("{text}.{signature}")
}

fn claims(with: &str) -> String {
    let exp = NOW + 600;
    format!(
        r#"{{"sub":"u_1","buildId":"b_1","scope":"build:events","iat":{NOW},"exp":{exp}{with}}}"#
    )
}

fn verify(token: &str) -> Result<Viewer, TokenError> {
    tokens().verify(token, now())
}

#[test]
fn an_issued_token_is_the_jwt_of_the_wire() {
    let (user, build) = ids();
    let (token, expires_at) = tokens().issue(&user, &build, now(), Duration::from_secs(600));
    assert_eq!(expires_at, at(NOW + 600));
    let parts: Vec<&str> = token.expose().split('.').collect();
    assert_eq!(parts.len(), 3);
    let json = |part: &str| -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(
        json(parts[0]),
        serde_json::json!({"alg": "HS256", "typ": "JWT"})
    );
    let expected = serde_json::json!({
        "sub": "u_1", "buildId": "b_1", "scope": "build:events", "iat": NOW, "exp": NOW + 600,
    });
    assert_eq!(json(parts[1]), expected);
    let viewer = verify(token.expose()).unwrap();
    assert_eq!(
        (viewer.user, viewer.build, viewer.expires_at),
        (user, build, expires_at)
    );
    // Until it expires it may be used again.
    assert!(verify(token.expose()).is_ok());
}

/// RFC 7515, appendix A.1: the encoding and the MAC of somebody else's making.
#[test]
fn the_mac_is_that_of_rfc_7515() {
    const KEY: &str =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    const TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let secret = Secret::new(URL_SAFE_NO_PAD.decode(KEY).unwrap()).unwrap();
    let claims = super::jws::verify(&[keyed(&secret)], TOKEN).unwrap();
    assert_eq!(claims["iss"], "joe");
    assert_eq!(claims["exp"], 1_300_819_380_u64);
}

#[test]
fn v01_there_is_one_accepted_encoding() {
    let good = forge(HEADER, &claims(""));
    assert!(verify(&good).is_ok());
    let (text, signature) = good.rsplit_once('.').unwrap();
    // 32 bytes leave two bits unused in the last character: each other value of them is refused.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for other in alphabet.chars().filter(|c| *c != last) {
        let token = format!("{text}.{}{other}", &signature[..42]);
        assert_eq!(verify(&token), Err(TokenError::Invalid), "{other}");
    }
    let padded = format!("{good}=");
    let spaced = [
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        good.replace('.', " "),
    ];
    let cut = [
        good[..good.len() - 1].to_owned(),
        format!("{text}."),
        text.to_owned(),
    ];
    let more = [
        format!("{good}.x"),
        format!("x.{good}"),
        format!(".{good}"),
        format!("{good}."),
    ];
    let odd = ["", ".", "..", "...", "a.b.c"].map(str::to_owned);
    let long = format!("{good}{}", "A".repeat(5000));
    let all = spaced
        .into_iter()
        .chain(cut)
        .chain(more)
        .chain(odd)
        .chain([padded, long]);
    for token in all {
        assert_eq!(verify(&token), Err(TokenError::Invalid), "{token:?}");
    }
}

#[test]
fn v01_a_token_longer_than_any_of_ours_is_not_looked_at() {
    let padded = |len: usize| forge(HEADER, &claims(&format!(r#","x":"{}""#, "a".repeat(len))));
    assert!(verify(&padded(2000)).is_ok());
    assert_eq!(verify(&padded(4000)), Err(TokenError::Invalid));
}

#[test]
fn v02_the_algorithm_is_not_the_tokens_to_choose() {
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":null}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#""HS256""#,
        r#"{"alg":"HS256"} x"#,
        "",
    ] {
        assert_eq!(
            verify(&forge(header, &claims(""))),
            Err(TokenError::Invalid),
            "{header}"
        );
    }
    for header in [
        r#"{"alg":"HS256"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","kid":"1"}"#,
    ] {
        assert!(verify(&forge(header, &claims(""))).is_ok(), "{header}");
    }
    let unsigned = forge(r#"{"alg":"none"}"#, &claims(""));
    let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
    assert_eq!(verify(&unsigned), Err(TokenError::Invalid));
}

#[test]
fn v02_claims_of_another_type_or_given_twice_are_refused() {
    for with in [
        r#","sub":"u_2""#,
        r#","buildId":"b_2""#,
        r#","exp":9999999999"#,
        r#","x":1,"x":1"#,
        r#","aud":"someone-else""#,
        r#","nbf":1"#,
    ] {
        assert_eq!(
            verify(&forge(HEADER, &claims(with))),
            Err(TokenError::Invalid),
            "{with}"
        );
    }
    assert!(
        verify(&forge(
            HEADER,
            &claims(r#","name":"kept for later","x":[1]"#)
        ))
        .is_ok()
    );
    let good = claims("");
    for (what, other) in [
        (r#""sub":"u_1","#, String::new()),
        (r#""sub":"u_1""#, r#""sub":1"#.to_owned()),
        (r#""sub":"u_1""#, r#""sub":"not an id""#.to_owned()),
        (r#""buildId":"b_1","#, String::new()),
        (r#""buildId":"b_1""#, r#""buildId":"""#.to_owned()),
        (r#""scope":"build:events","#, String::new()),
        (
            r#""scope":"build:events""#,
            r#""scope":["build:events"]"#.to_owned(),
        ),
        (r#""iat":1800000000,"#, String::new()),
        (r#""iat":1800000000"#, r#""iat":"1800000000""#.to_owned()),
        (r#""iat":1800000000"#, r#""iat":-1"#.to_owned()),
        (r#","exp":1800000600"#, String::new()),
        (r#""exp":1800000600"#, r#""exp":1800000600.0"#.to_owned()),
        (r#""exp":1800000600"#, r#""exp":1.8e9"#.to_owned()),
        (r#""exp":1800000600"#, r#""exp":null"#.to_owned()),
    ] {
        let claims = good.replace(what, &other);
        assert_ne!(claims, good, "{what}");
        assert_eq!(
            verify(&forge(HEADER, &claims)),
            Err(TokenError::Invalid),
            "{claims}"
        );
    }
    for claims in ["[]", "null", "", "{", "{}"] {
        assert_eq!(
            verify(&forge(HEADER, claims)),
            Err(TokenError::Invalid),
            "{claims}"
        );
    }
}

#[test]
fn v03_the_verifier_caps_the_life_and_the_end_is_excluded() {
    let token = |iat: u64, exp: u64| {
        let claims = format!(
            r#"{{"sub":"u_1","buildId":"b_1","scope":"build:events","iat":{iat},"exp":{exp}}}"#
        );
        forge(HEADER, &claims)
    };
    for (iat, exp, expected) in [
        (NOW, NOW + 600, Ok(())),
        (NOW, NOW + 601, Err(TokenError::Invalid)),
        (NOW, NOW, Err(TokenError::Invalid)),
        (NOW, NOW - 1, Err(TokenError::Invalid)),
        (NOW, u64::MAX, Err(TokenError::Invalid)),
        (u64::MAX, u64::MAX, Err(TokenError::Invalid)),
        (u64::MAX - 600, u64::MAX, Err(TokenError::Invalid)),
        (0, u64::MAX, Err(TokenError::Invalid)),
        // A life that has not begun yet would be a longer one.
        (NOW + 60, NOW + 660, Ok(())),
        (NOW + 61, NOW + 661, Err(TokenError::Invalid)),
        (NOW - 600, NOW, Err(TokenError::Expired)),
        (0, 600, Err(TokenError::Expired)),
    ] {
        assert_eq!(
            verify(&token(iat, exp)).map(|_| ()),
            expected,
            "{iat} to {exp}"
        );
    }
    let moment = Duration::from_millis(1);
    let token = token(NOW, NOW + 600);
    let end = at(NOW + 600);
    assert!(tokens().verify(&token, end.minus(moment)).is_ok());
    assert_eq!(tokens().verify(&token, end), Err(TokenError::Expired));
    for clock in [i64::MIN, i64::MAX].map(Timestamp::from_millis) {
        assert!(tokens().verify(&token, clock).is_err());
    }
}

#[test]
fn v03_issued_lives_are_whole_seconds_within_bounds() {
    let (user, build) = ids();
    for (ttl, life) in [
        (Duration::ZERO, 1),
        (Duration::from_millis(1999), 1),
        (Duration::from_secs(60), 60),
        (Duration::from_secs(601), 600),
        (Duration::MAX, 600),
    ] {
        let (token, expires_at) = tokens().issue(&user, &build, now(), ttl);
        assert_eq!(expires_at, at(NOW + life));
        assert_eq!(verify(token.expose()).unwrap().expires_at, expires_at);
    }
}

#[test]
fn v04_a_token_is_for_one_build_and_one_use() {
    let (user, build) = ids();
    let (token, _) = tokens().issue(&user, &build, now(), Duration::from_secs(60));
    let viewer = verify(token.expose()).unwrap();
    assert_eq!(viewer.may_watch(&build), Ok(()));
    let other = BuildId::parse("b_12").unwrap();
    assert_eq!(viewer.may_watch(&other), Err(TokenError::Scope));
    for scope in [
        "build:write",
        "build:events build:write",
        "BUILD:EVENTS",
        "",
    ] {
        let claims = claims("").replace("build:events", scope);
        assert_eq!(
            verify(&forge(HEADER, &claims)),
            Err(TokenError::Scope),
            "{scope}"
        );
    }
    assert_eq!(TokenError::Invalid.code(), Code::TokenInvalid);
    assert_eq!(TokenError::Expired.code(), Code::TokenExpired);
    assert_eq!(TokenError::Scope.code(), Code::TokenScope);
}

#[test]
fn several_secrets_verify_and_the_first_signs() {
    let new = || Secret::new("another-horse-battery-staple-32-bytes").unwrap();
    let (user, build) = ids();
    let ttl = Duration::from_secs(60);
    let both = ViewerTokens::new(vec![new(), secret()]).unwrap();
    let (old_token, _) = tokens().issue(&user, &build, now(), ttl);
    let (new_token, _) = both.issue(&user, &build, now(), ttl);
    assert!(both.verify(old_token.expose(), now()).is_ok());
    assert!(both.verify(new_token.expose(), now()).is_ok());
    assert_eq!(verify(new_token.expose()), Err(TokenError::Invalid));
    assert_eq!(
        ViewerTokens::new(vec![]).unwrap_err(),
        ViewerTokensError::Empty
    );
    let five = (0..5).map(|_| secret()).collect();
    assert_eq!(
        ViewerTokens::new(five).unwrap_err(),
        ViewerTokensError::TooMany
    );
}

#[test]
fn a_derived_secret_is_fixed_and_its_own() {
    let derived = derive_secret(&secret(), "viewer-token");
    // Pinned: a worker that restarts, or another one, must derive the same.
    assert_eq!(
        const_hex::encode(derived.expose()),
        "440b45e7be6ed1d847bb75f610a786e547671d6112ea430fe6a8cff6b1fe7766",
    );
    assert!(!derived.matches(SECRET.as_bytes()));
    assert!(!derived.matches(derive_secret(&secret(), "other").expose()));
}

#[test]
fn c11_no_token_is_a_request_signature_even_under_one_secret() {
    let (user, build) = ids();
    let (token, _) = tokens().issue(&user, &build, now(), Duration::from_secs(60));
    let (text, signature) = token.expose().rsplit_once('.').unwrap();
    let signature = const_hex::encode(URL_SAFE_NO_PAD.decode(signature).unwrap());
    let key = SigningKey::new(
        KeyId::parse("k1").unwrap(),
        PrincipalId::parse("web").unwrap(),
        secret(),
    );
    let verifier = Verifier::new(KeyRing::new(vec![key]).unwrap(), Mode::V1Only);
    // v1 signs body and path: the text would have to end in a path, and it holds no slash.
    for (path, body) in [("", text), ("/", text), (text, "")] {
        let headers = Headers {
            signature: Some(&signature),
            ..Headers::default()
        };
        let request = Request::new("GET", path, None, headers, body.as_bytes());
        assert!(
            verifier
                .check(&request, now(), &mut Scratch::new())
                .is_err()
        );
    }
}

#[test]
fn k06_neither_tokens_nor_their_maker_show_themselves() {
    let (user, build) = ids();
    let (token, _) = tokens().issue(&user, &build, now(), Duration::from_secs(60));
    let shown = format!("{token:?} {token} {:?}", tokens());
    assert_eq!(
        shown,
        "ViewerToken(redacted) [redacted] ViewerTokens { secrets: 1, .. }"
    );
}

proptest! {
    /// Any change of one character is refused, and nothing makes the reader panic.
    #[test]
    fn a_changed_token_is_refused(place in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=-]") {
        let good = forge(HEADER, &claims(""));
        let place = place.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(place..=place, &to);
        prop_assert_eq!(verify(&changed).is_ok(), changed == good);
    }

    #[test]
    fn any_text_is_judged_without_a_panic(token in "\\PC{0,80}", claims in "\\PC{0,80}") {
        prop_assert!(verify(&token).is_err());
        prop_assert!(verify(&forge(HEADER, &claims)).is_err());
    }
}
