//! Signatures, bodies and who a call is for.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Value, json};
use sheen_auth::signature::{Headers, Mode};

use crate::support::{CREATE, Setup, World, request_id_signature, send};

#[tokio::test]
async fn c06_a_signature_header_given_twice_is_refused_and_so_is_one_that_is_not_text() {
    let world = World::new();
    for name in Headers::NAMES {
        let call = world.get("/v1/builds/b?userId=u");
        let mut twice = call.request();
        let value = twice.headers().get(name).cloned();
        let value = value.unwrap_or(HeaderValue::from_static("x"));
        twice.headers_mut().append(name, value.clone());
        twice
            .headers_mut()
            .insert("content-length", HeaderValue::from_static("0"));
        if twice.headers().get_all(name).iter().count() == 1 {
            twice.headers_mut().append(name, value);
        }
        let wrong = send(&world.app, twice).await.wrong_fields();
        assert_eq!(wrong, [(name.to_owned(), "duplicate".to_owned())]);

        let mut binary = call.request();
        binary
            .headers_mut()
            .insert(name, HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        let wrong = send(&world.app, binary).await.wrong_fields();
        assert_eq!(wrong, [(name.to_owned(), "invalid_characters".to_owned())]);
    }
}

#[tokio::test]
async fn c02_the_path_counts_as_sent() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let honest = world.get(&format!("/v1/builds/{build}?userId=ann"));
    assert_eq!(honest.send().await.status, 200);
    // The same resource by another spelling is signed as that spelling, and routed as it.
    let spelled = format!("/v1/builds/%62{}?userId=ann", &build[1..]);
    assert_eq!(world.get(&spelled).send().await.status, 200);
    let mut swapped = honest.request();
    *swapped.uri_mut() = spelled.parse().unwrap();
    send(&world.app, swapped)
        .await
        .refused(401, "SIGNATURE_INVALID");
}

#[tokio::test]
async fn a_query_that_is_not_utf8_is_refused_whatever_its_signature() {
    let world = World::new();
    let mut request = world.get("/v1/builds/b?userId=u").request();
    *request.uri_mut() = "/v1/builds/b?userId=%FF".parse().unwrap();
    let wrong = send(&world.app, request).await.wrong_fields();
    assert_eq!(wrong, [("query".to_owned(), "invalid_utf8".to_owned())]);
    let unsigned = world.get("/v1/builds/b?userId=%FF").unsigned();
    let wrong = unsigned.send().await.wrong_fields();
    assert_eq!(wrong, [("query".to_owned(), "invalid_utf8".to_owned())]);
}

#[tokio::test]
async fn a_body_with_a_key_twice_is_refused_though_it_is_signed() {
    let world = World::new();
    for (body, place) in [
        (
            r#"{"userId":"ann","operationType":"update","userId":"bob"}"#,
            "userId",
        ),
        (
            r#"{"operationType":"update","x":[{"mode":1,"mode":1}]}"#,
            "x[0].mode",
        ),
    ] {
        let call = world.call("POST", "/v1/estimate").json(body);
        let wrong = call.send().await.wrong_fields();
        assert_eq!(wrong, [(place.to_owned(), "duplicate".to_owned())]);
    }
}

