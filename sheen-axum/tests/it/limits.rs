//! How often each caller may call, and what answers say of it (wire.md §11).

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use sheen_auth::address::ForwardedFor;
use sheen_auth::limit::{
    LimitKey, LimitStore, LimitTable, Limiter, MemoryLimitStore, OnFailure, Quotas, Standing,
    TakeOutcome,
};
use sheen_axum::limit::Limits;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::time::ManualClock;

use crate::support::{Answer, CREATE, ORIGIN, Setup, World};

fn direct(clock: Arc<ManualClock>) -> Limits {
    let store = Arc::new(MemoryLimitStore::new(clock, 1000));
    Limits::new(Limiter::new(store, OnFailure::Closed), LimitTable::wire())
}

fn behind_one_proxy(clock: Arc<ManualClock>) -> Limits {
    direct(clock).forwarded(ForwardedFor::new(1))
}

fn world(limits: fn(Arc<ManualClock>) -> Limits) -> World {
    World::with(Setup {
        limits: Some(limits),
        ..Setup::default()
    })
}

/// Limit, remaining and reset.
fn figures(answer: &Answer) -> Option<(u64, u64, u64)> {
    let figure = |name| Some(answer.header(name)?.parse().unwrap());
    Some((
        figure("x-ratelimit-limit")?,
        figure("x-ratelimit-remaining")?,
        figure("x-ratelimit-reset")?,
    ))
}

fn read_of(user: &str) -> String {
    format!("/v1/builds/b_unknown?userId={user}")
}

#[tokio::test]
async fn every_answer_of_a_limited_route_says_where_its_caller_stands() {
    let world = world(direct);
    for left in (0..10).rev() {
        let answer = world.get(&read_of("ann")).send().await;
        answer.refused(404, "NOT_FOUND");
        assert_eq!(figures(&answer), Some((10, left, 1)));
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"user\";q=10;w=10")
        );
        let field = format!("\"user\";r={left};t=1");
        assert_eq!(answer.header("ratelimit"), Some(field.as_str()));
        assert_eq!(answer.header("retry-after"), None);
    }
    for _ in 0..3 {
        let answer = world.get(&read_of("ann")).send().await;
        answer.refused(429, "RATE_LIMITED");
        assert_eq!(figures(&answer), Some((10, 0, 1)));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // Somebody else does not notice, and a second later neither does the caller.
    let other = world.get(&read_of("bob")).send().await;
    assert_eq!(
        (other.status.as_u16(), figures(&other)),
        (404, Some((10, 9, 1)))
    );
    world.advance(1);
    assert_eq!(world.get(&read_of("ann")).send().await.status, 404);
    assert_eq!(world.get(&read_of("ann")).send().await.status, 429);
}

#[tokio::test]
async fn each_class_of_routes_counts_apart() {
    let world = world(direct);
    let build = world.started("ann", "p1").await;
    let events = format!("/v1/builds/{build}/events?userId=ann");
    let balance = world.get("/v1/billing/balance/ann").send().await;
    assert_eq!(figures(&balance), Some((60, 59, 1)));
    let poll = world.get(&events).send().await;
    assert_eq!(figures(&poll), Some((60, 59, 1)));
    let read = world
        .get(&format!("/v1/builds/{build}?userId=ann"))
        .send()
        .await;
    assert_eq!(figures(&read), Some((10, 8, 1)), "the start was the first");
    // Of no user: by the principal.
    let estimate = json!({"operationType": "update"});
    let estimate = world.post("/v1/estimate", estimate).send().await;
    assert_eq!(
        (estimate.status.as_u16(), figures(&estimate)),
        (200, Some((600, 599, 1)))
    );
    let health = world.get("/health").unsigned().send().await;
    assert_eq!(figures(&health), None);
}

#[tokio::test]
async fn a_token_counts_under_its_user() {
    let world = world(direct);
    let build = world.started("ann", "p1").await;
    let token = world.token("ann", &build, std::time::Duration::from_secs(600));
    let target = format!("/v1/builds/{build}/events");
    let bearer = format!("Bearer {token}");
    let watch = world
        .get(&target)
        .unsigned()
        .header("authorization", &bearer);
    assert_eq!(figures(&watch.send().await), Some((60, 59, 1)));
    let signed = world.get(&format!("{target}?userId=ann")).send().await;
    assert_eq!(figures(&signed), Some((60, 58, 1)));
    // A page of another origin may read the figures.
    let crossing = watch.header("origin", ORIGIN).send().await;
    let exposed = crossing.header("access-control-expose-headers").unwrap();
    for name in ["x-ratelimit-remaining", "ratelimit", "retry-after"] {
        assert!(
            exposed.split(", ").any(|exposed| exposed == name),
            "{exposed}"
        );
    }
}

#[tokio::test]
async fn commit_and_release_count_under_the_reservations_user() {
    let world = world(direct);
    let reserve = json!({"userId": "ann", "operationId": "o1", "seconds": 5});
    let reserved = world.post("/v1/credits/reserve", reserve).send().await;
    assert_eq!(figures(&reserved), Some((10, 9, 1)));
    let reservation = reserved.json()["reservationId"].clone();
    let commit = json!({"reservationId": reservation, "operationId": "o2", "seconds": 5});
    let committed = world.post("/v1/credits/commit", commit).send().await;
    assert_eq!(
        (committed.status.as_u16(), figures(&committed)),
        (200, Some((10, 8, 1)))
    );
    // A reservation of nobody's: counted, under who signed.
    let guess = json!({"reservationId": "r_guess", "operationId": "o3"});
    let guessed = world.post("/v1/credits/release", guess).send().await;
    guessed.refused(404, "NOT_FOUND");
    assert_eq!(figures(&guessed), Some((600, 599, 1)));
}

