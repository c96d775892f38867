//! Keys on routes other than starts, and the layer alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{any, post};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, DATE, ETAG, LINK, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use sheen_axum::idempotency::{self, IdempotencyLayer, Owner, Whole};
use sheen_core::id::{PrincipalId, UserId};
use sheen_core::idempotency::{IdempotencyStore, MemoryIdempotencyStore, Scope, StoredAnswer};
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
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (held, counted) = (gate.clone(), runs.clone());
    let handler = move || async move {
        held.acquire().await.unwrap().forget();
        counted.fetch_add(1, Ordering::SeqCst);
        assert!(status != StatusCode::IM_A_TEAPOT, "the handler falls over");
        (status, "done")
    };
    let app = guarded(Router::new().route("/", post(handler)), store.clone());
    Gated {
        app,
        gate,
        runs,
        store,
    }
}

/// The layer around `routes`, for one user.
fn guarded(routes: Router, store: Arc<dyn IdempotencyStore>) -> Router {
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
    let runtime = Arc::new(TokioRuntime);
    let layer = IdempotencyLayer::new(store, runtime.clone(), runtime);
    routes.layer(layer).layer(owned)
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

/// The layer around a handler that counts its runs and answers with what `make` gives.
fn answering(make: fn() -> Response) -> (Router, Arc<AtomicUsize>, Arc<MemoryIdempotencyStore>) {
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let store = Arc::new(MemoryIdempotencyStore::new(clock, Default::default(), 100));
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let handler = move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
        make()
    };
    let routes = Router::new().route("/", any(handler));
    (guarded(routes, store.clone()), runs, store)
}

/// I13: what is kept is kept exactly; what belongs to one call is not.
#[tokio::test]
async fn i13_bytes_and_kept_headers_come_back_exactly_and_others_do_not() {
    let (app, runs, _) = answering(|| {
        let mut answer = Response::new(Body::from(&b"\x00\xff\xfe"[..]));
        *answer.status_mut() = StatusCode::CREATED;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-odd"));
        headers.insert("content-encoding", HeaderValue::from_static("x-odd"));
        headers.insert(ETAG, HeaderValue::from_bytes("\"é\"".as_bytes()).unwrap());
        headers.append(LINK, HeaderValue::from_static("</a>; rel=next"));
        headers.append(LINK, HeaderValue::from_static("</b>; rel=prev"));
        headers.insert(SET_COOKIE, HeaderValue::from_static("session=1"));
        headers.insert(
            DATE,
            HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"),
        );
        headers.insert("x-ratelimit-remaining", HeaderValue::from_static("7"));
        answer
    });
    for method in [Method::POST, Method::PUT, Method::PATCH] {
        let call = || {
            let mut request = keyed().method(&method).body(Body::empty()).unwrap();
            let name = HeaderValue::from_str(method.as_str()).unwrap();
            request.headers_mut().insert("idempotency-key", name);
            request
        };
        let before = runs.load(Ordering::SeqCst);
        let first = send(&app, call()).await;
        assert_eq!(first.header("set-cookie"), Some("session=1"));
        let again = app.clone().oneshot(call()).await.unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), before + 1, "{method}");
        assert_eq!(again.status(), StatusCode::CREATED);
        let headers = again.headers().clone();
        assert_eq!(headers[ETAG].as_bytes(), "\"é\"".as_bytes());
        assert_eq!(headers[CONTENT_TYPE], "application/x-odd");
        assert_eq!(headers["content-encoding"], "x-odd");
        assert_eq!(headers.get_all(LINK).iter().count(), 2);
        for gone in ["set-cookie", "date", "x-ratelimit-remaining"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        let body = again.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..], b"\x00\xff\xfe");
    }
}

fn streamed() -> Response {
    let parts = ["a", "b"].map(|part| Ok::<_, std::io::Error>(Bytes::from(part)));
    Response::new(Body::from_stream(stream::iter(parts)))
}

fn with_trailers() -> Response {
    let trailers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("t"))]);
    let body = Full::new(Bytes::from("ab")).with_trailers(std::future::ready(Some(Ok(trailers))));
    Response::new(Body::new(body))
}

fn oversized() -> Response {
    Response::new(Body::from(vec![b'x'; StoredAnswer::MAX_BODY + 1]))
}

fn with_a_header_that_is_no_text() -> Response {
    let mut answer = Response::new(Body::from("ab"));
    let value = HeaderValue::from_bytes(b"\xff").unwrap();
    answer.headers_mut().insert(ETAG, value);
    answer
}

/// I13, I10: what cannot be kept exactly is passed on whole and not kept in part; the call was
/// done, so its key is not freed for a second one.
#[tokio::test]
async fn i13_what_cannot_be_kept_is_passed_on_and_its_key_stays_bound() {
    for make in [
        streamed,
        with_trailers,
        oversized,
        with_a_header_that_is_no_text,
    ] {
        let (app, runs, store) = answering(make);
        let wanted = make().into_body().collect().await.unwrap();
        let got = app.clone().oneshot(keyed().body(Body::empty()).unwrap());
        let got = got.await.unwrap();
        assert_eq!(got.status(), StatusCode::OK);
        let got = got.into_body().collect().await.unwrap();
        assert_eq!(got.trailers(), wanted.trailers());
        assert_eq!(got.to_bytes(), wanted.to_bytes());
        let again = send(&app, keyed().body(Body::empty()).unwrap()).await;
        assert_eq!(again.status, 409);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert_eq!(store.lock().len(), 1);
    }
}

/// I13: a stream that never ends is not waited for.
#[tokio::test]
async fn i13_a_stream_without_end_reaches_its_caller() {
    let (app, _, _) = answering(|| {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from("first"))]);
        let endless = futures_util::StreamExt::chain(first, stream::pending());
        Response::new(Body::from_stream(endless))
    });
    let answer = app.oneshot(keyed().body(Body::empty()).unwrap());
    let mut body = answer.await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
}

/// I13: a whole answer has its bound where it is made.
#[tokio::test]
async fn i13_a_whole_answer_over_the_bound_is_refused_where_it_is_made() {
    let make = |length| Whole::new(StatusCode::OK, HeaderMap::new(), vec![b'x'; length]);
    assert!(make(StoredAnswer::MAX_BODY).is_ok());
    assert!(make(StoredAnswer::MAX_BODY + 1).is_err());
}

/// I12, I10: neither a refusal nor a fault is kept, whatever its status.
#[tokio::test]
async fn i12_refusals_and_faults_are_not_kept() {
    for status in [400, 401, 403, 409, 422, 429, 500, 503] {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let handler = move || async move {
            counted.fetch_add(1, Ordering::SeqCst);
            let status = StatusCode::from_u16(status).unwrap();
            Whole::new(status, HeaderMap::new(), "no")
        };
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let store = Arc::new(MemoryIdempotencyStore::new(clock, Default::default(), 100));
        let routes = Router::new().route("/", idempotency::put(handler));
        let app = guarded(routes, store.clone());
        for run in 1..=2 {
            let call = keyed().method(Method::PUT).body(Body::empty()).unwrap();
            assert_eq!(send(&app, call).await.status, status);
            assert_eq!(runs.load(Ordering::SeqCst), run);
            assert!(store.lock().is_empty());
        }
    }
}
