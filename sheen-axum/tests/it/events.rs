//! Polling and following events, with signatures and with viewer tokens.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use sheen_auth::limit::{LimitTable, Limiter, MemoryLimitStore, OnFailure};
use sheen_axum::limit::Limits;
use sheen_events::stream::StreamConfig;
use tower::ServiceExt;

use crate::support::{Answer, Call, ORIGIN, Setup, World, send};

const LIFE: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_poll_has_a_tag_and_a_hint_and_is_not_sent_twice() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let target = format!("/v1/builds/{build}/events?userId=ann");
    let page = world.get(&target).send().await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("cache-control"), Some("private, max-age=0"));
    assert_eq!(page.header("x-next-poll-ms"), Some("4000"));
    let body = page.json();
    assert_eq!(
        (&body["hasNext"], &body["nextPollMs"]),
        (&json!(false), &json!(4000))
    );
    let event = &body["events"][0];
    assert_eq!(
        (&event["seq"], &event["type"]),
        (&json!(1), &json!("build_queued"))
    );
    assert_eq!(event["buildId"], build.as_str());

    let tag = page.header("etag").unwrap();
    let same = world.get(&target).header("if-none-match", tag).send().await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
    assert_eq!(same.header("etag"), Some(tag));
    // The tag is judged after who may see it.
    let foreign = world.get(&format!("/v1/builds/{build}/events?userId=bob"));
    foreign
        .header("if-none-match", tag)
        .send()
        .await
        .refused(404, "NOT_FOUND");

    let cursor = body["cursor"].as_str().unwrap();
    let rest = world
        .get(&format!("{target}&cursor={cursor}&intervalMs=4000"))
        .send()
        .await
        .json();
    assert_eq!(
        (&rest["events"], &rest["nextPollMs"]),
        (&json!([]), &json!(6000))
    );
    let rows = world
        .get(&format!("{target}&shape=row"))
        .send()
        .await
        .json();
    assert_eq!(rows["events"][0]["event_type"], "build_queued");
    assert_eq!(rows["events"][0]["user_id"], "ann");
}

async fn viewer_token(world: &World, user: &str, build: &str) -> Answer {
    world
        .post(
            &format!("/v1/builds/{build}/viewer-token"),
            json!({"userId": user}),
        )
        .send()
        .await
}

/// A poll by `token` in the header.
fn bearing<'a>(world: &'a World, build: &str, token: &str) -> Call<'a> {
    let call = world.get(&format!("/v1/builds/{build}/events")).unsigned();
    call.header("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn a_viewer_token_reads_its_build_and_nothing_else() {
    let world = World::new();
    let (one, two) = (
        world.started("ann", "p1").await,
        world.started("ann", "p2").await,
    );
    let told = viewer_token(&world, "ann", &one).await;
    assert_eq!(told.header("cache-control"), Some("no-store"));
    let told = told.json();
    assert_eq!(told["expiresAt"], "2026-11-20T10:40:00.000Z");
    let token = told["token"].as_str().unwrap();
    assert_eq!(bearing(&world, &one, token).send().await.status, 200);
    let in_query = world
        .get(&format!("/v1/builds/{one}/events?access_token={token}"))
        .unsigned();
    let answer = in_query.send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("referrer-policy")),
        (200, Some("no-referrer"))
    );
    bearing(&world, &two, token)
        .send()
        .await
        .refused(403, "TOKEN_SCOPE");

    let elsewhere = world
        .get(&format!("/v1/builds/{one}?userId=ann"))
        .unsigned();
    let elsewhere = elsewhere.header("authorization", format!("Bearer {token}"));
    elsewhere.send().await.refused(401, "SIGNATURE_MISSING");
    world.advance(600);
    let expired = bearing(&world, &one, token).send().await;
    expired.refused(401, "TOKEN_EXPIRED");
    assert_eq!(
        expired.header("www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );
}

#[tokio::test]
async fn a_token_that_is_told_again_is_not_for_caches_either() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let target = format!("/v1/builds/{build}/viewer-token");
    let call = world.post(&target, json!({"userId": "ann"})).key("k");
    let (first, again) = (call.send().await, call.send().await);
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn every_line_of_tags_counts() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let target = format!("/v1/builds/{build}/events?userId=ann");
    let page = world.get(&target).send().await;
    let tag = page.header("etag").unwrap();
    let with = |lines: &[&str]| {
        let mut call = world.get(&target);
        for line in lines {
            call = call.header("if-none-match", line);
        }
        call
    };
    for lines in [
        &[tag, "\"other\""][..],
        &["\"other\"", tag],
        &["\"other\", \"third\"", "", tag],
    ] {
        assert_eq!(with(lines).send().await.status, 304, "{lines:?}");
    }
    let others = with(&["\"other\"", "\"third\""]);
    assert_eq!(others.send().await.status, 200);
}