#[tokio::test]
async fn l10_a_forged_call_takes_nothing_and_learns_nothing() {
    let world = world(direct);
    for _ in 0..50 {
        let call = world.get(&read_of("ann"));
        let forged = call.unsigned().header("x-sheen-signature", "0".repeat(64));
        let answer = forged.send().await;
        assert_eq!(answer.status, 401);
        assert_eq!(figures(&answer), None);
        assert_eq!(answer.header("ratelimit"), None);
    }
    let honest = world.get(&read_of("ann")).send().await;
    assert_eq!(figures(&honest), Some((10, 9, 1)));
}

#[tokio::test]
async fn the_limit_stands_before_the_key_and_the_fields() {
    let world = world(direct);
    let body = json!({"userId": "ann", "projectId": "p1", "prompt": "A site"});
    let start = world.post(CREATE, body).key("k1");
    let first = start.send().await;
    assert_eq!(first.status, 202);
    // A repeat counts like any call.
    let repeat = start.send().await;
    assert_eq!(repeat.header("idempotency-replayed"), Some("true"));
    assert_eq!(figures(&repeat), Some((10, 8, 1)));
    for _ in 0..8 {
        world.get(&read_of("ann")).send().await;
    }
    start.send().await.refused(429, "RATE_LIMITED");
    let wrong = world.post(CREATE, json!({"userId": "ann"})).key("");
    wrong.send().await.refused(429, "RATE_LIMITED");
    // What was refused left the key alone.
    world.advance(10);
    assert_eq!(
        start.send().await.header("idempotency-replayed"),
        Some("true")
    );
}

#[tokio::test]
async fn what_names_no_user_counts_though_it_is_refused() {
    let world = world(direct);
    for (number, body) in ["{", "[]", "{\"userId\": 7}", "{}"].into_iter().enumerate() {
        let call = world
            .call("POST", "/v1/billing/check-sufficient")
            .json(body);
        let answer = call.send().await;
        answer.refused(400, "VALIDATION_FAILED");
        let left = 599 - u64::try_from(number).unwrap();
        assert_eq!(figures(&answer), Some((600, left, 1)), "{body}");
    }
}

#[tokio::test]
async fn l08_addresses_count_through_trusted_hops_alone() {
    let balance = "/v1/billing/balance/ann";
    let world = world(behind_one_proxy);
    let from = |lines: &[&str]| {
        let lines = lines.iter();
        lines.fold(world.get(balance), |call, line| {
            call.header("x-forwarded-for", line)
        })
    };
    for (lines, left) in [
        (&["203.0.113.9"][..], 59),
        (&["6.6.6.6, 203.0.113.9"], 58),
        (&["6.6.6.6", "7.7.7.7, [::ffff:203.0.113.9]:4711"], 57),
        (&["203.0.113.9, 198.51.100.7"], 59),
        (&["2001:db8::1"], 59),
        (&["2001:db8::2"], 58),
        // Nothing to go by: the user.
        (&[], 59),
        (&["203.0.113.9, unknown"], 58),
    ] {
        let answer = from(lines).send().await;
        assert_eq!(figures(&answer), Some((60, left, 1)), "{lines:?}");
    }
    // Nobody's proxy is trusted here: the header is nothing but what somebody wrote.
    let world = self::world(direct);
    for left in [59, 58] {
        let forged = format!("203.0.113.{left}");
        let answer = world
            .get(balance)
            .header("x-forwarded-for", forged)
            .send()
            .await;
        assert_eq!(figures(&answer), Some((60, left, 1)));
    }
}

/// A store that is down.
#[derive(Debug)]
struct Down;

impl Down {
    fn error() -> StoreError {
        StoreError::with_source(StoreErrorKind::Unavailable, "the socket is closed")
    }
}

#[async_trait]
impl LimitStore for Down {
    async fn take(&self, _: &LimitKey<'_>, _: &Quotas, _: u32) -> Result<TakeOutcome, StoreError> {
        Err(Self::error())
    }

    async fn peek(&self, _: &LimitKey<'_>, _: &Quotas, _: u32) -> Result<TakeOutcome, StoreError> {
        Err(Self::error())
    }

    async fn refund(&self, _: &LimitKey<'_>, _: &Quotas, _: u32) -> Result<Standing, StoreError> {
        Err(Self::error())
    }
}

#[tokio::test]
async fn l11_a_failing_store_opens_or_closes_as_chosen() {
    let open = world(|_| {
        Limits::new(
            Limiter::new(Arc::new(Down), OnFailure::Open),
            LimitTable::wire(),
        )
    });
    let answer = open.get("/v1/billing/balance/ann").send().await;
    assert_eq!((answer.status.as_u16(), figures(&answer)), (200, None));
    let closed = world(|_| {
        Limits::new(
            Limiter::new(Arc::new(Down), OnFailure::Closed),
            LimitTable::wire(),
        )
    });
    let answer = closed.get("/v1/billing/balance/ann").send().await;
    answer.refused(503, "STORE_UNAVAILABLE");
    assert!(!answer.text().contains("socket"));
}
