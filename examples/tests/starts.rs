//! Starts: once per key, one at a time per project, paid for.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Front, WorkerProcess, start_body};

const START: &str = "/v1/create-preview-for-new-project";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_equal_starts_at_once_are_one_build() {
    let worker = WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", "read _ < /dev/null; sleep 30")]);
    let front = worker.front();
    let before = front.total("u1").await;
    let body = start_body("u1", "p1");
    let calls = (0..50).map(|_| {
        let request = front
            .signed("POST", START, Some(&body))
            .header("idempotency-key", "double-click")
            .header("prefer", "wait=10");
        Front::send(request)
    });
    let answers = join_all(calls).await;
    for answer in &answers {
        assert_eq!(answer.expect(202), answers[0].json());
        assert_eq!(answer.bytes, answers[0].bytes);
    }
    let replayed: Vec<_> = answers
        .iter()
        .filter(|answer| answer.header("idempotency-replayed") == Some("true"))
        .collect();
    assert_eq!(replayed.len(), 49);
    let first = answers.iter().find(|a| a.header("idempotency-replayed").is_none()).unwrap();
    for answer in replayed {
        assert_eq!(answer.header("x-original-request-id"), first.header("x-request-id"));
        assert_ne!(answer.header("x-request-id"), first.header("x-request-id"));
    }
    let held = first.json()["reservation"]["seconds"].as_u64().unwrap();
    assert_eq!(front.total("u1").await, before - held, "one hold");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_equal_starts_without_prefer_agree_after_a_retry() {
    let worker = WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", "sleep 30")]);
    let front = worker.front();
    let body = start_body("u1", "p1");
    let send = || {
        let request = front
            .signed("POST", START, Some(&body))
            .header("idempotency-key", "\"double-click\"");
        Front::send(request)
    };
    let answers = join_all((0..50).map(|_| send())).await;
    for answer in &answers {
        assert!(answer.status == 202 || answer.status == 409, "{answer:?}");
    }
    let retry = send().await;
    let accepted = answers.iter().filter(|answer| answer.status == 202);
    for answer in accepted {
        assert_eq!(answer.bytes, retry.bytes);
    }
    assert_eq!(retry.expect(202), retry.json());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_starts_of_one_project_with_different_keys_are_one_build() {
    let worker = WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", "sleep 30")]);
    let front = worker.front();
    let body = start_body("u1", "p1");
    let calls = (0..50).map(|n| {
        let request = front
            .signed("POST", START, Some(&body))
            .header("idempotency-key", format!("key-{n}"));
        Front::send(request)
    });
    let answers = join_all(calls).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 202);
    assert_eq!((accepted.len(), refused.len()), (1, 49));
    let build = accepted[0].json()["buildId"].clone();
    for answer in refused {
        let problem = answer.expect(409);
        assert_eq!(problem["error"], "BUILD_ALREADY_ACTIVE");
        assert_eq!(problem["data"]["buildId"], build);
    }
}

#[tokio::test]
async fn too_few_seconds_are_a_402_and_after_a_credit_the_same_call_goes_through() {
    let settings = [("DAILY_GIFT_SECONDS", "10"), ("WELCOME_BONUS_SECONDS", "0")];
    let worker = WorkerProcess::start(&settings);
    let front = worker.front();
    let body = start_body("u1", "p1");
    let send = || {
        let request = front.signed("POST", START, Some(&body)).header("idempotency-key", "k1");
        Front::send(request)
    };
    let problem = send().await.expect(402);
    assert_eq!(problem["error"], "INSUFFICIENT_CREDITS");
    assert_eq!(problem["data"]["required"], 180);
    assert_eq!(problem["data"]["available"], 10);
    for field in ["package", "seconds", "cost", "purchaseUrl"] {
        assert!(!problem["data"]["recommendation"][field].is_null(), "{problem}");
    }
    assert_eq!(front.total("u1").await, 10, "nothing is held");
    let credit = json!({"userId": "u1", "paymentId": "pay-1", "seconds": 600});
    front.post("/v1/billing/credit", credit).await.expect(201);
    let started = send().await.expect(202);
    let id = started["buildId"].as_str().unwrap();
    assert_eq!(front.ended("u1", id).await["status"], "deployed");
}

#[tokio::test]
async fn another_key_of_the_same_name_and_a_replayed_nonce_are_refused() {
    let worker = WorkerProcess::start(&[]);
    let front = worker.front();
    let body = start_body("u1", "p1");
    let keyed = |body: &serde_json::Value| {
        front.signed("POST", START, Some(body)).header("idempotency-key", "k1")
    };
    Front::send(keyed(&body)).await.expect(202);
    let other = Front::send(keyed(&start_body("u1", "p2"))).await.expect(422);
    assert_eq!(other["error"], "IDEMPOTENCY_KEY_REUSED");

    let request = front.signed("GET", "/v1/billing/balance/u1", None);
    let again = request.try_clone().unwrap();
    Front::send(request).await.expect(200);
    assert_eq!(Front::send(again).await.expect(401)["error"], "NONCE_REPLAYED");
}
