//! Conversations, perceived timings and recommendations.

use std::time::Duration;

use serde_json::{Value, json};
use sheen_core::id::{MessageId, ProjectId, UserId};
use sheen_events::message::{Content, MessageOutcome, NewMessage, Role};
use sheen_events::recommend::{ClaimOutcome, Items, RecommendQueue, SettleOutcome};
use sheen_events::timing::Metric;

use crate::support::{Answer, CREATE, World};

async fn say(world: &World, project: &str, id: &str, role: Role, text: &str) {
    let message = NewMessage::new(
        MessageId::parse(id).unwrap(),
        ProjectId::parse(project).unwrap(),
        UserId::parse("ann").unwrap(),
        role,
        Content::parse(text).unwrap(),
    );
    let outcome = world.conversations.append(message).await.unwrap();
    assert!(matches!(outcome, MessageOutcome::Appended(_)));
}

async fn messages(world: &World, project: &str, user: &str, query: &str) -> Answer {
    let target = format!("/v1/projects/{project}/messages?userId={user}{query}");
    world.get(&target).send().await
}

#[tokio::test]
async fn a_conversation_is_read_in_pages_by_its_owner() {
    let world = World::new();
    world.started("ann", "p").await;
    let empty = messages(&world, "p", "ann", "").await;
    assert_eq!(empty.status, 200);
    let nothing = json!({"messages": [], "nextCursor": null, "hasMore": false});
    assert_eq!(empty.json(), nothing);

    say(&world, "p", "m1", Role::User, "Hello \"you\"").await;
    world.advance(1);
    say(&world, "p", "m2", Role::Assistant, "Good day").await;
    for n in 3..=60 {
        say(&world, "p", &format!("m{n}"), Role::User, "more").await;
    }
    let first = messages(&world, "p", "ann", "&limit=2").await.json();
    let cursor = first["nextCursor"].as_str().unwrap().to_owned();
    assert_eq!(
        first,
        json!({
            "messages": [
                {"id": "m1", "role": "user", "content": "Hello \"you\"",
                    "createdAt": "2026-11-20T10:30:00.000Z"},
                {"id": "m2", "role": "assistant", "content": "Good day",
                    "createdAt": "2026-11-20T10:30:01.000Z"},
            ],
            "nextCursor": cursor, "hasMore": true
        })
    );
    let mut ids = Vec::new();
    let mut next = String::new();
    loop {
        let page = messages(&world, "p", "ann", &next).await.json();
        let list = page["messages"].as_array().unwrap();
        ids.extend(list.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        assert_eq!(
            page["hasMore"].as_bool(),
            Some(page["nextCursor"].is_string())
        );
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        assert_eq!(list.len(), 50, "the default and the most");
        next = format!("&cursor={cursor}");
    }
    let expected: Vec<String> = (1..=60).map(|n| format!("m{n}")).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn a_conversation_of_another_and_wrong_queries_are_refused() {
    let world = World::new();
    world.started("ann", "p").await;
    for id in ["m1", "m2"] {
        say(&world, "p", id, Role::User, "hello").await;
    }
    let page = messages(&world, "p", "ann", "&limit=1").await.json();
    let cursor = page["nextCursor"].as_str().unwrap().to_owned();
    world.started("bob", "q").await;
    for (project, user) in [("p", "bob"), ("q", "ann"), ("nobodys", "ann")] {
        let cursor = format!("&cursor={cursor}");
        messages(&world, project, user, &cursor)
            .await
            .refused(404, "NOT_FOUND");
    }
    messages(&world, "q", "bob", &format!("&cursor={cursor}"))
        .await
        .refused(400, "CURSOR_INVALID");
    let wrong = messages(&world, "p", "ann", "&limit=51&cursor=a&cursor=b").await;
    let wrong = wrong.wrong_fields();
    let pair = |field: &str, code: &str| (field.to_owned(), code.to_owned());
    assert_eq!(
        wrong,
        [pair("limit", "out_of_range"), pair("cursor", "duplicate")]
    );
    let wrong = world
        .get("/v1/projects/a%20b/messages?limit=x")
        .send()
        .await;
    let codes = ["out_of_range", "required", "invalid_characters"];
    let fields = ["limit", "userId", "projectId"];
    assert!(
        wrong.wrong_fields().into_iter().eq(fields
            .iter()
            .zip(codes)
            .map(|(field, code)| pair(field, code)))
    );
}

async fn report(world: &World, body: Value) -> Answer {
    world.post("/v1/timings", body).send().await
}

#[tokio::test]
async fn timings_are_counted_by_metric_within_bounds() {
    let world = World::new();
    let timing = |metric: &str, milliseconds: u64| {
        json!({
            "userId": "ann", "buildSessionId": "bs_1", "metric": metric,
            "milliseconds": milliseconds
        })
    };
    for (metric, milliseconds) in [
        ("ttfb_chat", 0),
        ("sse_connect", 250),
        ("ttft", 900),
        ("ttfi", 1_100),
        ("tt_preview", 3_600_000),
        ("tt_recs", 1),
    ] {
        let answer = report(&world, timing(metric, milliseconds)).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    }
    let counted = world.timings.snapshot(Metric::Ttft);
    let both = Duration::from_secs(2);
    assert_eq!((counted.count(), counted.sum()), (2, both));
    assert_eq!(world.timings.snapshot(Metric::TtPreview).count(), 1);

    // Under a key a repeat is counted once.
    let keyed = world.post("/v1/timings", timing("tt_recs", 5)).key("k");
    for _ in 0..3 {
        assert_eq!(keyed.send().await.status, 204);
    }
    assert_eq!(world.timings.snapshot(Metric::TtRecs).count(), 2);

    let too_long = report(&world, timing("ttft", 3_600_001)).await;
    let pair = |field: &str, code: &str| (field.to_owned(), code.to_owned());
    assert_eq!(
        too_long.wrong_fields(),
        [pair("milliseconds", "out_of_range")]
    );
    let body = json!({"userId": "ann", "metric": "TTFT", "milliseconds": -1});
    assert_eq!(
        report(&world, body).await.wrong_fields(),
        [
            pair("buildSessionId", "required"),
            pair("metric", "unknown_value"),
            pair("milliseconds", "out_of_range"),
        ]
    );
}

async fn recommendations(world: &World, project: &str, user: &str, session: &str) -> Answer {
    let target =
        format!("/v1/projects/{project}/recommendations?userId={user}&buildSessionId={session}");
    world.get(&target).send().await
}

async fn start(world: &World, session: &str, project: &str) -> Answer {
    let body = json!({
        "userId": "ann", "projectId": project, "prompt": "A site for my salon",
        "buildSessionId": session
    });
    let answer = world.post(CREATE, body).send().await;
    assert_eq!(answer.status, 202);
    answer
}

async fn settle(world: &World, result: Result<Items, &str>) {
    let ClaimOutcome::Claimed(work) = world.recommended.claim().await.unwrap() else {
        panic!("a start asks for recommendations")
    };
    let result = result.map_err(Into::into);
    let outcome = world
        .recommended
        .settle(&work.key(), work.attempt, result)
        .await;
    assert!(matches!(outcome.unwrap(), SettleOutcome::Settled(_)));
}

fn one_item() -> Items {
    let item = json!({
        "id": "alt", "title": "Describe your pictures", "description": "One has no description.",
        "category": "accessibility", "prompt": "Describe the pictures.", "confidence": 0.9
    });
    Items::new(vec![serde_json::from_value(item).unwrap()]).unwrap()
}

#[tokio::test]
async fn a_start_asks_for_recommendations_and_their_state_is_told() {
    let world = World::new();
    let started = start(&world, "s1", "p").await;
    let quick = started.json()["quickSuggestions"].clone();
    assert!(!quick.as_array().unwrap().is_empty());
    let pending = recommendations(&world, "p", "ann", "s1").await.json();
    assert_eq!(
        pending,
        json!({
            "status": "pending", "readySource": null, "quickSuggestions": quick,
            "recommendations": [], "buildSessionId": "s1", "error": null
        })
    );
    // The session again is the same request.
    start(&world, "s1", "p").await;
    settle(&world, Ok(one_item())).await;
    assert_eq!(
        world.recommended.claim().await.unwrap(),
        ClaimOutcome::Empty
    );
    let ready = recommendations(&world, "p", "ann", "s1").await.json();
    assert_eq!(
        (&ready["status"], &ready["readySource"]),
        (&"ready".into(), &"ai".into())
    );
    assert_eq!(ready["recommendations"][0]["id"], "alt");
    assert_eq!(ready["quickSuggestions"], quick);
}

#[tokio::test]
async fn a_failure_leaves_quick_ones_and_what_is_anothers_is_not_found() {
    let world = World::new();
    start(&world, "s1", "p").await;
    settle(&world, Ok(one_item())).await;
    start(&world, "s2", "p2").await;
    settle(&world, Err("It took too long.")).await;
    let failed = recommendations(&world, "p2", "ann", "").await.json();
    assert_eq!(
        (&failed["status"], &failed["readySource"], &failed["error"]),
        (
            &"ready".into(),
            &"quick".into(),
            &"It took too long.".into()
        )
    );
    let idle = recommendations(&world, "p", "ann", "other").await.json();
    assert_eq!(
        (&idle["status"], &idle["buildSessionId"]),
        (&"idle".into(), &"other".into())
    );
    recommendations(&world, "p", "bob", "s1")
        .await
        .refused(404, "NOT_FOUND");
    recommendations(&world, "none", "ann", "s1")
        .await
        .refused(404, "NOT_FOUND");
    recommendations(&world, "p", "ann", "a%20b")
        .await
        .refused(400, "VALIDATION_FAILED");
    let last = recommendations(&world, "p", "ann", "").await.json();
    assert_eq!(last["buildSessionId"], "s1");
}