#[tokio::test]
async fn b1_one_byte_of_the_body_more_and_the_call_is_refused() {
    let world = World::new();
    let call = world.post("/v1/estimate", json!({"operationType": "update"}));
    assert_eq!(call.send().await.status, 200);
    let (parts, _) = call.request().into_parts();
    let changed = http::Request::from_parts(parts, r#"{"operationType":"update"} "#.into());
    send(&world.app, changed)
        .await
        .refused(401, "SIGNATURE_INVALID");
}

#[tokio::test]
async fn bodies_have_their_limits_and_starts_a_larger_one() {
    let world = World::new();
    let mebibytes = |count: usize| vec![b' '; count * 1024 * 1024];
    let over = world
        .call("POST", "/v1/estimate")
        .body([mebibytes(2), vec![b' ']].concat());
    over.send().await.refused(413, "PAYLOAD_TOO_LARGE");
    let over = world
        .call("POST", CREATE)
        .body([mebibytes(16), vec![b' ']].concat());
    over.send().await.refused(413, "PAYLOAD_TOO_LARGE");
    let mut largest = json!({"userId": "u", "projectId": "p", "prompt": "x"}).to_string();
    largest.push_str(&" ".repeat(16 * 1024 * 1024 - largest.len()));
    assert_eq!(
        world.call("POST", CREATE).json(largest).send().await.status,
        202
    );
}

/// A body in pieces that knows how many of them are held when the next is asked for.
struct Watched {
    sent: Arc<AtomicUsize>,
    most_held: Arc<AtomicUsize>,
}

struct Piece(Arc<AtomicUsize>);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        b"piece"
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Watched {
    fn body() -> (Self, Body) {
        let watched = Self {
            sent: Arc::default(),
            most_held: Arc::default(),
        };
        let (sent, most_held) = (watched.sent.clone(), watched.most_held.clone());
        let held = Arc::new(AtomicUsize::new(0));
        let pieces = (0..4).map(move |_| {
            sent.fetch_add(1, Ordering::SeqCst);
            let before = held.fetch_add(1, Ordering::SeqCst);
            most_held.fetch_max(before, Ordering::SeqCst);
            Ok::<_, Infallible>(Bytes::from_owner(Piece(held.clone())))
        });
        (
            watched,
            Body::from_stream(futures_util::stream::iter(pieces)),
        )
    }

    fn counts(&self) -> (usize, usize) {
        let load = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (load(&self.sent), load(&self.most_held))
    }
}

#[tokio::test]
async fn the_body_of_a_call_without_a_signatures_form_is_read_and_not_kept() {
    let world = World::new();
    let hex = "ab".repeat(32);
    let now = sheen_core::time::Clock::now(&*world.clock).as_millis();
    let (now, nonce) = (now.to_string(), "0123456789abcdef");
    let [v1, v2, stamp, once] = [
        "x-sheen-signature",
        "x-sheen-sig-v2",
        "x-sheen-timestamp",
        "x-sheen-nonce",
    ];
    let call = || world.call("POST", CREATE).unsigned();
    for (call, status, code) in [
        (call(), 401, "SIGNATURE_MISSING"),
        (call().header(v1, "x"), 401, "SIGNATURE_INVALID"),
        (
            call().header(v1, hex.to_uppercase()),
            401,
            "SIGNATURE_INVALID",
        ),
        (
            call().header(v1, &hex).header(v1, &hex),
            400,
            "VALIDATION_FAILED",
        ),
        (call().header(v2, &hex), 401, "TIMESTAMP_INVALID"),
        (
            call().header(v2, &hex).header(stamp, &now),
            401,
            "NONCE_INVALID",
        ),
        (
            call()
                .header(v2, "x")
                .header(stamp, &now)
                .header(once, nonce),
            401,
            "SIGNATURE_INVALID",
        ),
    ] {
        let (watched, body) = Watched::body();
        let (parts, _) = call.request().into_parts();
        let answer = send(&world.app, http::Request::from_parts(parts, body)).await;
        answer.refused(status, code);
        assert_eq!(watched.counts(), (4, 0), "{code}");
    }
    // What may be a signature needs the body to be judged.
    let (watched, body) = Watched::body();
    let (parts, _) = call().header(v1, &hex).request().into_parts();
    let answer = send(&world.app, http::Request::from_parts(parts, body)).await;
    answer.refused(401, "SIGNATURE_INVALID");
    assert_eq!(watched.counts(), (4, 1));

    let over = vec![b' '; 16 * 1024 * 1024 + 1];
    let over = call().header(v1, "x").body(over).send().await;
    over.refused(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn the_user_is_named_once_and_an_unsigned_header_never_counts() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let target = format!("/v1/builds/{build}");
    let of = |target: &str| world.get(target).header("x-user-id", "ann");
    let missing = of(&target).send().await.wrong_fields();
    assert_eq!(missing, [("userId".to_owned(), "required".to_owned())]);
    of(&format!("{target}?userId=bob"))
        .send()
        .await
        .refused(404, "NOT_FOUND");
    let both = of(&format!("{target}?userId=ann&userId=bob"))
        .send()
        .await
        .wrong_fields();
    assert_eq!(both, [("userId".to_owned(), "conflict".to_owned())]);
    assert_eq!(
        of(&format!("{target}?userId=ann&userId=ann"))
            .send()
            .await
            .status,
        200
    );

    let cancel = |query: &str, body: Value| world.post(&format!("{target}/cancel{query}"), body);
    let two = cancel("?userId=bob", json!({"userId": "ann"}))
        .send()
        .await
        .wrong_fields();
    assert_eq!(two, [("userId".to_owned(), "conflict".to_owned())]);
    cancel("", json!({"userId": "bob"}))
        .send()
        .await
        .refused(404, "NOT_FOUND");
    assert_eq!(cancel("?userId=ann", json!({})).send().await.status, 200);
}

#[tokio::test]
async fn a_call_without_a_body_may_name_its_user_in_the_query() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let cancel = world.call("POST", &format!("/v1/builds/{build}/cancel?userId=ann"));
    assert_eq!(cancel.send().await.json()["reason"], "CANCELLED");
}

/// Both v1 headers of a call, made by the key that the worker knows.
fn v1_only(
    world: &World,
    method: &str,
    target: &str,
    body: &str,
) -> http::Request<axum::body::Body> {
    let mut call = world.call(method, target);
    if !body.is_empty() {
        call = call.json(body);
    }
    let mut request = call.unsigned().request();
    let signer = sheen_auth::signature::Signer::new(crate::support::key()).with_v1();
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(p, q)| (p, Some(q)));
    let now = sheen_core::time::Clock::now(&*world.clock);
    let signed = signer
        .sign(method, path, query, body.as_bytes(), now, &*world.entropy)
        .unwrap();
    let value = HeaderValue::from_str(&signed.signature.unwrap()).unwrap();
    request.headers_mut().insert("x-sheen-signature", value);
    request
}

