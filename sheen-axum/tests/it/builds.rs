//! Starting, reading and cancelling builds.

use serde_json::{Value, json};

use crate::support::{Answer, CREATE, Setup, World};

fn wish(user: &str, project: &str) -> Value {
    json!({"userId": user, "projectId": project, "prompt": "Create a salon website"})
}

#[tokio::test]
async fn a_start_answers_with_all_that_follows_it() {
    let world = World::new();
    let mut body = wish("ann", "p1");
    body["buildSessionId"] = "mine".into();
    body["templateFiles"] = json!({"index.html": "<h1>Salon</h1>"});
    let answer = world.post(CREATE, body).send().await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("content-language"), Some("en"));
    let told = answer.json();
    let id = told["buildId"].as_str().unwrap();
    assert_eq!(told["buildSessionId"], "mine");
    assert_eq!(
        (&told["status"], &told["queuePosition"]),
        (&json!("queued"), &json!(1))
    );
    assert_eq!(told["reservation"]["seconds"], 180);
    assert_eq!(told["eventsUrl"], format!("/v1/builds/{id}/events"));
    assert_eq!(told["streamUrl"], format!("/v1/builds/{id}/events/stream"));
    let suggestions = told["quickSuggestions"].as_array().unwrap();
    assert!((1..=4).contains(&suggestions.len()));
    assert!(
        suggestions
            .iter()
            .all(|one| one["id"].as_str().unwrap().starts_with("qs-"))
    );

    let read = world
        .get(&format!("/v1/builds/{id}?userId=ann"))
        .send()
        .await
        .json();
    assert_eq!(
        read,
        json!({
            "buildId": id, "versionId": told["versionId"], "projectId": "p1",
            "buildSessionId": "mine", "status": "queued",
            "createdAt": "2026-11-20T10:30:00.000Z", "updatedAt": "2026-11-20T10:30:00.000Z"
        })
    );
}

#[tokio::test]
async fn suggestions_come_in_the_persons_language_and_say_so() {
    let world = World::new();
    let arabic = world
        .post(CREATE, wish("ann", "p1"))
        .header("accept-language", "fr;q=0.1, ar-EG");
    assert_eq!(arabic.send().await.header("content-language"), Some("ar"));
    let lines = world
        .post(CREATE, wish("ann", "p2"))
        .header("accept-language", "fr;q=0.1")
        .header("accept-language", "es;q=0.05, ar;q=0.9");
    assert_eq!(lines.send().await.header("content-language"), Some("ar"));
    let asked = json!({"userId": "ann", "analysis": {"missingInformation": ["pricing"]}, "locale": "AR_sa"});
    let answer = world.post("/v1/suggestions", asked).send().await;
    assert_eq!(answer.header("content-language"), Some("ar"));
    let found = answer.json();
    let found = found["suggestions"].as_array().unwrap();
    assert_eq!(found[0]["id"], "qs-pricing");
    assert_eq!(found[0]["confidence"], 0.9);
    let confident: Vec<f64> = found
        .iter()
        .map(|one| one["confidence"].as_f64().unwrap())
        .collect();
    assert!(confident.is_sorted_by(|a, b| a >= b) && found.len() <= 4);
}

#[tokio::test]
async fn one_session_names_one_build() {
    let world = World::new();
    let mut body = wish("ann", "p1");
    body["buildSessionId"] = "mine".into();
    let first = world.post(CREATE, body.clone()).send().await.json();
    let again = world.post(CREATE, body).send().await;
    assert_eq!(
        (again.status.as_u16(), again.json()["buildId"].clone()),
        (202, first["buildId"].clone())
    );
}

#[tokio::test]
async fn a_project_has_one_active_build_unless_the_call_says_otherwise() {
    let world = World::new();
    let first = world.started("ann", "p1").await;
    let data = world
        .post(CREATE, wish("ann", "p1"))
        .send()
        .await
        .refused(409, "BUILD_ALREADY_ACTIVE");
    assert_eq!(data, json!({"buildId": first}));
    let mut beside = wish("ann", "p1");
    beside["allowConcurrent"] = true.into();
    assert_eq!(
        world.post(CREATE, beside).send().await.json()["queuePosition"],
        2
    );
}

