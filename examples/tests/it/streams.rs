//! A reader that is killed mid-stream and comes back.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::{Front, WorkerProcess};

/// Reads a stream until `enough` says so or it ends; gives the event blocks it saw whole.
pub(crate) async fn read_until(
    request: reqwest::RequestBuilder,
    enough: impl FnMut(&[(String, Option<u64>, Value)]) -> bool,
) -> Vec<(String, Option<u64>, Value)> {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(
        response.headers()["cache-control"],
        "private, no-store, no-transform"
    );
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    blocks_of(response, enough).await
}

async fn blocks_of(
    response: reqwest::Response,
    mut enough: impl FnMut(&[(String, Option<u64>, Value)]) -> bool,
) -> Vec<(String, Option<u64>, Value)> {
    let mut chunks = response.bytes_stream();
    let mut text = String::new();
    let mut blocks = Vec::new();
    while let Some(Ok(chunk)) = chunks.next().await {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((block, rest)) = text.split_once("\n\n") {
            if let Some(parsed) = parse(block) {
                blocks.push(parsed);
            }
            text = rest.to_owned();
        }
        if enough(&blocks) {
            break;
        }
    }
    blocks
}

fn parse(block: &str) -> Option<(String, Option<u64>, Value)> {
    let field = |name: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let data = serde_json::from_str(field("data")?).unwrap();
    let id = field("id").map(|id| id.parse().unwrap());
    Some((field("event").unwrap_or("message").to_owned(), id, data))
}

fn seqs(blocks: &[(String, Option<u64>, Value)]) -> Vec<u64> {
    blocks.iter().filter_map(|(_, id, _)| *id).collect()
}

fn noisy() -> WorkerProcess {
    let command = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done";
    WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", command)])
}

#[tokio::test]
async fn a_reader_killed_mid_stream_resumes_and_sees_every_seq_once() {
    let worker = noisy();
    let front = worker.front();
    let started = front.start("u1", "p1").await.expect(202);
    let target = format!("{}?userId=u1", started["streamUrl"].as_str().unwrap());
    let first = read_until(front.signed("GET", &target, None), |b| seqs(b).len() >= 40).await;
    assert_eq!(first[0].0, "connection");
    assert_eq!(first[0].2["resumed"], "exact");
    let last = *seqs(&first).last().unwrap();
    let again = front
        .signed("GET", &target, None)
        .header("last-event-id", last.to_string());
    let rest = read_until(again, |_| false).await;
    assert_eq!(rest[0].2["from"], last + 1);
    let names: Vec<&str> = rest.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names.iter().filter(|name| **name == "caught_up").count(), 1);
    assert_eq!(names.last(), Some(&"closed"), "the server ended the stream");
    let all: Vec<u64> = seqs(&first).into_iter().chain(seqs(&rest)).collect();
    let head = *all.last().unwrap();
    assert!(head > 300);
    assert_eq!(all, (1..=head).collect::<Vec<u64>>());
    for (_, id, data) in first.iter().chain(&rest) {
        assert_eq!(data["buildSessionId"], started["buildSessionId"]);
        if let Some(id) = id {
            assert_eq!(data["seq"], *id);
            assert_eq!(data["id"], id.to_string());
        }
    }
    let polled = front
        .events("u1", started["buildId"].as_str().unwrap())
        .await;
    let streamed: Vec<&Value> = first
        .iter()
        .chain(&rest)
        .filter(|(_, id, _)| id.is_some())
        .map(|(.., d)| d)
        .collect();
    assert_eq!(
        polled.iter().collect::<Vec<_>>(),
        streamed,
        "stream and poll say the same"
    );
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_and_comes_back_with_its_cursor() {
    // More than the sockets between them hold.
    let command = "head -c 8000000 /dev/zero | tr '\\0' x | fold -w 4000";
    let worker = WorkerProcess::start(&[
        ("SHEEN_BUILD_COMMAND", command),
        ("SHEEN_READER_TIMEOUT_SECONDS", "1"),
    ]);
    let front = worker.front();
    let started = front.start("u1", "p1").await.expect(202);
    let target = format!("{}?userId=u1", started["streamUrl"].as_str().unwrap());
    let stalled = front.signed("GET", &target, None).send().await.unwrap();
    let open_streams = async |count: usize| {
        let line = format!("open_streams {count}");
        testkit::until_async(&line, async || {
            let figures = Front::send(front.http.get(format!("{}/metrics", front.url))).await;
            String::from_utf8(figures.bytes)
                .unwrap()
                .lines()
                .any(|told| told == line)
        })
        .await;
    };
    open_streams(1).await;
    front
        .ended("u1", started["buildId"].as_str().unwrap())
        .await;
    open_streams(0).await;

    let had = blocks_of(stalled, |_| false).await;
    let last = *seqs(&had).last().expect("what it was sent before");
    let again = front
        .signed("GET", &target, None)
        .header("last-event-id", last.to_string());
    let rest = read_until(again, |_| false).await;
    assert_eq!(rest.last().unwrap().0, "closed");
    let all: Vec<u64> = seqs(&had).into_iter().chain(seqs(&rest)).collect();
    assert_eq!(all, (1..=*all.last().unwrap()).collect::<Vec<u64>>());
    assert!(last < *all.last().unwrap(), "it was cut");
}

