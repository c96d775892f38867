//! Keys on routes other than starts, and the layer alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn;
use axum::routing::post;
use http::{HeaderValue, Request, StatusCode};
use serde_json::json;
use sheen_axum::idempotency::{IdempotencyLayer, Owner};
use sheen_core::id::{PrincipalId, UserId};
use sheen_core::idempotency::MemoryIdempotencyStore;
use sheen_core::idempotency::Scope;
use sheen_core::runtime::TokioRuntime;
use sheen_core::time::{ManualClock, Timestamp};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::support::{Answer, World, send};

#[tokio::test]
async fn a_keyed_call_happens_once_and_a_refusal_frees_its_key() {
    let world = World::new();
    let pay = |seconds: u64| {
        let body = json!({"userId": "ann", "paymentId": "p1", "seconds": seconds});
        world.post("/v1/billing/credit", body).key("k1")
    };
    let first = pay(10).header("x-request-id", "first").send().await;
    let again = pay(10).header("x-request-id", "again").send().await;
    assert_eq!((again.status.as_u16(), &again.body), (201, &first.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("x-original-request-id"), Some("first"));
    assert_eq!(again.header("x-request-id"), Some("again"));
    assert_eq!(again.header("content-type"), Some("application/json"));
    pay(11).send().await.refused(422, "IDEMPOTENCY_KEY_REUSED");

    let reserve = |seconds: u64| {
        let body = json!({"userId": "bob", "operationId": "o", "seconds": seconds});
        world.post("/v1/credits/reserve", body).key("k1")
    };
    reserve(9999)
        .send()
        .await
        .refused(402, "INSUFFICIENT_CREDITS");
    assert_eq!(reserve(5).send().await.status, 201);
}

#[tokio::test]
async fn keys_are_checked_and_both_forms_of_one_are_one() {
    let world = World::new();
    let pay = || {
        world.post(
            "/v1/billing/credit",
            json!({"userId": "a", "paymentId": "p", "seconds": 1}),
        )
    };
    let long = "k".repeat(256);
    for bad in ["", " ", "a b", "é", "\"open", long.as_str()] {
        pay()
            .key(bad)
            .send()
            .await
            .refused(400, "IDEMPOTENCY_KEY_INVALID");
    }
    pay()
        .key("a")
        .key("a")
        .send()
        .await
        .refused(400, "IDEMPOTENCY_KEY_INVALID");
    assert_eq!(
        pay().key("a").send().await.header("idempotency-replayed"),
        None
    );
    assert_eq!(
        pay()
            .key("\"a\"")
            .send()
            .await
            .header("idempotency-replayed"),
        Some("true")
    );
    // Who calls comes first, then the key, then the fields.
    let body = json!({"seconds": "x"});
    world
        .post("/v1/billing/credit", body)
        .key("é")
        .send()
        .await
        .refused(400, "VALIDATION_FAILED");
    let body = json!({"userId": "a", "seconds": "x"});
    world
        .post("/v1/billing/credit", body)
        .key("é")
        .send()
        .await
        .refused(400, "IDEMPOTENCY_KEY_INVALID");
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    let world = World::new();
    let pay = || {
        world
            .post(
                "/v1/billing/credit",
                json!({"userId": "a", "paymentId": "p", "seconds": 1}),
            )
            .key("k")
    };
    pay().send().await;
    world.advance(24 * 3600 - 1);
    assert_eq!(
        pay().send().await.header("idempotency-replayed"),
        Some("true")
    );
    world.advance(1);
    assert_eq!(pay().send().await.header("idempotency-replayed"), None);
}

/// The layer around a handler that waits for a permit and counts its runs.
struct Gated {
    app: Router,
    gate: Arc<Semaphore>,
    runs: Arc<AtomicUsize>,
    store: Arc<MemoryIdempotencyStore>,
}

fn gated(status: StatusCode) -> Gated {
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let store = Arc::new(MemoryIdempotencyStore::new(clock, Default::default(), 100));
    let runtime = Arc::new(TokioRuntime);
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (held, counted) = (gate.clone(), runs.clone());
    let handler = move || async move {
        held.acquire().await.unwrap().forget();
        counted.fetch_add(1, Ordering::SeqCst);
        assert!(status != StatusCode::IM_A_TEAPOT, "the handler falls over");
        (status, "done")
    };
    let owned = from_fn(
        |mut request: Request<Body>, next: axum::middleware::Next| async move {
            let scope = Scope::new(
                PrincipalId::parse("p").unwrap(),
                UserId::parse("u").unwrap(),
            );
            request.extensions_mut().insert(Owner::Scope(scope));
            next.run(request).await
        },
    );
    let app = Router::new()
        .route("/", post(handler))
        .layer(IdempotencyLayer::new(
            store.clone(),
            runtime.clone(),
            runtime,
        ))
        .layer(owned);
    Gated {
        app,
        gate,
        runs,
        store,
    }
}

fn keyed() -> http::request::Builder {
    Request::post("/").header("idempotency-key", "k")
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeat_while_the_first_runs_is_told_to_come_again_or_waits() {
    let gated = gated(StatusCode::OK);
    let first = tokio::task::LocalSet::new();
    let app = gated.app.clone();
    let (told, waited) = first
        .run_until(async {
            let first = tokio::task::spawn_local(async move {
                app.oneshot(keyed().body(Body::empty()).unwrap())
                    .await
                    .unwrap()
            });
            until(|| !gated.store.lock().is_empty()).await;
            let busy = gated
                .app
                .clone()
                .oneshot(keyed().body(Body::empty()).unwrap())
                .await
                .unwrap();
            assert_eq!(
                (busy.status().as_u16(), &busy.headers()["retry-after"]),
                (409, &HeaderValue::from_static("1"))
            );
            let patient = keyed()
                .header("prefer", "wait=1")
                .body(Body::empty())
                .unwrap();
            let patient = gated.app.clone().oneshot(patient).await.unwrap();
            assert_eq!(patient.status(), 409);
            let patient = keyed()
                .header("prefer", "wait=10")
                .body(Body::empty())
                .unwrap();
            let patient = tokio::task::spawn_local(gated.app.clone().oneshot(patient));
            gated.gate.add_permits(1);
            (first.await.unwrap(), patient.await.unwrap().unwrap())
        })
        .await;
    let (told, waited) = (Answer::of(told).await, Answer::of(waited).await);
    assert_eq!(
        (
            told.status.as_u16(),
            told.text(),
            told.header("idempotency-replayed")
        ),
        (200, "done".into(), None)
    );
    assert_eq!(
        (waited.text(), waited.header("idempotency-replayed")),
        ("done".into(), Some("true"))
    );
    assert_eq!(gated.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_cut_the_effect_from_its_record() {
    let gated = gated(StatusCode::CREATED);
    let call = gated
        .app
        .clone()
        .oneshot(keyed().body(Body::empty()).unwrap());
    let mut call = Box::pin(call);
    // Polled until the lease is there, then dropped, as a server does when its peer is gone.
    tokio::select! {
        biased;
        _ = &mut call => unreachable!("the handler waits"),
        () = until(|| !gated.store.lock().is_empty()) => {}
    }
    drop(call);
    gated.gate.add_permits(1);
    until(|| gated.runs.load(Ordering::SeqCst) == 1).await;
    let again = keyed()
        .header("prefer", "wait=10")
        .body(Body::empty())
        .unwrap();
    let again = send(&gated.app, again).await;
    assert_eq!(
        (again.status.as_u16(), again.header("idempotency-replayed")),
        (201, Some("true"))
    );
    assert_eq!(gated.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_and_a_panic_free_the_key() {
    for status in [StatusCode::CONFLICT, StatusCode::IM_A_TEAPOT] {
        let gated = gated(status);
        gated.gate.add_permits(2);
        for run in 1..=2 {
            let answer = send(&gated.app, keyed().body(Body::empty()).unwrap()).await;
            assert!(!answer.status.is_success());
            assert_eq!(gated.runs.load(Ordering::SeqCst), run);
        }
    }
}

#[tokio::test]
async fn without_a_key_and_on_reads_nothing_is_recorded() {
    let gated = gated(StatusCode::OK);
    gated.gate.add_permits(1);
    let bare = Request::post("/").body(Body::empty()).unwrap();
    assert_eq!(send(&gated.app, bare).await.status, 200);
    let read = Request::get("/")
        .header("idempotency-key", "k")
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(&gated.app, read).await.status, 405);
    assert!(gated.store.lock().is_empty());
}
