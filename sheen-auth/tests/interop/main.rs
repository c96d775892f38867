//! A caller written in JavaScript, which shares no code with ours, against the verifier.
//!
//! Its vectors are committed, so they are verified without Node too; where Node is, it makes them
//! anew and reads a token of ours. Where it is not, these tests say so.
#![expect(clippy::unwrap_used, reason = "in helpers of tests")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use sheen_auth::signature::{
    Headers, KeyRing, Mode, Refusal, Request, Scheme, Scratch, SigningKey, Verifier,
};
use sheen_auth::token::{TokenError, ViewerTokens};
use sheen_core::id::{BuildId, KeyId, PrincipalId, UserId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

const VECTORS: &str = include_str!("../vectors/interop.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    secret: String,
    token_secret: String,
    now: i64,
    requests: Vec<Signed>,
    tokens: Vec<Token>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    method: String,
    path: String,
    query: Option<String>,
    body: String,
    timestamp: String,
    nonce: String,
    request_id: String,
    v2_bytes: String,
    v2_locale: String,
    v1: String,
    v1_request_id: String,
}

#[derive(Deserialize)]
struct Token {
    what: String,
    token: String,
    says: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).unwrap()
}

impl Vectors {
    fn verifier(&self, mode: Mode) -> Verifier {
        let key = SigningKey::new(
            KeyId::parse("k1").unwrap(),
            PrincipalId::parse("web").unwrap(),
            Secret::new(self.secret.as_str()).unwrap(),
        );
        Verifier::new(KeyRing::new(vec![key]).unwrap(), mode)
    }

    fn tokens(&self) -> ViewerTokens {
        ViewerTokens::new(vec![Secret::new(self.token_secret.as_str()).unwrap()]).unwrap()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }
}

impl Signed {
    fn check(
        &self,
        verifier: &Verifier,
        headers: Headers<'_>,
        now: Timestamp,
    ) -> Result<Scheme, Refusal> {
        let body = self.body.as_bytes();
        let query = self.query.as_deref();
        let request = Request::new(&self.method, &self.path, query, headers, body);
        let checked = verifier.check(&request, now, &mut Scratch::new());
        checked.map(|checked| checked.scheme)
    }

    fn v2<'a>(&'a self, signature: &'a str) -> Headers<'a> {
        Headers {
            sig_v2: Some(signature),
            nonce: Some(&self.nonce),
            timestamp: Some(&self.timestamp),
            ..Headers::default()
        }
    }
}

/// What the program prints, or nothing where there is no Node.
fn caller(arguments: &[&str]) -> Option<(bool, String)> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/caller.mjs");
    match Command::new("node").arg(program).args(arguments).output() {
        Ok(output) => {
            let printed = String::from_utf8(output.stdout).unwrap();
            Some((output.status.success(), printed))
        }
        Err(error) => {
            eprintln!("node was not run ({error}): only the committed vectors were verified");
            None
        }
    }
}

#[test]
fn the_committed_vectors_are_what_node_makes() {
    assert_eq!(vectors().requests.len(), 9);
    let Some((succeeded, printed)) = caller(&["vectors"]) else {
        return;
    };
    assert!(succeeded);
    assert_eq!(printed, VECTORS);
}

#[test]
fn every_scheme_that_node_signs_is_accepted() {
    let vectors = vectors();
    let (dual, enforcing) = (
        vectors.verifier(Mode::Dual),
        vectors.verifier(Mode::EnforceV2),
    );
    let now = vectors.now();
    for signed in &vectors.requests {
        let line = format!("{} {} {:?}", signed.method, signed.path, signed.query);
        let v1 = Headers {
            signature: Some(&signed.v1),
            ..Headers::default()
        };
        assert_eq!(signed.check(&dual, v1, now), Ok(Scheme::V1), "{line}");
        let by_id = Headers {
            signature: Some(&signed.v1_request_id),
            timestamp: Some(&signed.timestamp),
            request_id: Some(&signed.request_id),
            ..Headers::default()
        };
        assert_eq!(
            signed.check(&dual, by_id, now),
            Ok(Scheme::V1RequestId),
            "{line}"
        );
        let v2 = signed.v2(&signed.v2_bytes);
        assert_eq!(signed.check(&enforcing, v2, now), Ok(Scheme::V2), "{line}");
        // Under another path none of it fits.
        let moved = Signed {
            path: format!("{}/x", signed.path),
            ..clone(signed)
        };
        assert_eq!(
            moved.check(&enforcing, v2, now),
            Err(Refusal::Invalid),
            "{line}"
        );
    }
}

fn clone(signed: &Signed) -> Signed {
    Signed {
        method: signed.method.clone(),
        path: signed.path.clone(),
        query: signed.query.clone(),
        body: signed.body.clone(),
        timestamp: signed.timestamp.clone(),
        nonce: signed.nonce.clone(),
        request_id: signed.request_id.clone(),
        v2_bytes: signed.v2_bytes.clone(),
        v2_locale: signed.v2_locale.clone(),
        v1: signed.v1.clone(),
        v1_request_id: signed.v1_request_id.clone(),
    }
}

