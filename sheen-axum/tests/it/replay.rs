//! A build's log, whole.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::time::Clock;
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, EventLog, EventType, NewEvent, NewStream};
use tower::ServiceExt;

use crate::support::{Answer, Call, World};

const LINES: &str = "application/x-ndjson";

fn replay<'a>(world: &'a World, build: &str, mut body: Value) -> Call<'a> {
    if body.get("userId").is_none() {
        body["userId"] = json!("ann");
    }
    world.post(&format!("/v1/builds/{build}/replay"), body)
}

fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some(LINES));
    let text = answer.text();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A log of `events` whose data is `size` bytes each; nothing but a log.
pub(crate) async fn filled(world: &World, events: usize, size: usize) -> BuildId {
    let build = BuildId::parse("bld_long").unwrap();
    let session = BuildSessionId::parse("bs_long").unwrap();
    let stream = NewStream::new(build.clone(), UserId::parse("ann").unwrap(), session);
    world.log.open(stream).await.unwrap();
    let data = json!({"message": "x".repeat(size)});
    let event = NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap()).unwrap();
    for _ in 0..events {
        let append = Append::new(build.clone(), FencingToken::ZERO, vec![event.clone()]);
        world.log.append(append).await.unwrap();
    }
    build
}

#[tokio::test]
async fn a_closed_build_is_replayed_as_lines_or_as_an_array() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    world.deploy(5).await;
    let answer = replay(&world, &build, json!({"fromSeq": 1})).send().await;
    let lines = events(&answer);
    let kinds: Vec<_> = lines
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["build_queued", "build_started", "deploy_completed"]);
    for (name, value) in [
        ("cache-control", "private, no-store"),
        ("x-content-type-options", "nosniff"),
        ("content-language", "en"),
        ("x-replay-from", "1"),
        ("x-replay-to", "3"),
        ("x-replay-floor", "0"),
        ("x-replay-closed", "true"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let polled = world
        .get(&format!("/v1/builds/{build}/events?userId=ann"))
        .send()
        .await;
    assert_eq!(
        json!(lines),
        polled.json()["events"],
        "the same events as in a poll"
    );

    let array = replay(&world, &build, json!({"fromSeq": 1}))
        .header("accept", "application/json")
        .send()
        .await;
    assert_eq!(array.header("content-type"), Some("application/json"));
    assert_eq!(array.json(), json!(lines));
    let part = json!({"fromSeq": 2, "toSeq": 2});
    let part = events(&replay(&world, &build, part).send().await);
    assert_eq!(part, lines[1..2]);
    let beyond = json!({"fromSeq": 4});
    let beyond = replay(&world, &build, beyond.clone()).header("accept", "application/json");
    assert_eq!(beyond.send().await.text(), "[]");
}

#[tokio::test]
async fn an_open_build_is_replayed_as_far_as_it_is() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let answer = replay(&world, &build, json!({"fromSeq": 0})).send().await;
    assert_eq!(answer.header("x-replay-closed"), Some("false"));
    assert_eq!(events(&answer).len(), 1);
    world.deploy(5).await;
    let rest = replay(&world, &build, json!({"fromSeq": 2})).send().await;
    assert_eq!(
        rest.header("x-replay-epoch"),
        answer.header("x-replay-epoch")
    );
    assert_eq!(events(&rest).len(), 2);
}

#[tokio::test]
async fn unknown_and_foreign_builds_and_wrong_fields_are_refused_as_elsewhere() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let foreign = json!({"userId": "bob", "fromSeq": 1});
    let foreign = replay(&world, &build, foreign).send().await;
    foreign.refused(404, "NOT_FOUND");
    let unknown = replay(&world, "bld_nobodys", json!({"fromSeq": 1}))
        .send()
        .await;
    unknown.refused(404, "NOT_FOUND");
    for (body, field, code) in [
        (json!({}), "fromSeq", "required"),
        (json!({"fromSeq": "1"}), "fromSeq", "wrong_type"),
        (json!({"fromSeq": 1.0}), "fromSeq", "wrong_type"),
        (json!({"fromSeq": -1}), "fromSeq", "out_of_range"),
        (
            json!({"fromSeq": 9_007_199_254_740_992_u64}),
            "fromSeq",
            "out_of_range",
        ),
        (json!({"fromSeq": 2, "toSeq": 1}), "toSeq", "out_of_range"),
        (json!({"fromSeq": 1, "toSeq": true}), "toSeq", "wrong_type"),
    ] {
        let refused = replay(&world, &build, body.clone()).send().await;
        let wrong = vec![(field.to_owned(), code.to_owned())];
        assert_eq!(refused.wrong_fields(), wrong, "{body}");
    }
    let long = "x".repeat(129);
    let both = replay(&world, &long, json!({"fromSeq": -1})).send().await;
    let wrong = both.wrong_fields();
    let names: Vec<_> = wrong.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["fromSeq", "buildId"]);
    let token = world.token("ann", &build, Duration::from_secs(60));
    let viewer = replay(&world, &build, json!({"fromSeq": 1})).unsigned();
    let viewer = viewer.header("authorization", format!("Bearer {token}"));
    viewer.send().await.refused(401, "SIGNATURE_MISSING");
    let read = world.get(&format!("/v1/builds/{build}/replay?userId=ann"));
    read.send().await.refused(405, "METHOD_NOT_ALLOWED");
}

/// A12: what retention took is told, in a header and by the first seq.
#[tokio::test]
async fn a12_the_floor_is_told() {
    let world = World::new();
    let build = filled(&world, 20, 10).await;
    world.advance(3600);
    world.log.lock().remove_before(world.clock.now(), 5);
    let answer = replay(&world, build.as_str(), json!({"fromSeq": 1}))
        .send()
        .await;
    let told = events(&answer);
    assert_eq!((told.len(), &told[0]["seq"]), (15, &json!(6)));
    for (name, value) in [
        ("x-replay-floor", "5"),
        ("x-replay-from", "6"),
        ("x-replay-to", "20"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    // A poll tells it too, and a stream says `gap`.
    let poll = world
        .get(&format!("/v1/builds/{build}/events?userId=ann"))
        .send()
        .await;
    assert_eq!(poll.json()["gap"], json!({"floor": 5}));
    assert_eq!(poll.json()["events"][0]["seq"], 6);
}

/// B4, A12: bounded by one page, and what breaks it off is no end.
#[tokio::test]
async fn b04_a_replay_that_breaks_off_is_an_error_and_not_an_end() {
    let world = World::new();
    let build = filled(&world, 400, 2000).await;
    for accept in [LINES, "application/json"] {
        let call = replay(&world, build.as_str(), json!({"fromSeq": 1})).header("accept", accept);
        let answer = world.app.clone().oneshot(call.request()).await.unwrap();
        let mut body = answer.into_body().into_data_stream();
        let first = body.next().await.unwrap().unwrap();
        assert!(first.len() < 64 * 1024, "{} bytes at once", first.len());
        world.advance(3600);
        world.log.lock().remove_before(world.clock.now(), 199);
        let mut last = first;
        let broken = loop {
            match body.next().await {
                Some(Ok(bytes)) => last = bytes,
                other => break other,
            }
        };
        assert!(broken.is_some_and(|broken| broken.is_err()));
        assert!(!last.ends_with(b"]"));
    }
}