#[tokio::test]
async fn v08_a_token_stands_in_one_place() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let token = world.token("ann", &build, LIFE);
    let target = format!("/v1/builds/{build}/events?access_token={token}");
    let both = world
        .get(&target)
        .unsigned()
        .header("authorization", format!("Bearer {token}"));
    let wrong = both.send().await.wrong_fields();
    assert_eq!(wrong, [("access_token".to_owned(), "conflict".to_owned())]);
    for empty in ["Bearer", "Bearer ", "bearer  "] {
        let nothing = world
            .get(&format!("/v1/builds/{build}/events"))
            .unsigned()
            .header("authorization", empty);
        nothing.send().await.refused(401, "TOKEN_INVALID");
    }
    let limits = world.get(&format!("{target}&limit=1&limit=2")).unsigned();
    let wrong = limits.send().await.wrong_fields();
    assert_eq!(wrong, [("limit".to_owned(), "duplicate".to_owned())]);
    let doubled = world
        .get(&format!("{target}&access_token={token}"))
        .unsigned();
    let wrong = doubled.send().await.wrong_fields();
    assert_eq!(wrong, [("access_token".to_owned(), "duplicate".to_owned())]);
    for (name, value) in [
        ("authorization", "Bearer x"),
        ("authorization", "Bearer \u{e9}"),
    ] {
        let call = world
            .get(&format!("/v1/builds/{build}/events"))
            .unsigned()
            .header(name, value);
        call.send().await.refused(401, "TOKEN_INVALID");
    }
    let none = world.get(&format!("/v1/builds/{build}/events")).unsigned();
    none.send().await.refused(401, "SIGNATURE_MISSING");
}

#[tokio::test]
async fn a_token_whose_user_does_not_own_the_build_finds_nothing() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let token = world.token("bob", &build, LIFE);
    bearing(&world, &build, &token)
        .send()
        .await
        .refused(404, "NOT_FOUND");
    let token = world.token("ann", &build, LIFE);
    let other = world
        .get(&format!("/v1/builds/{build}/events?userId=bob"))
        .unsigned();
    let other = other.header("authorization", format!("Bearer {token}"));
    other.send().await.refused(400, "VALIDATION_FAILED");
}

/// All frames of a stream that ends by itself.
async fn frames(call: Call<'_>) -> (Answer, Vec<(String, Value)>) {
    let answer = call.send().await;
    let text = answer.text();
    let frames = text
        .split("\n\n")
        .filter(|frame| frame.starts_with("event") || frame.starts_with("id"));
    let field = |frame: &str, name: &str| {
        let line = frame
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.to_owned()
    };
    let frames = frames
        .map(|frame| {
            (
                field(frame, "event: "),
                serde_json::from_str(&field(frame, "data: ")).unwrap(),
            )
        })
        .collect();
    (answer, frames)
}

#[tokio::test]
async fn a_stream_tells_all_and_ends_with_its_build() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    world.deploy(5).await;
    let target = format!("/v1/builds/{build}/events/stream?userId=ann");
    let (answer, told) = frames(world.get(&target)).await;
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "private, no-store, no-transform"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    let wanted = [
        "connection",
        "build_queued",
        "build_started",
        "deploy_completed",
        "caught_up",
        "closed",
    ];
    assert_eq!(kinds, wanted);
    assert_eq!(told[0].1["closed"], true);

    for (name, value) in [("last-event-id", "1"), ("x-last-event-seq", "1")] {
        let (_, told) = frames(world.get(&target).header(name, value)).await;
        assert_eq!(
            (&told[0].1["from"], &told[0].1["resumed"]),
            (&json!(2), &json!("exact"))
        );
        assert_eq!(told[1].1["seq"], 2);
    }
    let page = world
        .get(&format!("/v1/builds/{build}/events?userId=ann&limit=1"))
        .send()
        .await;
    let cursor = page.json()["cursor"].as_str().unwrap().to_owned();
    let (_, told) = frames(world.get(&format!("{target}&cursor={cursor}"))).await;
    assert_eq!(told[1].1["seq"], 2);
}

#[tokio::test]
async fn e01_at_the_tokens_end_a_bearer_is_cut_off_and_a_native_reader_is_not() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let token = world.token("ann", &build, Duration::from_secs(60));
    let target = format!("/v1/builds/{build}/events/stream");
    let header = format!("Bearer {token}");
    let bearer = world
        .get(&target)
        .unsigned()
        .header("authorization", header)
        .request();
    let native = world
        .get(&format!("{target}?access_token={token}"))
        .unsigned()
        .request();
    for (request, is_cut_off) in [(bearer, true), (native, false)] {
        let answer = world.app.clone().oneshot(request).await.unwrap();
        let mut body = answer.into_body().into_data_stream();
        let mut text = Vec::new();
        while !String::from_utf8_lossy(&text).contains("caught_up") {
            text.extend_from_slice(&body.next().await.unwrap().unwrap());
        }
        world.clock.advance(Duration::from_secs(60));
        let last = body.next().await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&last).contains("event: token_expired"));
        let end = body.next().await;
        assert_eq!(end.is_some_and(|end| end.is_err()), is_cut_off);
        world
            .clock
            .set_wall(sheen_core::time::Timestamp::parse_rfc3339("2026-11-20T10:30:00Z").unwrap());
    }
}