#[test]
fn locale_order_is_accepted_where_that_was_asked_for() {
    let vectors = vectors();
    let now = vectors.now();
    let differ = |signed: &&Signed| signed.v2_bytes != signed.v2_locale;
    assert!(vectors.requests.iter().filter(differ).count() >= 3);
    let plain = vectors.verifier(Mode::EnforceV2);
    for signed in &vectors.requests {
        let judged = signed.check(&plain, signed.v2(&signed.v2_locale), now);
        assert_eq!(judged.is_ok(), signed.v2_bytes == signed.v2_locale);
    }
    #[cfg(feature = "locale-order")]
    {
        let both = vectors.verifier(Mode::EnforceV2).accept_locale_order(true);
        for signed in &vectors.requests {
            for signature in [&signed.v2_bytes, &signed.v2_locale] {
                let judged = signed.check(&both, signed.v2(signature), now);
                assert_eq!(judged, Ok(Scheme::V2), "{:?}", signed.query);
            }
        }
    }
}

#[test]
fn tokens_made_as_jose_makes_them_say_what_they_should() {
    let vectors = vectors();
    let (tokens, now) = (vectors.tokens(), vectors.now());
    for Token { what, token, says } in &vectors.tokens {
        let verified = tokens.verify(token, now);
        let expected = match says.as_str() {
            "accepted" => None,
            "scope" => Some(TokenError::Scope),
            "expired" => Some(TokenError::Expired),
            _ => Some(TokenError::Invalid),
        };
        assert_eq!(verified.as_ref().err().copied(), expected, "{what}");
        if let Ok(viewer) = verified {
            assert_eq!(
                (viewer.user.as_str(), viewer.build.as_str()),
                ("u_1", "b_1")
            );
            assert_eq!(viewer.issued_at, now);
        }
    }
}

#[test]
fn a_token_of_ours_is_read_by_node() {
    let vectors = vectors();
    let (user, build) = (
        UserId::parse("u_9").unwrap(),
        BuildId::parse("b_9").unwrap(),
    );
    let (now, life) = (vectors.now(), Duration::from_secs(600));
    let (token, expires_at) = vectors.tokens().issue(&user, &build, now, life);
    let expected = serde_json::json!({
        "sub": "u_9", "buildId": "b_9", "scope": "build:events",
        "iat": now.as_seconds(), "exp": now.as_seconds() + 600,
    });
    // Without Node: the claims as they stand in the token.
    let payload = token.expose().split('.').nth(1).unwrap();
    let payload =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload);
    let claims: serde_json::Value = serde_json::from_slice(&payload.unwrap()).unwrap();
    assert_eq!(claims, expected);

    let read_at = |seconds: i64| caller(&["read", token.expose(), &seconds.to_string()]);
    let Some((succeeded, printed)) = read_at(now.as_seconds()) else {
        return;
    };
    assert!(succeeded);
    let read: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(read, expected);
    let (succeeded, _) = read_at(expires_at.as_seconds()).unwrap();
    assert!(!succeeded, "it has an end there too");
    let broken = format!("{}A", token.expose());
    let (succeeded, _) = caller(&["read", &broken, &now.as_seconds().to_string()]).unwrap();
    assert!(!succeeded);
}

#[derive(Deserialize)]
struct OfJose {
    secret: String,
    now: i64,
    tokens: Vec<Token>,
    ours: Ours,
}

/// A token that jose has read, and what it found there.
#[derive(Deserialize)]
struct Ours {
    token: String,
    claims: serde_json::Value,
}

/// V1–V4 with the package itself: what it makes says here what it should, and what is made here,
/// to the byte, it has read.
#[test]
fn jose_itself_made_these_tokens_and_read_ours() {
    let jose: OfJose = serde_json::from_str(include_str!("../vectors/jose.json")).unwrap();
    let tokens = ViewerTokens::new(vec![Secret::new(jose.secret.as_str()).unwrap()]).unwrap();
    let now = Timestamp::from_millis(jose.now * 1000);
    assert_eq!(jose.tokens.len(), 14);
    for Token { what, token, says } in &jose.tokens {
        let refused = tokens.verify(token, now).err();
        let expected = match says.as_str() {
            "accepted" => None,
            "scope" => Some(TokenError::Scope),
            "expired" => Some(TokenError::Expired),
            _ => Some(TokenError::Invalid),
        };
        assert_eq!(refused, expected, "{what}");
    }
    let (user, build) = (
        UserId::parse("u_9").unwrap(),
        BuildId::parse("b_9").unwrap(),
    );
    let (token, _) = tokens.issue(&user, &build, now, Duration::from_secs(600));
    assert_eq!(token.expose(), jose.ours.token);
    assert_eq!(jose.ours.claims["buildId"], "b_9");
    assert_eq!(jose.ours.claims["exp"], jose.now + 600);
}
