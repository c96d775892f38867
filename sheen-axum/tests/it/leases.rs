//! The layer of keyed calls alone, when calls are slow, leases lapse and the store fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::routing::post;
use axum::{Extension, Router};
use http::{HeaderMap, Request, StatusCode};
use sheen_axum::idempotency::{IdempotencyLayer, Owner};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{PrincipalId, UserId};
use sheen_core::idempotency::{
    BeginOutcome, ExtendOutcome, Fingerprint, IdempotencyKey, IdempotencyStore, Lease,
    LeaseOutcome, Lifetimes, MemoryIdempotencyStore, Scope, StoredAnswer,
};
use sheen_core::runtime::{ManualSleep, Spawn, TokioRuntime};
use sheen_core::time::{ManualClock, Timestamp};
use tokio::sync::{Semaphore, oneshot};

use crate::support::{Answer, send};

/// The layer around a handler that counts its calls, waits for a permit and answers with the
/// call's label.
struct Held {
    app: Router,
    clock: Arc<ManualClock>,
    sleep: Arc<ManualSleep>,
    permits: Arc<Semaphore>,
    calls: Arc<AtomicUsize>,
}

impl Held {
    fn new() -> Self {
        Self::over(|clock| {
            let lifetimes = Default::default();
            Arc::new(MemoryIdempotencyStore::new(clock, lifetimes, 100))
        })
    }

    fn over(store: impl FnOnce(Arc<ManualClock>) -> Arc<dyn IdempotencyStore>) -> Self {
        Self::paced(store, IdempotencyLayer::RENEW_EVERY)
    }