#[tokio::test]
async fn d12_a_full_server_sends_browsers_away_with_a_retry_and_others_with_503() {
    let mut streams = StreamConfig::default();
    streams.max_streams = 0;
    let world = World::with(Setup {
        streams,
        ..Setup::default()
    });
    let build = world.started("ann", "p1").await;
    let token = world.token("ann", &build, LIFE);
    let target = format!("/v1/builds/{build}/events/stream");
    let native = world
        .get(&format!("{target}?access_token={token}"))
        .unsigned()
        .send()
        .await;
    assert_eq!(
        (native.status.as_u16(), native.text().as_str()),
        (200, "retry: 10000\n\n")
    );
    assert_eq!(native.header("content-type"), Some("text/event-stream"));
    let bearer = world
        .get(&target)
        .unsigned()
        .header("authorization", format!("Bearer {token}"));
    let bearer = bearer.send().await;
    bearer.refused(503, "STORE_UNAVAILABLE");
    assert_eq!(bearer.header("retry-after"), Some("10"));
}

/// Of limits, too, and of a store that fails: an EventSource that met a 429 would be gone for good.
#[tokio::test]
async fn refusals_that_waiting_mends_bring_browsers_back() {
    let world = World::with(Setup {
        limits: Some(|clock| {
            let store = MemoryLimitStore::new(clock, 1000);
            let limiter = Limiter::new(Arc::new(store), OnFailure::Closed);
            Limits::new(limiter, LimitTable::wire())
        }),
        ..Setup::default()
    });
    let build = world.started("ann", "p1").await;
    let token = world.token("ann", &build, LIFE);
    let target = format!("/v1/builds/{build}/events/stream?access_token={token}");
    let mut answers = 0;
    let refused = loop {
        let request = world.get(&target).unsigned().request();
        let answer = world.app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        if answer.headers().contains_key("retry-after") {
            break Answer::of(answer).await;
        }
        answers += 1;
        assert!(answers < 100, "no limit");
    };
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(refused.text(), format!("retry: {wait}000\n\n"));
    assert!(refused.header("x-ratelimit-remaining").is_some());
    assert_eq!(
        refused.header("cache-control"),
        Some("private, no-store, no-transform")
    );
    // What waiting does not mend is told, and so is everything to other readers.
    let wrong = world.get(&format!(
        "/v1/builds/{build}/events/stream?access_token=a.b.c"
    ));
    wrong.unsigned().send().await.refused(401, "TOKEN_INVALID");
    let bearer = world.get(target.split('?').next().unwrap()).unsigned();
    let bearer = bearer.header("authorization", format!("Bearer {token}"));
    bearer.send().await.refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn shutting_down_ends_streams_and_opens_none() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let token = world.token("ann", &build, LIFE);
    let target = format!("/v1/builds/{build}/events/stream?access_token={token}");
    let open = world
        .app
        .clone()
        .oneshot(world.get(&target).unsigned().request())
        .await
        .unwrap();
    world.streams.shutdown();
    let told = Answer::of(open).await;
    assert_eq!(told.status, 200);
    assert_eq!(world.streams.active(), 0);
    let later = world.get(&target).unsigned().send().await;
    assert_eq!(later.text(), "retry: 10000\n\n");
}

#[tokio::test]
async fn only_the_configured_origins_may_read_from_a_page() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let target = format!("/v1/builds/{build}/events");
    let preflight = |origin: &str| {
        world
            .call("OPTIONS", &target)
            .unsigned()
            .header("origin", origin)
    };
    let granted = preflight(ORIGIN).send().await;
    assert_eq!(granted.status, 204);
    assert_eq!(granted.header("access-control-allow-origin"), Some(ORIGIN));
    assert!(
        granted
            .header("access-control-allow-headers")
            .unwrap()
            .contains("authorization")
    );
    assert!(granted.header("x-request-id").is_some());
    let refused = preflight("https://evil.example").send().await;
    assert_eq!(refused.header("access-control-allow-origin"), None);

    let token = world.token("ann", &build, LIFE);
    let read = bearing(&world, &build, &token)
        .header("origin", ORIGIN)
        .send()
        .await;
    assert_eq!(read.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(read.header("vary"), Some("authorization, origin"));
    let denied = bearing(&world, &build, "x")
        .header("origin", ORIGIN)
        .send()
        .await;
    denied.refused(401, "TOKEN_INVALID");
    assert_eq!(denied.header("access-control-allow-origin"), Some(ORIGIN));
    // Nothing but the event reads is for pages.
    let other = world
        .call("OPTIONS", "/v1/estimate")
        .unsigned()
        .header("origin", ORIGIN);
    let other = send(&world.app, other.request()).await;
    other.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(other.header("access-control-allow-origin"), None);
}