#[tokio::test]
async fn a_cancel_ends_a_build_once() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let cancel = || {
        world.post(
            &format!("/v1/builds/{build}/cancel"),
            json!({"userId": "ann"}),
        )
    };
    let done = cancel().send().await;
    assert_eq!(done.status, 200);
    assert_eq!(
        (&done.json()["status"], &done.json()["reason"]),
        (&json!("failed"), &json!("CANCELLED"))
    );
    cancel().send().await.refused(409, "TRANSITION_NOT_ALLOWED");
    // Under a key the same cancel is the same answer.
    let other = world.started("ann", "p2").await;
    let keyed = world
        .post(
            &format!("/v1/builds/{other}/cancel"),
            json!({"userId": "ann"}),
        )
        .key("k");
    let (first, again) = (keyed.send().await, keyed.send().await);
    assert_eq!((again.status.as_u16(), &again.body), (200, &first.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
}

#[tokio::test]
async fn a_deployed_build_shows_where_and_what_it_used() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    world.deploy(42).await;
    let read = world
        .get(&format!("/v1/builds/{build}?userId=ann"))
        .send()
        .await
        .json();
    assert_eq!(
        (&read["status"], &read["previewUrl"], &read["seconds"]),
        (
            &json!("deployed"),
            &json!("https://preview.example/"),
            &json!(42)
        )
    );
    let update = world
        .post("/v1/update-project", wish("ann", "p1"))
        .send()
        .await;
    assert_eq!(update.json()["reservation"]["seconds"], 60);
}

#[tokio::test]
async fn plan_mode_and_an_unconfirmed_build_change_nothing() {
    let world = World::new();
    let with = |mode: Value, confirmed: Value| {
        let mut body = wish("ann", "p1");
        (body["mode"], body["confirmed"]) = (mode, confirmed);
        world.post(CREATE, body)
    };
    with("plan".into(), true.into())
        .send()
        .await
        .refused(403, "PLAN_MODE_READ_ONLY");
    with("build".into(), Value::Null)
        .send()
        .await
        .refused(403, "CONFIRMATION_REQUIRED");
    with("build".into(), false.into())
        .send()
        .await
        .refused(403, "CONFIRMATION_REQUIRED");
    assert_eq!(world.credits.lock().accounts().count(), 0);
    assert_eq!(with("build".into(), true.into()).send().await.status, 202);
}

#[tokio::test]
async fn too_few_seconds_make_no_build_and_after_a_credit_the_same_call_goes_through() {
    let world = World::new();
    let spent = json!({"userId": "ann", "operationId": "o", "seconds": 2600});
    assert_eq!(
        world.post("/v1/credits/reserve", spent).send().await.status,
        201
    );
    let start = world.post(CREATE, wish("ann", "p1")).key("k");
    let data = start.send().await.refused(402, "INSUFFICIENT_CREDITS");
    assert_eq!(
        (&data["required"], &data["available"]),
        (&json!(180), &json!(100))
    );
    assert_eq!(data["recommendation"]["package"], "small");
    // Nobody owns the project yet: a refusal claims nothing.
    let pay = json!({"userId": "ann", "paymentId": "p", "seconds": 100});
    assert_eq!(
        world.post("/v1/billing/credit", pay).send().await.status,
        201
    );
    assert_eq!(start.send().await.status, 202);
}

#[tokio::test]
async fn a_full_store_refuses_for_a_while() {
    let world = World::with(Setup {
        build_capacity: 1,
        ..Setup::default()
    });
    world.started("ann", "p1").await;
    world
        .post(CREATE, wish("ann", "p2"))
        .send()
        .await
        .refused(503, "STORE_UNAVAILABLE");
}

async fn start_under(world: &World, key: &str, body: Value) -> Answer {
    world.post(CREATE, body).key(key).send().await
}

