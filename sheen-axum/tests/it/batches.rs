//! Several starts in one call, and the latest builds of several projects (wire.md §5).

use serde_json::{Map, Value, json};
use sheen_core::id::WorkerId;

use crate::support::{CREATE, Setup, World};

const BATCH: &str = "/v1/builds/batch";

fn member(operation: &str, project: &str) -> Value {
    json!({"operationId": operation, "projectId": project, "prompt": "A salon", "locale": "ar"})
}

async fn results(world: &World, members: Value) -> Vec<Value> {
    let call = json!({"userId": "ann", "builds": members});
    let answer = world.post(BATCH, call).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["results"].as_array().unwrap().clone()
}

fn statuses(results: &[Value]) -> Vec<u64> {
    let status = |result: &Value| result["status"].as_u64().unwrap();
    results.iter().map(status).collect()
}

#[tokio::test]
async fn each_member_of_a_batch_has_its_own_outcome_in_order() {
    let world = World::new();
    world.started("bob", "of-bob").await;
    let mut plan = member("plan", "p2");
    plan["mode"] = "plan".into();
    let mut update = member("update", "nowhere");
    update["operationType"] = "update".into();
    let mut wrong = member("wrong", "p3");
    wrong["prompt"] = json!(7);
    let members = json!([
        member("one", "p1"),
        member("busy", "p1"),
        plan,
        wrong,
        update,
        member("theirs", "of-bob"),
        "no object",
        member("two", "p4"),
    ]);
    let told = results(&world, members).await;
    assert_eq!(statuses(&told), [202, 409, 403, 400, 404, 404, 400, 202]);
    let one = &told[0]["body"];
    assert_eq!(
        (&one["status"], &one["queuePosition"]),
        (&json!("queued"), &json!(2))
    );
    assert_eq!(told[1]["body"]["error"], "BUILD_ALREADY_ACTIVE");
    assert_eq!(told[1]["body"]["data"]["buildId"], one["buildId"]);
    assert_eq!(told[2]["body"]["error"], "PLAN_MODE_READ_ONLY");
    assert_eq!(told[3]["body"]["data"]["fields"][0]["field"], "prompt");
    assert_eq!(told[6]["body"]["data"]["fields"][0]["field"], "builds");
    assert_eq!(told[7]["body"]["queuePosition"], 3);
    for refused in &told[1..7] {
        assert!(refused["body"]["requestId"].is_string(), "{refused}");
        assert!(refused["body"]["timestamp"].is_string(), "{refused}");
    }
}

#[tokio::test]
async fn a_batch_repeated_starts_nothing_twice() {
    let world = World::new();
    let members = || json!([member("one", "p1"), member("two", "p2")]);
    let first = results(&world, members()).await;
    assert_eq!(statuses(&first), [202, 202]);
    assert_eq!(results(&world, members()).await, first);
    // One of them alone, in another company, is still the same operation.
    let more = json!([
        member("three", "p3"),
        member("two", "p2"),
        member("two", "p9")
    ]);
    let again = results(&world, more).await;
    assert_eq!(statuses(&again), [202, 202, 422]);
    assert_eq!(again[1], first[1]);
    assert_eq!(again[2]["body"]["error"], "IDEMPOTENCY_KEY_REUSED");
    // Another user's operations are others.
    let call = json!({"userId": "bob", "builds": [member("one", "q1")]});
    let theirs = world.post(BATCH, call).send().await.json();
    assert_eq!(theirs["results"][0]["status"], 202);
    assert_ne!(
        theirs["results"][0]["body"]["buildId"],
        first[0]["body"]["buildId"]
    );
    // Two of the first batch, one of the second and one of the other user.
    let mut worker = 0;
    let claimer = WorkerId::parse("w").unwrap();
    while world.worker.claim(&claimer).await.unwrap().is_some() {
        worker += 1;
    }
    assert_eq!(worker, 4);
}

#[tokio::test]
async fn a_batch_under_a_key_is_answered_as_it_was() {
    let world = World::new();
    let call = |project: &str| {
        let body = json!({"userId": "ann", "builds": [member("one", project)]});
        world.post(BATCH, body).key("k")
    };
    let first = call("p1").send().await;
    let again = call("p1").send().await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.text(), first.text());
    call("p2")
        .send()
        .await
        .refused(422, "IDEMPOTENCY_KEY_REUSED");
    // A key that a call brings is not an operation.
    for key in ["two", "batch:two"] {
        let body = json!({"userId": "ann", "projectId": format!("of-{key}"), "prompt": "x"});
        let start = world.post(CREATE, body).key(key).send().await;
        assert_eq!(start.status, 202, "{}", start.text());
    }
    let told = results(&world, json!([member("two", "p6")])).await;
    assert_eq!(statuses(&told), [202]);
}

#[tokio::test]
async fn a_refusal_within_a_batch_does_not_outlive_its_cause() {
    let world = World::new();
    let members: Vec<_> = (0..16)
        .map(|n| member(&format!("o{n}"), &format!("p{n}")))
        .collect();
    let body = json!({"userId": "ann", "builds": members});
    let call = || world.post(BATCH, body.clone()).key("k");
    let first = call().send().await.json();
    assert_eq!(
        statuses(first["results"].as_array().unwrap())[14..],
        [202, 402]
    );
    let bought = json!({"userId": "ann", "paymentId": "p", "seconds": 600});
    assert_eq!(
        world.post("/v1/billing/credit", bought).send().await.status,
        201
    );
    let second = call().send().await;
    assert_eq!(second.header("idempotency-replayed"), None);
    let second = second.json();
    let told = second["results"].as_array().unwrap();
    assert_eq!(statuses(told), [202; 16]);
    assert_eq!(told[..15], first["results"].as_array().unwrap()[..15]);
    // Now it is a success, and kept.
    let third = call().send().await;
    assert_eq!(third.header("idempotency-replayed"), Some("true"));
}

