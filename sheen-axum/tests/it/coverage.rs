//! What a signature does not cover counts for nothing, and what it covers is what is served.

use axum::body::Body;
use axum::routing::any;
use axum::{Extension, Router};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use sheen_auth::signature::Mode;
use sheen_axum::signature::{BufferedBody, Caller};

use crate::support::{Answer, Setup, World, send};

/// C8: the verifier owns what is covered. Headers that no scheme signs change neither who is meant
/// nor what is done.
#[tokio::test]
async fn c08_headers_that_no_signature_covers_change_nothing() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let target = format!("/v1/builds/{build}?userId=ann");
    let plain = world.get(&target).send().await;
    for (name, value) in [
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "POST"),
        ("x-original-url", "/v1/builds/other"),
        ("x-rewrite-url", "/v1/builds/other"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-prefix", "/elsewhere"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-user-id", "bob"),
        ("x-tenant", "another"),
        ("x-sheen-principal", "another"),
    ] {
        let answer = world.get(&target).header(name, value).send().await;
        assert_eq!(
            (answer.status, answer.text()),
            (plain.status, plain.text()),
            "{name}"
        );
    }
    // A media type or a coding that is not signed cannot make other fields of the same bytes.
    let call = world
        .call("POST", "/v1/estimate")
        .body("{\"operationType\":\"update\"}");
    for (name, value) in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "text/plain"),
    ] {
        let answer = call.clone().header(name, value).send().await;
        answer.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let coded = call.header("content-type", "application/json");
    let coded = coded.header("content-encoding", "gzip").send().await;
    coded.refused(415, "UNSUPPORTED_MEDIA_TYPE");
}

/// A router behind the door that shows what it was given.
fn shown(world: &World) -> Router {
    let show = async |Extension(caller): Extension<Caller>, request: Request<Body>| {
        let (parts, body) = request.into_parts();
        let whole = body.collect().await.unwrap();
        let has_trailers = whole.trailers().is_some();
        let served = whole.to_bytes();
        let kept = parts.extensions.get::<BufferedBody>().unwrap();
        assert_eq!(kept.0, served, "what was verified is what is served");
        let principal = caller.principal().unwrap();
        format!(
            "{principal} {has_trailers} {}",
            String::from_utf8_lossy(&served)
        )
    };
    let outer = Router::new().route("/shown", any(show));
    world.behind_the_door(outer)
}

/// B3: what comes after the body's last byte is not under the signature, and is not served.
#[tokio::test]
async fn b03_trailers_are_not_served() {
    let world = World::new();
    let app = shown(&world);
    let (parts, _) = world
        .call("POST", "/shown")
        .body("ab")
        .request()
        .into_parts();
    let smuggled = HeaderMap::from_iter([(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("text/html"),
    )]);
    let body = Full::new(Bytes::from("ab"));
    let body = body.with_trailers(std::future::ready(Some(Ok(smuggled))));
    let answer: Answer = send(&app, Request::from_parts(parts, Body::new(body))).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (200, "web false ab")
    );
}

/// B3: a body that is shorter or longer than what was signed.
#[tokio::test]
async fn b03_cut_and_extended_bodies_are_refused() {
    let world = World::new();
    let app = shown(&world);
    for sent in ["", "a", "abc", "ab\n", "ba"] {
        let (parts, _) = world
            .call("POST", "/shown")
            .body("ab")
            .request()
            .into_parts();
        let answer = send(&app, Request::from_parts(parts, Body::from(sent))).await;
        answer.refused(401, "SIGNATURE_INVALID");
    }
}

/// B5: no body, an empty one, and one where none is expected.
#[tokio::test]
async fn b05_empty_missing_and_unexpected_bodies_are_each_defined() {
    let world = World::new();
    let app = shown(&world);
    for (method, body, expected) in [
        ("GET", "", "web false "),
        ("POST", "", "web false "),
        ("GET", "ab", "web false ab"),
        ("DELETE", "ab", "web false ab"),
    ] {
        let answer = send(&app, world.call(method, "/shown").body(body).request()).await;
        assert_eq!(answer.text(), expected, "{method}");
    }
    let zero = world.call("POST", "/shown").header("content-length", "0");
    assert_eq!(send(&app, zero.request()).await.text(), "web false ");
    // A body that was not signed is refused, also where it would mean nothing.
    let (parts, _) = world.call("GET", "/shown").request().into_parts();
    let added = send(&app, Request::from_parts(parts, Body::from("ab"))).await;
    added.refused(401, "SIGNATURE_INVALID");
}

/// R1: in every mode but shadow, a part of v2 that does not fit is not passed by.
#[tokio::test]
async fn r01_a_part_of_v2_that_does_not_fit_is_refused_unless_v1_decides() {
    let call = |world: &World| {
        let call = world.post("/v1/estimate", json!({"operationType": "update"}));
        call.request()
    };
    for (mode, decides) in [
        (Mode::V1Only, false),
        (Mode::Shadow, false),
        (Mode::Dual, true),
        (Mode::EnforceV2, true),
    ] {
        let world = World::with(Setup {
            mode,
            ..Setup::default()
        });
        let v1 = world.v1_of("/v1/estimate", br#"{"operationType":"update"}"#);
        let with_v1 = |mut request: Request<Body>| {
            let value = HeaderValue::from_str(&v1).unwrap();
            request.headers_mut().insert("x-sheen-signature", value);
            request
        };
        let mut broken = with_v1(call(&world));
        let zeros = HeaderValue::from_str(&"0".repeat(64)).unwrap();
        broken.headers_mut().insert("x-sheen-sig-v2", zeros);
        let answer = send(&world.app, broken).await;
        if decides {
            answer.refused(401, "SIGNATURE_INVALID");
        } else {
            assert_eq!(answer.status, 200, "{mode}");
        }
    }
}
