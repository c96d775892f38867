//! Inside a nested router.

use axum::Router;
use serde_json::json;

use crate::support::{World, send};

#[tokio::test]
async fn c10_signatures_and_addresses_are_of_the_request_line_inside_a_nest() {
    let mut world = World::new();
    world.app = Router::new().nest("/worker", std::mem::take(&mut world.app));
    let body = json!({"userId": "ann", "projectId": "p1", "prompt": "A site"});
    let started = world
        .post("/worker/v1/create-preview-for-new-project", body.clone())
        .send()
        .await;
    assert_eq!(started.status, 202, "{}", started.text());
    let events = started.json()["eventsUrl"].as_str().unwrap().to_owned();
    assert!(events.starts_with("/worker/v1/builds/"), "{events}");
    let polled = world.get(&format!("{events}?userId=ann")).send().await;
    assert_eq!(polled.status, 200);

    // Signed for the path without the prefix: that is not what is on the request line.
    let mut inner = world
        .post("/v1/create-preview-for-new-project", body)
        .request();
    *inner.uri_mut() = "/worker/v1/create-preview-for-new-project".parse().unwrap();
    send(&world.app, inner)
        .await
        .refused(401, "SIGNATURE_INVALID");
    world
        .get("/worker/nowhere")
        .unsigned()
        .send()
        .await
        .refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn an_idempotency_key_is_bound_to_the_whole_path() {
    let world = World::new();
    let outer = Router::new()
        .nest("/a", world.app.clone())
        .nest("/b", world.app.clone());
    let body = json!({"userId": "ann", "paymentId": "pay1", "seconds": 10});
    let at = |prefix: &str| {
        world
            .post(&format!("{prefix}/v1/billing/credit"), body.clone())
            .key("k")
            .request()
    };
    assert_eq!(send(&outer, at("/a")).await.status, 201);
    send(&outer, at("/b"))
        .await
        .refused(422, "IDEMPOTENCY_KEY_REUSED");
}