#[tokio::test]
async fn credits_run_out_within_a_batch_and_no_further_build_is_held_for() {
    let world = World::new();
    // 2,700 s are fifteen builds.
    let members: Vec<_> = (0..17)
        .map(|n| member(&format!("o{n}"), &format!("p{n}")))
        .collect();
    let told = results(&world, json!(members)).await;
    let mut expected = vec![202; 15];
    expected.extend([402, 402]);
    assert_eq!(statuses(&told), expected);
    assert_eq!(told[15]["body"]["data"]["required"], 180);
    let balance = world.get("/v1/billing/balance/ann").send().await.json();
    assert_eq!(balance["balance"]["total"], 0);
}

#[tokio::test]
async fn a_store_that_fails_within_a_batch_leaves_the_rest_to_a_repeat() {
    let world = World::with(Setup {
        build_capacity: 2,
        ..Setup::default()
    });
    let members: Vec<_> = (0..4)
        .map(|n| member(&format!("o{n}"), &format!("p{n}")))
        .collect();
    let told = results(&world, json!(members)).await;
    assert_eq!(statuses(&told), [202, 202, 503, 503]);
    assert_eq!(told[3]["body"]["error"], "STORE_UNAVAILABLE");
    let again = results(&world, json!(members)).await;
    assert_eq!(again[..2], told[..2]);
}

#[tokio::test]
async fn a_batch_that_is_none_is_refused_whole_and_a_full_one_fits_its_answer() {
    let world = World::new();
    let many = |count: usize, member: Value| Value::from(vec![member; count]);
    for builds in [
        json!(null),
        json!({}),
        json!([]),
        many(51, member("o", "p")),
    ] {
        let call = json!({"userId": "ann", "builds": builds});
        let refused = world.post(BATCH, call).send().await;
        let data = refused.refused(400, "VALIDATION_FAILED");
        assert_eq!(data["fields"][0]["field"], "builds", "{data}");
    }
    let files: Vec<Value> = (0..200)
        .map(|_| json!({"path": "x/".repeat(200)}))
        .collect();
    let mut wrong = member("o", "p");
    wrong["templateFiles"] = files.into();
    let told = results(&world, many(50, wrong)).await;
    assert_eq!(statuses(&told), [400; 50]);
    assert_eq!(
        told[49]["body"]["data"]["fields"].as_array().unwrap().len(),
        10
    );
    // Names that are long once they are escaped take nothing from a start that is in order.
    let path = |n: u32| format!("{n}{}", "\u{10ffff}".repeat(90));
    let files: Map<String, Value> = (0..12).map(|n| (path(n), json!(""))).collect();
    let mut wrong = member("o", "p");
    wrong["templateFiles"] = files.into();
    let mut members = vec![wrong; 49];
    members.push(member("good", "p7"));
    let told = results(&world, members.into()).await;
    assert_eq!(statuses(&told)[48..], [400, 202]);
    assert!(
        told[0]["body"]["data"]["fields"]
            .as_array()
            .is_some_and(|fields| !fields.is_empty())
    );
}

#[tokio::test]
async fn the_latest_builds_of_several_projects_are_read_at_once() {
    let world = World::new();
    let first = world.started("ann", "p1").await;
    let theirs = world.started("bob", "of-bob").await;
    let held = json!({"userId": "ann", "operationId": "o", "seconds": 5, "projectId": "held"});
    assert_eq!(
        world.post("/v1/credits/reserve", held).send().await.status,
        201
    );
    let second = world.started("ann", "p2").await;
    let target = "/v1/projects/batch?ids=p2,unknown,of-bob,held,p1,p2&userId=ann";
    let answer = world.get(target).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let read = |id: &str| {
        let target = format!("/v1/builds/{id}?userId=ann");
        let call = world.get(&target);
        async move { call.send().await.json() }
    };
    let (p1, p2) = (read(&first).await, read(&second).await);
    assert_eq!(
        answer.json(),
        json!({"projects": [
            {"projectId": "p2", "latestBuild": p2},
            {"projectId": "held", "latestBuild": null},
            {"projectId": "p1", "latestBuild": p1},
            {"projectId": "p2", "latestBuild": p2},
        ]})
    );
    assert!(!answer.text().contains(&theirs));
    let long = vec!["p"; 101].join(",");
    for (ids, field) in [
        ("", "ids"),
        (&*long, "ids"),
        ("p,,q", "ids[1]"),
        ("p,a%20b", "ids[1]"),
    ] {
        let target = format!("/v1/projects/batch?ids={ids}&userId=ann");
        let refused = world.get(&target).send().await;
        let data = refused.refused(400, "VALIDATION_FAILED");
        assert_eq!(data["fields"][0]["field"], field, "{data}");
    }
    let twice = world.get("/v1/projects/batch?ids=p&ids=q&userId=ann");
    twice.send().await.refused(400, "VALIDATION_FAILED");
}
