//! Every bound and type, all wrong fields at once, and nothing changed.

use serde_json::{Value, json};

use crate::support::{CREATE, World};

type Row = (&'static str, Value, &'static [(&'static str, &'static str)]);

fn starts() -> Vec<Row> {
    vec![
        (
            CREATE,
            json!({}),
            &[
                ("userId", "required"),
                ("projectId", "required"),
                ("prompt", "required"),
            ],
        ),
        (
            CREATE,
            json!({"userId": 1, "projectId": "a b", "prompt": "", "mode": "x",
            "confirmed": 1, "locale": [], "buildSessionId": "", "allowConcurrent": "no",
            "metadata": "x", "templateFiles": 5}),
            &[
                ("userId", "wrong_type"),
                ("projectId", "invalid_characters"),
                ("prompt", "required"),
                ("templateFiles", "wrong_type"),
                ("metadata", "wrong_type"),
                ("mode", "unknown_value"),
                ("confirmed", "wrong_type"),
                ("locale", "wrong_type"),
                ("buildSessionId", "required"),
                ("allowConcurrent", "wrong_type"),
            ],
        ),
        (
            CREATE,
            json!({"userId": "u".repeat(129), "projectId": "p".repeat(129),
            "prompt": "x".repeat(65537), "locale": "l".repeat(65),
            "buildSessionId": "s".repeat(201), "metadata": {"a": "x".repeat(65536)},
            "templateFiles": {"../x": "y"}}),
            &[
                ("userId", "too_long"),
                ("projectId", "too_long"),
                ("prompt", "too_long"),
                ("templateFiles[\"../x\"]", "not_relative"),
                ("metadata", "too_long"),
                ("locale", "too_long"),
                ("buildSessionId", "too_long"),
            ],
        ),
        (
            "/v1/update-project",
            json!({"templateFiles": [1]}),
            &[
                ("userId", "required"),
                ("projectId", "required"),
                ("prompt", "required"),
                ("templateFiles[0]", "wrong_type"),
            ],
        ),
    ]
}

fn credits() -> Vec<Row> {
    vec![
        (
            "/v1/builds/a%20b/cancel",
            json!({}),
            &[("userId", "required"), ("buildId", "invalid_characters")],
        ),
        (
            "/v1/builds/b/viewer-token",
            json!({"userId": "a/b"}),
            &[("userId", "invalid_characters")],
        ),
        (
            "/v1/credits/reserve",
            json!({"userId": "u", "seconds": 1.5, "ttlSeconds": 86401,
            "projectId": 7}),
            &[
                ("operationId", "required"),
                ("seconds", "wrong_type"),
                ("projectId", "wrong_type"),
                ("ttlSeconds", "out_of_range"),
            ],
        ),
        (
            "/v1/credits/reserve",
            json!({"userId": "u", "operationId": "o", "seconds": -1}),
            &[("seconds", "out_of_range")],
        ),
        (
            "/v1/credits/reserve",
            json!({"userId": "u", "operationId": "o", "seconds": 0,
            "ttlSeconds": 0}),
            &[("seconds", "out_of_range"), ("ttlSeconds", "out_of_range")],
        ),
        (
            "/v1/credits/reserve",
            json!({"userId": "u", "operationId": "o",
            "seconds": 9_007_199_254_740_992_u64}),
            &[("seconds", "out_of_range")],
        ),
        (
            "/v1/credits/commit",
            json!({"seconds": "5"}),
            &[
                ("reservationId", "required"),
                ("operationId", "required"),
                ("seconds", "wrong_type"),
            ],
        ),
        (
            "/v1/credits/commit",
            json!({"userId": {}, "reservationId": 5, "operationId": "x"}),
            &[
                ("userId", "wrong_type"),
                ("reservationId", "wrong_type"),
                ("seconds", "required"),
            ],
        ),
        (
            "/v1/credits/release",
            json!({"reservationId": "a b"}),
            &[
                ("reservationId", "invalid_characters"),
                ("operationId", "required"),
            ],
        ),
    ]
}

fn others() -> Vec<Row> {
    vec![
        (
            "/v1/billing/credit",
            json!({"paymentId": "", "seconds": 0}),
            &[
                ("userId", "required"),
                ("paymentId", "required"),
                ("seconds", "out_of_range"),
            ],
        ),
        (
            "/v1/billing/check-sufficient",
            json!({"operationType": "x", "projectSize": "huge"}),
            &[
                ("userId", "required"),
                ("operationType", "unknown_value"),
                ("projectSize", "unknown_value"),
            ],
        ),
        (
            "/v1/estimate",
            json!({"projectSize": 3}),
            &[("operationType", "required"), ("projectSize", "wrong_type")],
        ),
        (
            "/v1/suggestions",
            json!({"locale": 1}),
            &[
                ("userId", "required"),
                ("analysis", "required"),
                ("locale", "wrong_type"),
            ],
        ),
        (
            "/v1/suggestions",
            json!({"userId": "u", "analysis": {"services": "x",
            "missingInformation": ["a", 1], "functionalRequirements": ["y".repeat(2001)],
            "businessType": 1, "extractedInfo": []}}),
            &[
                ("analysis.services", "wrong_type"),
                ("analysis.functionalRequirements[0]", "too_long"),
                ("analysis.missingInformation[1]", "wrong_type"),
                ("analysis.businessType", "wrong_type"),
                ("analysis.extractedInfo", "wrong_type"),
            ],
        ),
    ]
}

