//! A page in a real browser, whose `EventSource` is cut off twice and comes back by itself.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::cutter::Cutter;
use crate::steps::Steps;
use crate::support::WorkerProcess;
use crate::webdriver::Browser;

const PAGE: &str = include_str!("follow.html");
const BACKLOG: usize = 80;
const LIVE: usize = 40;

/// Serves the page from an origin of its own, as a front end does.
async fn page_server() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", get(async || Html(PAGE)));
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        axum::serve(listener, router.into_make_service())
            .await
            .unwrap();
    });
    (origin, serving)
}

/// Waits until the page has heard `line`.
async fn hears(browser: &Browser, line: &str) {
    let script = format!("return heard.some((e) => e.data?.data?.message === {line:?})");
    testkit::until_async(line, async || browser.run(&script).await == true).await;
}

/// What the browser sent as `Last-Event-ID`.
fn last_event_id(head: &str) -> Option<&str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("last-event-id").then_some(value)
    })
}

#[tokio::test]
async fn an_event_source_that_is_cut_off_comes_back_by_itself_and_misses_nothing() {
    let (origin, _serving) = page_server().await;
    let mut steps = Steps::new();
    let worker = WorkerProcess::start(&[
        ("SHEEN_BUILD_COMMAND", &steps.command()),
        ("SHEEN_ALLOWED_ORIGINS", &origin),
    ]);
    let front = worker.front();
    let started = front.start("u1", "p1").await.expect(202);
    let id = started["buildId"].as_str().unwrap();
    let token = format!("/v1/builds/{id}/viewer-token");
    let token = front
        .post(&token, json!({"userId": "u1"}))
        .await
        .expect(200);
    for step in 0..BACKLOG {
        steps.say(&format!("backlog {step}"));
    }

    let cutter = Cutter::start(&worker.url, &[5_003, 6_007]).await;
    let stream = format!(
        "{}{}?access_token={}",
        cutter.url,
        started["streamUrl"].as_str().unwrap(),
        token["token"].as_str().unwrap()
    );
    let mut page = url::Url::parse(&origin).unwrap();
    page.query_pairs_mut().append_pair("stream", &stream);
    let browser = Browser::start().await;
    browser.go(page.as_str()).await;
    hears(&browser, &format!("backlog {}", BACKLOG - 1)).await;
    assert_eq!(cutter.left(), 0, "the browser was cut off twice");
    for step in 0..LIVE {
        steps.say(&format!("live {step}"));
        hears(&browser, &format!("live {step}")).await;
    }
    steps.end();
    testkit::until_async("the page closes its stream", async || {
        browser
            .run("return stream.readyState === EventSource.CLOSED")
            .await
            == true
    })
    .await;
    let heard = browser.run("return heard").await;
    browser.quit().await;
    check(
        heard.as_array().unwrap(),
        &cutter.asked(),
        &front.events("u1", id).await,
    );
}

fn check(heard: &[Value], asked: &[String], polled: &[Value]) {
    let of = |kind: &str| heard.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((of("error"), of("connection"), of("closed")), (2, 3, 1));
    assert_eq!(heard.last().unwrap()["type"], "closed");
    // 0 is CONNECTING: the browser comes back of its own accord.
    assert!(
        heard
            .iter()
            .all(|e| e["type"] != "error" || e["state"] == 0)
    );
    // A control event has no `id:`, so it carries the last one, and the seq that goes with it.
    let control = |event: &&Value| event["data"]["id"].is_null();
    let events: Vec<&Value> = heard
        .iter()
        .filter(|event| event["type"] != "error" && !control(event))
        .collect();
    let data: Vec<&Value> = events.iter().map(|event| &event["data"]).collect();
    assert_eq!(data, polled.iter().collect::<Vec<_>>(), "each event once");
    assert!(
        events
            .iter()
            .all(|event| event["id"] == event["data"]["id"])
    );
    // Where the browser said it was is where the page was, and where the worker went on.
    let mut last = None;
    let mut opened = 0;
    for event in heard {
        match event["type"].as_str().unwrap() {
            "error" => {}
            "connection" => {
                assert_eq!(last_event_id(&asked[opened]), last, "{}", asked[opened]);
                let from = last.map_or(1, |id| id.parse::<u64>().unwrap() + 1);
                assert_eq!(event["data"]["from"], from);
                assert_eq!(event["data"]["resumed"], "exact");
                opened += 1;
            }
            _ => last = event["id"].as_str(),
        }
    }
    assert_eq!(
        asked.len(),
        3,
        "an answered connection each, and no preflight"
    );
}
