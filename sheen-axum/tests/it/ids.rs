//! Request ids, correlation ids and timing on every answer.

use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn a_good_id_is_kept_and_any_other_is_replaced() {
    let world = World::new();
    let long = "x".repeat(129);
    let bad: [&[u8]; 5] = [b"", b"two words", "é".as_bytes(), long.as_bytes(), b"\xff"];
    for id in bad {
        let answer = world
            .get("/health")
            .unsigned()
            .header("x-request-id", id)
            .send()
            .await;
        let made = answer.header("x-request-id").unwrap();
        assert!(made.starts_with("req_") && made.len() == 40, "{made}");
        assert_eq!(answer.header("x-correlation-id"), Some(made));
    }
    let longest = "x".repeat(128);
    for id in ["a", longest.as_str(), "!~{}"] {
        let answer = world
            .get("/health")
            .unsigned()
            .header("x-request-id", id)
            .send()
            .await;
        assert_eq!(answer.header("x-request-id"), Some(id));
        assert_eq!(answer.header("x-correlation-id"), Some(id));
    }
}

#[tokio::test]
async fn an_id_given_twice_is_replaced_and_a_correlation_id_is_its_own() {
    let world = World::new();
    let twice = world
        .get("/health")
        .unsigned()
        .header("x-request-id", "a")
        .header("x-request-id", "b")
        .header("x-correlation-id", "flow-7")
        .send()
        .await;
    assert!(twice.header("x-request-id").unwrap().starts_with("req_"));
    assert_eq!(twice.header("x-correlation-id"), Some("flow-7"));
}

#[tokio::test]
async fn refusals_have_ids_and_timing_too() {
    let world = World::new();
    for call in [
        world.get("/nowhere").unsigned(),
        world.call("DELETE", "/health").unsigned(),
        world.post("/v1/estimate", json!({})).unsigned(),
        world.get("/v1/builds/b").unsigned(),
    ] {
        let answer = call.header("x-request-id", "mine").send().await;
        let code = answer.json()["error"].as_str().unwrap().to_owned();
        answer.refused(answer.status.as_u16(), &code);
        assert_eq!(answer.header("x-request-id"), Some("mine"));
    }
}

#[tokio::test]
async fn health_is_open_and_says_ok() {
    let world = World::new();
    let answer = world.get("/health").unsigned().send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({"status": "ok"}))
    );
    assert!(answer.header("server-timing").is_some());
}