#[tokio::test]
async fn a_browser_reads_with_a_token_and_with_nothing_else() {
    let worker = noisy();
    let front = worker.front();
    let started = front.start("u1", "p1").await.expect(202);
    let id = started["buildId"].as_str().unwrap();
    let other = front.start("u1", "p2").await.expect(202);
    let token = format!("/v1/builds/{id}/viewer-token");
    let token = front
        .post(&token, json!({"userId": "u1"}))
        .await
        .expect(200);
    let token = token["token"].as_str().unwrap();
    let events = format!("{}/v1/builds/{id}/events", front.url);
    let stream = front
        .http
        .get(format!("{events}/stream?access_token={token}"));
    let blocks = read_until(stream, |_| false).await;
    assert_eq!(blocks.last().unwrap().0, "closed");
    let page = Front::send(front.http.get(&events).bearer_auth(token)).await;
    assert!(!page.expect(200)["events"].as_array().unwrap().is_empty());

    let get = |target: String| Front::send(front.http.get(target).bearer_auth(token));
    let other = other["buildId"].as_str().unwrap();
    let scope = get(format!("{}/v1/builds/{other}/events", front.url))
        .await
        .expect(403);
    assert_eq!(scope["error"], "TOKEN_SCOPE");
    let both = get(format!("{events}?access_token={token}")).await;
    assert_eq!(both.status, 400);
    let elsewhere = get(format!("{}/v1/billing/balance/u1", front.url))
        .await
        .expect(401);
    assert_eq!(elsewhere["error"], "SIGNATURE_MISSING");
    let forged = Front::send(front.http.get(&events).bearer_auth("a.b.c"))
        .await
        .expect(401);
    assert_eq!(forged["error"], "TOKEN_INVALID");
}

#[tokio::test]
async fn a_poll_of_nothing_new_is_a_304_and_a_bad_cursor_a_400() {
    let worker = noisy();
    let front = worker.front();
    let started = front.start("u1", "p1").await.expect(202);
    let id = started["buildId"].as_str().unwrap();
    front.ended("u1", id).await;
    let target = format!("/v1/builds/{id}/events?userId=u1");
    let page = front.get(&target).await;
    page.expect(200);
    let tag = page.header("etag").unwrap();
    let again = front
        .signed("GET", &target, None)
        .header("if-none-match", tag);
    let again = Front::send(again).await;
    assert_eq!((again.status, again.bytes.len()), (304, 0));
    assert_eq!(again.header("etag"), Some(tag));
    let bad = front
        .get(&format!("{target}&cursor=nonsense"))
        .await
        .expect(400);
    assert_eq!(bad["error"], "CURSOR_INVALID");
    let other = front.start("u1", "p2").await.expect(202);
    let other = other["buildId"].as_str().unwrap();
    let cursor = page.json()["cursor"].as_str().unwrap().to_owned();
    let foreign = format!("/v1/builds/{other}/events?userId=u1&cursor={cursor}");
    assert_eq!(
        front.get(&foreign).await.expect(400)["error"],
        "CURSOR_INVALID"
    );
}