    fn paced(
        store: impl FnOnce(Arc<ManualClock>) -> Arc<dyn IdempotencyStore>,
        pace: Duration,
    ) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let sleep = Arc::new(ManualSleep::new(clock.clone()));
        let (permits, calls) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (held, counted) = (permits.clone(), calls.clone());
        let handler = move |headers: HeaderMap| async move {
            counted.fetch_add(1, Ordering::SeqCst);
            held.acquire().await.unwrap().forget();
            headers["x-label"].to_str().unwrap().to_owned()
        };
        let (principal, user) = (PrincipalId::parse("p"), UserId::parse("u"));
        let scope = Scope::new(principal.unwrap(), user.unwrap());
        let layer =
            IdempotencyLayer::new(store(clock.clone()), Arc::new(TokioRuntime), sleep.clone())
                .renew_every(pace);
        let app = Router::new()
            .route("/", post(handler))
            .layer(layer)
            .layer(Extension(Owner::Scope(scope)));
        Self {
            app,
            clock,
            sleep,
            permits,
            calls,
        }
    }

    /// The same call each time: what a header says is no part of it.
    fn call(&self, label: &str) -> oneshot::Receiver<Answer> {
        let request = Request::post("/")
            .header("idempotency-key", "k")
            .header("x-label", label)
            .body(Body::empty())
            .unwrap();
        let app = self.app.clone();
        let (answer, answered) = oneshot::channel();
        TokioRuntime.spawn(Box::pin(async move {
            let _ = answer.send(send(&app, request).await);
        }));
        answered
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// Lets every other task go as far as it can; on one thread this needs no clock.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// The answer of a call that has ended.
#[track_caller]
fn ended(mut call: oneshot::Receiver<Answer>) -> Answer {
    call.try_recv().unwrap()
}

/// Leases of 10 s, renewed at the pace that was said.
#[tokio::test]
async fn short_leases_are_kept_by_renewing_them_sooner() {
    let short = Lifetimes::new(Duration::from_secs(3600), Duration::from_secs(10));
    let held = Held::paced(
        |clock| Arc::new(MemoryIdempotencyStore::new(clock, short, 100)),
        Duration::from_secs(3),
    );
    let slow = held.call("slow");
    settle().await;
    for _ in 0..10 {
        held.sleep.advance(Duration::from_secs(3));
        settle().await;
    }
    let repeat = held.call("repeat");
    settle().await;
    assert_eq!(ended(repeat).status, 409);
    held.permits.add_permits(1);
    settle().await;
    assert_eq!((ended(slow).status, held.calls()), (StatusCode::OK, 1));
}

#[tokio::test]
async fn i2_a_body_that_nobody_read_before_is_refused_and_no_body_is_not() {
    let held = Held::new();
    held.permits.add_permits(1);
    let call = |body: &'static str| {
        let request = Request::post("/").header("idempotency-key", "k");
        let request = request.header("x-label", "it").body(Body::from(body));
        let app = held.app.clone();
        async move { send(&app, request.unwrap()).await }
    };
    assert_eq!(call("{}").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(held.calls(), 0);
    assert_eq!((call("").await.status, held.calls()), (StatusCode::OK, 1));
}

#[tokio::test]
async fn a_call_that_runs_past_its_lease_keeps_it() {
    let held = Held::new();
    let slow = held.call("slow");
    settle().await;
    // Four times as long as a lease lasts.
    for _ in 0..12 {
        held.sleep.advance(Duration::from_secs(20));
        settle().await;
        let repeat = held.call("repeat");
        settle().await;
        assert_eq!(ended(repeat).status, 409);
    }
    assert_eq!(held.calls(), 1);
    held.permits.add_permits(1);
    assert_eq!(slow.await.unwrap().text(), "slow");
    let repeat = held.call("repeat").await.unwrap();
    assert_eq!(
        (repeat.text(), repeat.header("idempotency-replayed")),
        ("slow".into(), Some("true"))
    );
    assert_eq!(held.calls(), 1);
    assert_eq!(
        held.sleep.sleepers(),
        0,
        "an ended call no longer renews its lease"
    );
}

#[tokio::test]
async fn a_call_that_lost_its_lease_answers_its_caller_and_is_not_kept() {
    let held = Held::new();
    let late = held.call("late");
    settle().await;
    // The process was stopped for longer than the lease: nothing in it woke.
    held.clock.advance(Duration::from_secs(61));
    let second = held.call("second");
    settle().await;
    assert_eq!(held.calls(), 2);

    // Permits are given in the order they were asked for: the late call ends first.
    held.permits.add_permits(1);
    settle().await;
    let late = ended(late);
    assert_eq!((late.status.as_u16(), late.text()), (200, "late".into()));
    assert_eq!(late.header("idempotency-replayed"), None);
    let between = held.call("between");
    settle().await;
    assert_eq!(ended(between).status, 409);

    held.permits.add_permits(1);
    assert_eq!(second.await.unwrap().text(), "second");
    let repeat = held.call("repeat").await.unwrap();
    assert_eq!(
        (repeat.text(), repeat.header("idempotency-replayed")),
        ("second".into(), Some("true"))
    );
    assert_eq!(held.calls(), 2);
}

/// A store that is down.
#[derive(Debug)]
struct Down;

impl Down {
    fn error<T>() -> Result<T, StoreError> {
        Err(StoreError::new(StoreErrorKind::Unavailable))
    }
}

#[async_trait]
impl IdempotencyStore for Down {
    async fn begin(
        &self,
        _: &Scope,
        _: &IdempotencyKey,
        _: Fingerprint,
    ) -> Result<BeginOutcome, StoreError> {
        Self::error()
    }

    async fn extend(&self, _: &Lease) -> Result<ExtendOutcome, StoreError> {
        Self::error()
    }

    async fn complete(&self, _: &Lease, _: StoredAnswer) -> Result<LeaseOutcome, StoreError> {
        Self::error()
    }

    async fn abandon(&self, _: &Lease) -> Result<LeaseOutcome, StoreError> {
        Self::error()
    }

    async fn look(
        &self,
        _: &Scope,
        _: &IdempotencyKey,
        _: Fingerprint,
    ) -> Result<Option<BeginOutcome>, StoreError> {
        Self::error()
    }

    async fn reap(&self, _: u32) -> Result<u32, StoreError> {
        Self::error()
    }
}

#[tokio::test]
async fn i18_while_the_store_is_down_no_keyed_call_runs() {
    let held = Held::over(|_| Arc::new(Down));
    held.permits.add_permits(10);
    for _ in 0..3 {
        let answer = held.call("any").await.unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["error"], "STORE_UNAVAILABLE");
    }
    assert_eq!(held.calls(), 0);
    // It is the store that stands in the way, not the handler.
    let bare = Request::post("/").header("x-label", "bare");
    let bare = send(&held.app, bare.body(Body::empty()).unwrap()).await;
    assert_eq!((bare.text(), held.calls()), ("bare".into(), 1));
}