#[tokio::test]
async fn an_answer_to_a_v1_call_says_that_v1_is_deprecated() {
    let world = World::new();
    let body = r#"{"operationType":"update"}"#;
    let answer = send(&world.app, v1_only(&world, "POST", "/v1/estimate", body)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("deprecation"), Some("@1795132800"));
    let refused = send(&world.app, v1_only(&world, "POST", "/v1/estimate", "{}")).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("deprecation")),
        (400, Some("@1795132800"))
    );
    let v2 = world
        .post("/v1/estimate", json!({"operationType": "update"}))
        .send()
        .await;
    assert_eq!(v2.header("deprecation"), None);
}

#[tokio::test]
async fn v1_is_refused_where_v2_is_enforced() {
    let world = World::with(Setup {
        mode: Mode::EnforceV2,
        ..Setup::default()
    });
    let request = v1_only(
        &world,
        "POST",
        "/v1/estimate",
        r#"{"operationType":"update"}"#,
    );
    let answer = send(&world.app, request).await;
    answer.refused(401, "SIGNATURE_V1_RETIRED");
    assert_eq!(answer.header("www-authenticate"), Some("Sheen-Signature"));
}

#[tokio::test]
async fn under_v1_request_id_only_the_users_name_in_the_body_counts() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let now = sheen_core::time::Clock::now(&*world.clock)
        .as_millis()
        .to_string();
    let signed = |target: &str, id: &str, body: &str| {
        let mut call = world.call("POST", target).unsigned();
        if !body.is_empty() {
            call = call.json(body);
        }
        call.header("x-sheen-signature", request_id_signature(&now, id, body))
            .header("x-sheen-timestamp", &now)
            .header("x-sheen-request-id", id)
    };
    let target = format!("/v1/builds/{build}/cancel");
    let missing = signed(&format!("{target}?userId=ann"), "one", "{}")
        .send()
        .await
        .wrong_fields();
    assert_eq!(missing, [("userId".to_owned(), "required".to_owned())]);
    let named = signed(
        &format!("{target}?userId=bob"),
        "two",
        r#"{"userId":"ann"}"#,
    )
    .send()
    .await;
    assert_eq!(named.status, 200, "{}", named.text());
}

/// C5, C9: what stands on the line beside path and query was not signed.
#[tokio::test]
async fn c05_only_targets_in_origin_form_are_taken_over_http() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    for target in [
        format!("/v1/builds/{build}?userId=ann"),
        format!("/v1/builds/{build}/events?userId=ann"),
    ] {
        let mut request = world.get(&target).request();
        *request.uri_mut() = format!("http://evil.example{target}").parse().unwrap();
        let refused = send(&world.app, request).await;
        let data = refused.refused(400, "VALIDATION_FAILED");
        assert_eq!(data["fields"][0]["field"], "target");
        // HTTP/2 says who is meant beside the path.
        let mut request = world.get(&target).request();
        *request.uri_mut() = format!("https://worker.example{target}").parse().unwrap();
        *request.version_mut() = http::Version::HTTP_2;
        assert_eq!(send(&world.app, request).await.status, 200, "{target}");
    }
}

/// A proxy between two servers may add a token of its own.
#[tokio::test]
async fn a_signature_decides_whatever_token_stands_beside_it() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let target = format!("/v1/builds/{build}/events?userId=ann");
    let beside = |value: &str| world.get(&target).header("authorization", value);
    assert_eq!(beside("Bearer of.another.system").send().await.status, 200);
    let token = world.token("ann", &build, std::time::Duration::from_secs(60));
    let forged = beside(&format!("Bearer {token}")).unsigned();
    let forged = forged.header("x-sheen-sig-v2", "0".repeat(64));
    let forged = forged.header("x-sheen-timestamp", "1795675900493");
    let forged = forged.header("x-sheen-nonce", "0".repeat(32));
    assert_eq!(forged.send().await.status, 401);
}

/// V7: the address may hold a token, also where the answer is a refusal.
#[tokio::test]
async fn v07_refusals_of_readers_are_kept_by_no_cache_and_tell_no_other_site() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    for path in ["events", "events/stream"] {
        let target = format!("/v1/builds/{build}/{path}?access_token=a.b.c");
        let refused = world.get(&target).unsigned().send().await;
        refused.refused(401, "TOKEN_INVALID");
        assert_eq!(refused.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(refused.header("cache-control"), Some("private, no-store"));
    }
    let target = "/v1/builds/unknown/events?userId=ann";
    let refused = world.get(target).send().await;
    refused.refused(404, "NOT_FOUND");
    assert_eq!(refused.header("cache-control"), Some("private, no-store"));
}
