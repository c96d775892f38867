//! What stands in the log, and what never does.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::World;

/// A log that is read back.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// What is logged while `work` runs, down to the last detail.
    async fn of<T>(work: impl Future<Output = T>) -> (T, String) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        let output = work.with_subscriber(subscriber).await;
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        (output, text)
    }
}

#[tokio::test]
async fn v07_a_token_in_the_address_is_never_logged() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let token = world.token("ann", &build, Duration::from_secs(600));
    let target = format!("/v1/builds/{build}/events?access_token={token}");
    let call = world
        .get(&target)
        .unsigned()
        .header("x-request-id", "call-7");
    let (answer, log) = Log::of(call.send()).await;
    assert_eq!(answer.status, 200);
    assert!(
        !log.contains(&token) && !log.contains("access_token"),
        "{log}"
    );
    for known in [
        "request_id=\"call-7\"",
        "user_id=\"ann\"",
        &format!("build_id=\"{build}\""),
    ] {
        assert!(log.contains(known), "{known} is not in {log}");
    }
}

#[tokio::test]
async fn k06_signatures_and_bodies_are_not_logged() {
    let world = World::new();
    let call = world.post("/v1/estimate", json!({"operationType": "a private matter"}));
    let request = call.request();
    let secrets: Vec<String> = ["x-sheen-sig-v2", "x-sheen-nonce"]
        .iter()
        .map(|name| request.headers()[*name].to_str().unwrap().to_owned())
        .collect();
    let (answer, log) = Log::of(crate::support::send(&world.app, request)).await;
    assert_eq!(answer.status, 400);
    assert!(log.contains("VALIDATION_FAILED"), "{log}");
    assert!(secrets.iter().all(|secret| !log.contains(secret)), "{log}");
    assert!(!log.contains("private"), "{log}");
}

#[tokio::test]
async fn a_replay_is_logged_with_both_ids() {
    let world = World::new();
    let pay = |id: &str| {
        let body = json!({"userId": "ann", "paymentId": "p1", "seconds": 1});
        world
            .post("/v1/billing/credit", body)
            .key("k")
            .header("x-request-id", id)
    };
    pay("first-call").send().await;
    let (_, log) = Log::of(pay("second-call").send()).await;
    let line = log
        .lines()
        .find(|line| line.contains("answer replayed"))
        .unwrap();
    assert!(
        line.contains("first-call") && line.contains("second-call"),
        "{line}"
    );
}

#[tokio::test]
async fn the_project_is_logged_wherever_it_is_known() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let ann = || json!({"userId": "ann"});
    let reserve = json!({"userId": "ann", "operationId": "o", "seconds": 1, "projectId": "p1"});
    let of_build = |rest: &str| format!("/v1/builds/{build}{rest}");
    for call in [
        world.get(&of_build("?userId=ann")),
        world.post(&of_build("/viewer-token"), ann()),
        world.post("/v1/credits/reserve", reserve),
        world.post(&of_build("/cancel"), ann()),
    ] {
        let (answer, log) = Log::of(call.send()).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        assert!(log.contains("project_id=\"p1\""), "{log}");
    }
}
