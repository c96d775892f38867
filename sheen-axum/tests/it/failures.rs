//! Sources that fail to say who they are (L10).

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use serde_json::json;
use sheen_auth::address::ForwardedFor;
use sheen_auth::limit::{LimitTable, Limiter, MemoryLimitStore, OnFailure, RouteClass};
use sheen_auth::signature::Mode;
use sheen_axum::limit::{LimitError, LimitLayer, Limits};
use sheen_axum::signature::{FailureLimit, SignatureLayer};
use sheen_core::time::ManualClock;

use crate::support::{Answer, Setup, World, gate, send};

fn limiter(clock: Arc<ManualClock>) -> Limiter {
    Limiter::new(
        Arc::new(MemoryLimitStore::new(clock, 1000)),
        OnFailure::Closed,
    )
}

fn failures(clock: Arc<ManualClock>) -> FailureLimit {
    FailureLimit::new(limiter(clock), ForwardedFor::new(1).unwrap())
}

fn world() -> World {
    World::with(Setup {
        failures: Some(failures),
        ..Setup::default()
    })
}

fn from(mut request: Request<Body>, address: &str) -> Request<Body> {
    let headers = request.headers_mut();
    headers.insert("x-forwarded-for", address.parse().unwrap());
    request
}

async fn forged(world: &World, address: &str) -> Answer {
    let call = world.post("/v1/estimate", json!({"operationType": "update"}));
    let mut request = from(call.request(), address);
    let zeros = "0".repeat(64).parse().unwrap();
    request.headers_mut().insert("x-sheen-sig-v2", zeros);
    send(&world.app, request).await
}

async fn honest(world: &World, address: &str) -> Answer {
    let call = world.post("/v1/estimate", json!({"operationType": "update"}));
    send(&world.app, from(call.request(), address)).await
}

#[tokio::test]
async fn l10_a_source_that_fails_too_often_waits_and_nobody_else_does() {
    let world = world();
    for _ in 0..60 {
        forged(&world, "203.0.113.9")
            .await
            .refused(401, "SIGNATURE_INVALID");
    }
    // From here on nothing it sends is looked at, and it learns no figure.
    for answer in [
        forged(&world, "203.0.113.9").await,
        honest(&world, "203.0.113.9").await,
    ] {
        answer.refused(429, "RATE_LIMITED");
        assert_eq!(answer.header("retry-after"), Some("1"));
        for name in ["ratelimit", "ratelimit-policy", "x-ratelimit-remaining"] {
            assert_eq!(answer.header(name), None);
        }
    }
    // The principal and the key that the forged calls named are charged nothing.
    assert_eq!(honest(&world, "203.0.113.10").await.status, 200);
    // Nor is an address that a caller wrote itself, before that of the trusted hop.
    assert_eq!(
        honest(&world, "203.0.113.9, 203.0.113.10").await.status,
        200
    );
    world.advance(1);
    assert_eq!(honest(&world, "203.0.113.9").await.status, 200);
}

#[tokio::test]
async fn l10_who_did_say_who_it_is_counts_nothing() {
    let world = world();
    let call = world.post("/v1/estimate", json!({"operationType": "update"}));
    let once = from(call.request(), "203.0.113.9");
    let headers = once.headers().clone();
    assert_eq!(send(&world.app, once).await.status, 200);
    for _ in 0..100 {
        let mut replay = call.request();
        *replay.headers_mut() = headers.clone();
        send(&world.app, replay)
            .await
            .refused(401, "NONCE_REPLAYED");
    }
    assert_eq!(honest(&world, "203.0.113.9").await.status, 200);
}

#[tokio::test]
async fn l10_forged_viewer_tokens_count_too() {
    let world = world();
    let target = "/v1/builds/b_1/events";
    let call = || {
        let call = world.get(target).unsigned();
        let call = call.header("authorization", "Bearer a.b.c");
        from(call.request(), "2001:db8::7")
    };
    for _ in 0..60 {
        send(&world.app, call()).await.refused(401, "TOKEN_INVALID");
    }
    send(&world.app, call()).await.refused(429, "RATE_LIMITED");
}

#[test]
fn sign_in_routes_without_a_trusted_hop_are_refused_at_the_start() {
    let clock = || Arc::new(ManualClock::at(sheen_core::time::Timestamp::EPOCH));
    let blind = Arc::new(Limits::new(limiter(clock()), LimitTable::wire()));
    let refused = LimitLayer::new(blind, RouteClass::Auth).unwrap_err();
    assert_eq!(refused, LimitError::NoTrustedHops("auth"));
    assert!(refused.to_string().contains("no hop is trusted"));
    let seeing = Limits::new(limiter(clock()), LimitTable::wire()).forwarded(ForwardedFor::new(1));
    assert!(LimitLayer::new(Arc::new(seeing), RouteClass::Auth).is_ok());
}

#[test]
fn limits_of_callers_without_a_layer_that_says_who_calls_are_refused_at_the_start() {
    let clock = || Arc::new(ManualClock::at(sheen_core::time::Timestamp::EPOCH));
    let limits = Limits::new(limiter(clock()), LimitTable::wire()).forwarded(ForwardedFor::new(1));
    let limits = Arc::new(limits);
    for class in RouteClass::ALL {
        let alone = LimitLayer::new(Arc::clone(&limits), class);
        assert_eq!(alone.is_ok(), class.is_by_address(), "{class:?}");
        if let Err(refused) = alone {
            assert_eq!(refused, LimitError::NoCaller(class.name()));
        }
        let door = SignatureLayer::new(gate(Mode::Dual, false, clock()));
        assert!(LimitLayer::behind(door, Arc::clone(&limits), class).is_ok());
    }
}

#[test]
fn hops_that_differ_are_refused_at_the_start() {
    let clock = || Arc::new(ManualClock::at(sheen_core::time::Timestamp::EPOCH));
    let limits = |hops| {
        let limits = Limits::new(limiter(clock()), LimitTable::wire());
        Arc::new(limits.forwarded(ForwardedFor::new(hops)))
    };
    let gate = gate(Mode::Dual, false, clock());
    let door = || SignatureLayer::new(Arc::clone(&gate)).limit_failures(failures(clock()));
    for (hops, fits) in [(0, false), (1, true), (2, false)] {
        let made = LimitLayer::behind((door(), ()), limits(hops), RouteClass::Named);
        assert_eq!(
            made.err(),
            (!fits).then_some(LimitError::HopsDiffer),
            "{hops}"
        );
    }
}

#[tokio::test]
async fn l10_of_calls_at_once_no_more_are_told_that_they_failed() {
    let world = world();
    let calls = (0..300).map(|_| forged(&world, "203.0.113.9"));
    let answers = futures_util::future::join_all(calls).await;
    let told = answers.iter().filter(|answer| answer.status == 401).count();
    let waiting = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!((told, waiting), (60, 240));
}

#[tokio::test]
async fn l10_a_store_that_cannot_count_lets_nobody_guess_on() {
    let world = World::with(Setup {
        failures: Some(|clock| {
            let store = MemoryLimitStore::new(clock, 1);
            let limiter = Limiter::new(Arc::new(store), OnFailure::Closed);
            FailureLimit::new(limiter, ForwardedFor::new(1).unwrap())
        }),
        ..Setup::default()
    });
    forged(&world, "203.0.113.9")
        .await
        .refused(401, "SIGNATURE_INVALID");
    for _ in 0..3 {
        forged(&world, "198.51.100.7")
            .await
            .refused(503, "STORE_UNAVAILABLE");
    }
    assert_eq!(honest(&world, "198.51.100.7").await.status, 200);
}