#[tokio::test]
async fn all_wrong_fields_are_named_at_once() {
    let world = World::new();
    for (target, body, wanted) in [starts(), credits(), others()].concat() {
        let answer = world.post(target, body.clone()).send().await;
        let found = answer.wrong_fields();
        let found: Vec<_> = found
            .iter()
            .map(|(f, c)| (f.as_str(), c.as_str()))
            .collect();
        assert_eq!(
            found,
            wanted,
            "{target} {}",
            &body.to_string()[..body.to_string().len().min(200)]
        );
    }
    assert!(world.idempotency.lock().is_empty());
}

#[tokio::test]
async fn what_is_not_json_is_told_apart() {
    let world = World::new();
    let posts = [
        CREATE,
        "/v1/update-project",
        "/v1/builds/b/cancel",
        "/v1/builds/b/viewer-token",
        "/v1/credits/reserve",
        "/v1/credits/commit",
        "/v1/credits/release",
        "/v1/billing/credit",
        "/v1/billing/check-sufficient",
        "/v1/estimate",
        "/v1/suggestions",
    ];
    for target in posts {
        for (body, code) in [
            ("{", "malformed"),
            ("[]", "wrong_type"),
            ("{\"a\":1}}", "malformed"),
        ] {
            let wrong = world
                .call("POST", target)
                .json(body)
                .send()
                .await
                .wrong_fields();
            assert_eq!(
                wrong,
                [("body".to_owned(), code.to_owned())],
                "{target} {body}"
            );
        }
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
        ] {
            let call = world
                .call("POST", target)
                .body("{}")
                .header("content-type", kind);
            call.send().await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
        }
        let call = world.call("POST", target).body("{}");
        call.send().await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
}

#[tokio::test]
async fn bad_queries_of_a_poll_are_named_at_once() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let target = format!("/v1/builds/{build}/events?limit=51&intervalMs=-1&shape=x&userId=ann");
    let wrong = world.get(&target).send().await.wrong_fields();
    let fields: Vec<_> = wrong.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["limit", "intervalMs", "shape"]);
    for cursor in ["x", "1", "2026-13-01T00:00:00Z"] {
        for route in ["events", "events/stream"] {
            let target = format!("/v1/builds/{build}/{route}?userId=ann&cursor={cursor}");
            world
                .get(&target)
                .send()
                .await
                .refused(400, "CURSOR_INVALID");
        }
    }
}

#[tokio::test]
async fn another_builds_cursor_is_none_of_ours() {
    let world = World::new();
    let (one, two) = (
        world.started("ann", "p1").await,
        world.started("ann", "p2").await,
    );
    let page = world
        .get(&format!("/v1/builds/{one}/events?userId=ann"))
        .send()
        .await
        .json();
    let cursor = page["cursor"].as_str().unwrap();
    let target = format!("/v1/builds/{two}/events?userId=ann&cursor={cursor}");
    world
        .get(&target)
        .send()
        .await
        .refused(400, "CURSOR_INVALID");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_not_another_answer() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let gets = ["", "/events", "/events/stream"];
    for rest in gets {
        for target in [
            format!("/v1/builds/none{rest}?userId=ann"),
            format!("/v1/builds/{build}{rest}?userId=bob"),
        ] {
            world.get(&target).send().await.refused(404, "NOT_FOUND");
        }
    }
    for rest in ["cancel", "viewer-token"] {
        for (id, user) in [("none", "ann"), (build.as_str(), "bob")] {
            let target = format!("/v1/builds/{id}/{rest}");
            world
                .post(&target, json!({"userId": user}))
                .send()
                .await
                .refused(404, "NOT_FOUND");
        }
    }
    let taken = json!({"userId": "bob", "projectId": "p1", "prompt": "x"});
    world
        .post(CREATE, taken.clone())
        .send()
        .await
        .refused(404, "NOT_FOUND");
    world
        .post("/v1/update-project", taken)
        .send()
        .await
        .refused(404, "NOT_FOUND");
    let unknown = json!({"userId": "bob", "projectId": "p9", "prompt": "x"});
    world
        .post("/v1/update-project", unknown)
        .send()
        .await
        .refused(404, "NOT_FOUND");
    let still = world
        .get(&format!("/v1/builds/{build}?userId=ann"))
        .send()
        .await
        .json();
    assert_eq!(still["status"], "queued");
}

#[tokio::test]
async fn routes_that_are_not_built_are_absent() {
    let world = World::new();
    for target in ["/", "/v1", "/ready", "/metrics", "/openapi.json"] {
        world.get(target).send().await.refused(404, "NOT_FOUND");
    }
    for target in ["/v1/chat", "/v1/projects"] {
        let answer = world.post(target, json!({"userId": "u"})).send().await;
        assert!(
            [404, 405].contains(&answer.status.as_u16()),
            "{target} {}",
            answer.text()
        );
    }
}
