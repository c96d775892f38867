//! Conversations, recommendations and timings over HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use sheen_core::id::BuildSessionId;
use sheen_events::timing::{Seen, Submitted};

use crate::streams::read_until;
use crate::support::{Front, WorkerProcess};

async fn recommendations(front: &Front, user: &str, project: &str, session: &str) -> Value {
    let target =
        format!("/v1/projects/{project}/recommendations?userId={user}&buildSessionId={session}");
    front.get(&target).await.expect(200)
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_build_is_followed_to_its_recommendations_and_its_stream_ends_after_both() {
    let worker = WorkerProcess::start(&[]);
    let front = worker.front();
    let started = front.start("u1", "p1").await.expect(202);
    let session = started["buildSessionId"].as_str().unwrap();
    let asked = recommendations(&front, "u1", "p1", session).await;
    assert!(["pending", "ready"].contains(&asked["status"].as_str().unwrap()));
    assert_eq!(asked["quickSuggestions"], started["quickSuggestions"]);

    let target = format!("{}?userId=u1", started["streamUrl"].as_str().unwrap());
    let blocks = read_until(front.signed("GET", &target, None), |_| false).await;
    let names: Vec<&str> = blocks.iter().map(|(name, ..)| name.as_str()).collect();
    for once in ["deploy_completed", "recommendations_ready", "closed"] {
        let count = names.iter().filter(|name| **name == once).count();
        assert_eq!(count, 1, "{once}: {names:?}");
    }
    assert_eq!(names.last(), Some(&"closed"));
    let seqs: Vec<u64> = blocks.iter().filter_map(|(_, id, _)| *id).collect();
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
    let told = blocks
        .iter()
        .find(|(name, ..)| name == "recommendations_ready");
    let (_, _, told) = told.unwrap();
    assert_eq!(told["data"]["readySource"], "ai");

    let ready = recommendations(&front, "u1", "p1", session).await;
    let lacking = ["add-viewport", "add-language", "add-description", "add-404"];
    assert_eq!(ids(&ready["recommendations"]), lacking, "{ready}");
    assert_eq!(told["data"]["count"], lacking.len());
    assert_eq!(
        (&ready["status"], &ready["readySource"], &ready["error"]),
        (&json!("ready"), &json!("ai"), &Value::Null)
    );
    assert_eq!(ready["buildSessionId"], session);
    let last = recommendations(&front, "u1", "p1", "").await;
    assert_eq!(last, ready, "the last ones, where no session is named");

    // Another person's project is like none; another session was never asked for.
    let foreign = "/v1/projects/p1/recommendations?userId=u2";
    let foreign = front.get(foreign).await.expect(404);
    assert_eq!(foreign["error"], "NOT_FOUND");
    let idle = recommendations(&front, "u1", "p1", "bs_other").await;
    assert_eq!(
        (&idle["status"], &idle["readySource"]),
        (&json!("idle"), &Value::Null)
    );

    report_what_was_waited(&front, session, &blocks).await;
}

/// What a client of wire.md §13 measures and reports of the blocks it saw, a second apart.
async fn report_what_was_waited(
    front: &Front,
    session: &str,
    blocks: &[(String, Option<u64>, Value)],
) {
    let session = BuildSessionId::parse(session).unwrap();
    let mut timings = Submitted::at(Duration::ZERO).session(session.clone());
    let mut now = Duration::from_secs(1);
    let mut measured = timings.see(&session, Seen::FirstByte, now);
    for (name, ..) in blocks {
        now += Duration::from_secs(1);
        measured.extend(timings.see(&session, Seen::Event(name), now));
    }
    let mut names = Vec::new();
    for timing in measured {
        names.push(timing.metric().as_str());
        let body = json!({
            "userId": "u1",
            "buildSessionId": session.as_str(),
            "metric": timing.metric().as_str(),
            "milliseconds": u64::try_from(timing.waited().as_millis()).unwrap(),
        });
        let answer = front.post("/v1/timings", body).await;
        assert_eq!((answer.status, answer.bytes.len()), (204, 0));
    }
    names.sort_unstable();
    let all = ["sse_connect", "tt_preview", "tt_recs", "ttfb_chat", "ttft"];
    assert_eq!(names, all);
    let asleep = json!({
        "userId": "u1", "buildSessionId": session.as_str(), "metric": "ttft",
        "milliseconds": 3_600_001
    });
    let refused = front.post("/v1/timings", asleep).await.expect(400);
    assert_eq!(refused["data"]["fields"][0]["field"], "milliseconds");
}

#[tokio::test]
async fn a_failed_build_has_recommendations_and_its_stream_ends_too() {
    let command = "echo no; exit 1";
    let worker = WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", command)]);
    let front = worker.front();
    let started = front.start("u1", "p1").await.expect(202);
    let target = format!("{}?userId=u1", started["streamUrl"].as_str().unwrap());
    let blocks = read_until(front.signed("GET", &target, None), |_| false).await;
    let names: Vec<&str> = blocks.iter().map(|(name, ..)| name.as_str()).collect();
    assert!(names.contains(&"deploy_failed"), "{names:?}");
    assert!(names.contains(&"recommendations_ready"), "{names:?}");
    assert_eq!(names.last(), Some(&"closed"));
}

#[tokio::test]
async fn a_conversation_is_its_owners_and_begins_empty() {
    let worker = WorkerProcess::start(&[]);
    let front = worker.front();
    let messages = |project: &str, user: &str, more: &str| {
        let target = format!("/v1/projects/{project}/messages?userId={user}{more}");
        let front = front.clone();
        async move { front.get(&target).await }
    };
    let nobodys = messages("p1", "u1", "").await.expect(404);
    assert_eq!(nobodys["error"], "NOT_FOUND");
    front.start("u1", "p1").await.expect(202);
    let answer = messages("p1", "u1", "").await;
    assert_eq!(
        answer.expect(200),
        json!({"messages": [], "nextCursor": null, "hasMore": false})
    );
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    messages("p1", "u2", "").await.expect(404);
    let cursor = messages("p1", "u1", "&cursor=nonsense").await.expect(400);
    assert_eq!(cursor["error"], "CURSOR_INVALID");
}
