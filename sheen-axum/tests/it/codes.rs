//! Each code of issue 2 with its status, through the routes.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderValue, Request};
use serde_json::json;
use sheen_axum::panic::CatchPanicLayer;
use sheen_axum::problem::Problem;
use sheen_axum::request_id::RequestIdLayer;
use sheen_axum::timing::ServerTimingLayer;
use sheen_core::error::Code;

use crate::support::{Setup, World, send};

/// wire.md §3, the whole table.
const TABLE: &[(u16, &[&str])] = &[
    (
        400,
        &[
            "VALIDATION_FAILED",
            "CURSOR_INVALID",
            "IDEMPOTENCY_KEY_INVALID",
        ],
    ),
    (
        401,
        &[
            "SIGNATURE_MISSING",
            "SIGNATURE_INVALID",
            "TIMESTAMP_INVALID",
            "TIMESTAMP_OUTSIDE_WINDOW",
            "NONCE_INVALID",
            "NONCE_REPLAYED",
            "SIGNATURE_V1_RETIRED",
            "KEY_UNKNOWN",
            "TOKEN_INVALID",
            "TOKEN_EXPIRED",
        ],
    ),
    (402, &["INSUFFICIENT_CREDITS"]),
    (
        403,
        &[
            "PLAN_MODE_READ_ONLY",
            "CONFIRMATION_REQUIRED",
            "TOKEN_SCOPE",
            "DAILY_CAP_REACHED",
        ],
    ),
    (404, &["NOT_FOUND"]),
    (405, &["METHOD_NOT_ALLOWED"]),
    (
        409,
        &[
            "BUILD_ALREADY_ACTIVE",
            "TRANSITION_NOT_ALLOWED",
            "IDEMPOTENCY_IN_PROGRESS",
            "RESERVATION_CLOSED",
            "RESERVATION_EXPIRED",
            "OPERATION_CONFLICT",
        ],
    ),
    (410, &["ARTIFACT_MISSING"]),
    (
        413,
        &["PAYLOAD_TOO_LARGE", "EXPORT_TOO_LARGE", "FILE_TOO_LARGE"],
    ),
    (415, &["UNSUPPORTED_MEDIA_TYPE"]),
    (422, &["IDEMPOTENCY_KEY_REUSED"]),
    (429, &["RATE_LIMITED"]),
    (500, &["INTERNAL"]),
    (503, &["REPLAY_STORE_UNAVAILABLE", "STORE_UNAVAILABLE"]),
];

#[test]
fn every_code_has_the_status_of_the_wire() {
    let statuses = Code::ALL.iter().map(|code| {
        let row = TABLE
            .iter()
            .find(|(_, codes)| codes.contains(&code.as_str()));
        (code, row.map(|(status, _)| *status))
    });
    for (code, status) in statuses {
        assert_eq!(
            Some(Problem::new(*code).status().as_u16()),
            status,
            "{code}"
        );
    }
    let listed: usize = TABLE.iter().map(|(_, codes)| codes.len()).sum();
    assert_eq!(listed, Code::ALL.len());
}

#[tokio::test]
async fn signatures_are_refused_each_for_its_reason() {
    let world = World::new();
    let call = world.post("/v1/estimate", json!({"operationType": "update"}));
    call.clone()
        .unsigned()
        .send()
        .await
        .refused(401, "SIGNATURE_MISSING");
    let with = |name: &'static str, value: &str| {
        let mut request = call.request();
        request
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).unwrap());
        request
    };
    for (name, value, code) in [
        ("x-sheen-sig-v2", "0".repeat(64), "SIGNATURE_INVALID"),
        (
            "x-sheen-timestamp",
            "yesterday".to_owned(),
            "TIMESTAMP_INVALID",
        ),
        ("x-sheen-nonce", "short".to_owned(), "NONCE_INVALID"),
        ("x-sheen-key-id", "other".to_owned(), "KEY_UNKNOWN"),
    ] {
        send(&world.app, with(name, &value))
            .await
            .refused(401, code);
    }
    let (once, twice) = (call.request(), call.request());
    let mut replay = twice;
    *replay.headers_mut() = once.headers().clone();
    assert_eq!(send(&world.app, once).await.status, 200);
    send(&world.app, replay)
        .await
        .refused(401, "NONCE_REPLAYED");

    let early = call.request();
    world.clock.advance(Duration::from_millis(120_001));
    send(&world.app, early)
        .await
        .refused(401, "TIMESTAMP_OUTSIDE_WINDOW");
}

#[tokio::test]
async fn a_broken_replay_store_closes_the_door_and_says_nothing_of_itself() {
    let world = World::with(Setup {
        is_replay_store_broken: true,
        ..Setup::default()
    });
    let answer = world
        .post("/v1/estimate", json!({"operationType": "update"}))
        .send()
        .await;
    answer.refused(503, "REPLAY_STORE_UNAVAILABLE");
    assert!(!answer.text().contains("socket"));
}

#[tokio::test]
async fn a_wrong_method_says_which_are_right() {
    let world = World::new();
    let answer = world.call("DELETE", "/v1/estimate").unsigned().send().await;
    answer.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[tokio::test]
async fn a_panic_is_internal_for_that_call_alone() {
    let world = World::new();
    let app = Router::new()
        .route(
            "/falls",
            get(|| async { panic!("a secret detail") as &str }),
        )
        .route("/stands", get(|| async { "up" }))
        .layer(CatchPanicLayer::new())
        .layer(ServerTimingLayer::new(world.clock.clone()))
        .layer(RequestIdLayer::new(
            world.entropy.clone(),
            world.clock.clone(),
        ));
    let call = |path| {
        Request::get(path)
            .header("x-request-id", "r1")
            .body(Body::empty())
            .unwrap()
    };
    let fallen = send(&app, call("/falls")).await;
    fallen.refused(500, "INTERNAL");
    assert_eq!(fallen.header("x-request-id"), Some("r1"));
    assert!(!fallen.text().contains("secret"));
    assert_eq!(send(&app, call("/stands")).await.text(), "up");
}