#[tokio::test]
async fn a_keyed_start_is_one_build_and_its_answer_the_same_bytes() {
    let world = World::new();
    let first = start_under(&world, "k1", wish("ann", "p1")).await;
    world.deploy(1).await;
    let again = start_under(&world, "\"k1\"", wish("ann", "p1")).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(
        again.header("x-original-request-id"),
        first.header("x-request-id")
    );
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    assert_eq!(again.header("content-language"), Some("en"));
    assert_eq!(first.header("idempotency-replayed"), None);
    // Another user's key of the same name is another key.
    assert_eq!(
        start_under(&world, "k1", wish("bob", "p2")).await.status,
        202
    );
}

#[tokio::test]
async fn a_reused_key_is_told_before_wrong_fields_and_plan_mode() {
    let world = World::new();
    start_under(&world, "k1", wish("ann", "p1")).await;
    let wrong = json!({"userId": "ann", "projectId": 7});
    start_under(&world, "k1", wrong.clone())
        .await
        .refused(422, "IDEMPOTENCY_KEY_REUSED");
    let mut plan = wish("ann", "p1");
    plan["mode"] = "plan".into();
    start_under(&world, "k1", plan.clone())
        .await
        .refused(422, "IDEMPOTENCY_KEY_REUSED");
    start_under(&world, "k2", wrong)
        .await
        .refused(400, "VALIDATION_FAILED");
    start_under(&world, "k2", plan)
        .await
        .refused(403, "PLAN_MODE_READ_ONLY");
    // Who calls comes before the key, the key before the fields.
    start_under(&world, "a b", json!({}))
        .await
        .refused(400, "VALIDATION_FAILED");
    start_under(&world, "a b", json!({"userId": "ann"}))
        .await
        .refused(400, "IDEMPOTENCY_KEY_INVALID");
}

#[tokio::test]
async fn a_reused_key_is_told_before_an_updates_wrong_fields_plan_mode_and_owner() {
    let world = World::new();
    start_under(&world, "used", wish("ann", "p1")).await;
    let update = |key: &str, body: &Value| world.post("/v1/update-project", body.clone()).key(key);
    let wrong = json!({"userId": "ann", "projectId": 7});
    let (mut plan, mut unconfirmed) = (wish("ann", "p1"), wish("ann", "p1"));
    plan["mode"] = "plan".into();
    unconfirmed["mode"] = "build".into();
    let nobodys = wish("ann", "p9");
    for (body, status, code) in [
        (wrong, 400, "VALIDATION_FAILED"),
        (plan, 403, "PLAN_MODE_READ_ONLY"),
        (unconfirmed, 403, "CONFIRMATION_REQUIRED"),
        (nobodys, 404, "NOT_FOUND"),
    ] {
        let reused = update("used", &body).send().await;
        reused.refused(422, "IDEMPOTENCY_KEY_REUSED");
        update("new", &body).send().await.refused(status, code);
    }
}

#[tokio::test]
async fn of_fifty_starts_under_one_key_one_is_a_build() {
    let world = World::new();
    let starts = (0..50).map(|_| {
        let call = world
            .post(CREATE, wish("ann", "p1"))
            .key("k")
            .header("prefer", "wait=10");
        async move { call.send().await }
    });
    let answers = futures_util::future::join_all(starts).await;
    let replayed = answers
        .iter()
        .filter(|one| one.header("idempotency-replayed").is_some());
    assert_eq!(replayed.count(), 49);
    assert!(
        answers
            .iter()
            .all(|one| one.status == 202 && one.body == answers[0].body)
    );
    assert_eq!(world.credits.lock().accounts().count(), 1);
}

#[tokio::test]
async fn of_fifty_starts_under_fifty_keys_one_is_a_build() {
    let world = World::new();
    let starts = (0..50).map(|n| {
        let call = world.post(CREATE, wish("ann", "p1")).key(&format!("k{n}"));
        async move { call.send().await }
    });
    let answers = futures_util::future::join_all(starts).await;
    let (accepted, busy): (Vec<_>, Vec<_>) = answers.iter().partition(|one| one.status == 202);
    assert_eq!((accepted.len(), busy.len()), (1, 49));
    for refusal in busy {
        let data = refusal.refused(409, "BUILD_ALREADY_ACTIVE");
        assert_eq!(data["buildId"], accepted[0].json()["buildId"]);
    }
}
