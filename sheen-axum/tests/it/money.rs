//! Credits and billing.

use serde_json::{Value, json};
use sheen_billing::account::CreditPolicy;
use sheen_core::seconds::Seconds;

use crate::support::{Answer, Setup, World};

async fn reserve(world: &World, user: &str, operation: &str, seconds: u64) -> Answer {
    let body = json!({"userId": user, "operationId": operation, "seconds": seconds});
    world.post("/v1/credits/reserve", body).send().await
}

async fn close(world: &World, how: &str, body: Value) -> Answer {
    world.post(&format!("/v1/credits/{how}"), body).send().await
}

async fn balance(world: &World, user: &str) -> Value {
    let answer = world
        .get(&format!("/v1/billing/balance/{user}"))
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a_hold_is_made_charged_and_returned() {
    let world = World::new();
    assert_eq!(
        balance(&world, "ann").await,
        json!({
            "balance": {"welcomeBonus": 1800, "dailyGift": 900, "paid": 0, "total": 2700},
            "usage": {"todayUsed": 0, "lifetimeUsed": 0},
            "dailyResetAt": "2026-11-21T00:00:00.000Z"
        })
    );
    let made = reserve(&world, "ann", "op1", 1000).await;
    assert_eq!(made.status, 201);
    let id = made.json()["reservationId"].as_str().unwrap().to_owned();
    assert_eq!(
        made.json(),
        json!({
            "reservationId": id, "seconds": 1000, "expiresAt": "2026-11-20T11:30:00.000Z",
            "balance": {"welcomeBonus": 1700, "dailyGift": 0, "paid": 0, "total": 1700}
        })
    );
    assert_eq!(reserve(&world, "ann", "op1", 1000).await.body, made.body);
    reserve(&world, "ann", "op1", 999)
        .await
        .refused(409, "OPERATION_CONFLICT");

    let used = json!({"reservationId": id, "operationId": "op1", "seconds": 950});
    let charged = close(&world, "commit", used.clone()).await;
    assert_eq!(
        charged.json(),
        json!({
            "reservationId": id, "charged": 950, "returned": 50, "shortfall": 0,
            "balance": {"welcomeBonus": 1750, "dailyGift": 0, "paid": 0, "total": 1750}
        })
    );
    assert_eq!(close(&world, "commit", used).await.body, charged.body);
    let late = json!({"reservationId": id, "operationId": "op2"});
    close(&world, "release", late)
        .await
        .refused(409, "RESERVATION_CLOSED");
    assert_eq!(balance(&world, "ann").await["usage"]["todayUsed"], 950);
}

#[tokio::test]
async fn a_release_gives_all_back() {
    let world = World::new();
    let id = reserve(&world, "ann", "op1", 1000).await.json()["reservationId"].clone();
    let done = close(
        &world,
        "release",
        json!({"reservationId": id, "operationId": "op1"}),
    )
    .await;
    assert_eq!(done.status, 200);
    assert_eq!(
        (&done.json()["returned"], &done.json()["balance"]["total"]),
        (&json!(1000), &json!(2700))
    );
}

#[tokio::test]
async fn a_hold_is_found_by_its_own_user_only_and_lapses() {
    let world = World::new();
    let id = reserve(&world, "ann", "op1", 10).await.json()["reservationId"].clone();
    let bobs = json!({"userId": "bob", "reservationId": id, "operationId": "x", "seconds": 1});
    close(&world, "commit", bobs)
        .await
        .refused(404, "NOT_FOUND");
    let none = json!({"reservationId": "res_none", "operationId": "x", "seconds": 1});
    close(&world, "commit", none)
        .await
        .refused(404, "NOT_FOUND");
    world.advance(3600);
    let late = json!({"userId": "ann", "reservationId": id, "operationId": "x", "seconds": 1});
    close(&world, "commit", late)
        .await
        .refused(409, "RESERVATION_EXPIRED");
}

#[tokio::test]
async fn too_few_seconds_are_told_with_what_to_buy_and_a_purchase_helps() {
    let world = World::new();
    let data = reserve(&world, "ann", "op1", 3000)
        .await
        .refused(402, "INSUFFICIENT_CREDITS");
    assert_eq!(
        data,
        json!({
            "required": 3000, "available": 2700,
            "recommendation": {
                "package": "small", "seconds": 3600, "cost": 4.99,
                "purchaseUrl": "https://shop.example/small"
            }
        })
    );
    let pay = json!({"userId": "ann", "paymentId": "pay1", "seconds": 3600});
    let credited = world.post("/v1/billing/credit", pay.clone()).send().await;
    assert_eq!(credited.status, 201);
    assert_eq!(credited.json()["balance"]["paid"], 3600);
    assert_eq!(
        world.post("/v1/billing/credit", pay).send().await.body,
        credited.body
    );
    let other = json!({"userId": "bob", "paymentId": "pay1", "seconds": 3600});
    world
        .post("/v1/billing/credit", other)
        .send()
        .await
        .refused(409, "OPERATION_CONFLICT");
    assert_eq!(reserve(&world, "ann", "op1", 3000).await.status, 201);
}

#[tokio::test]
async fn what_no_account_can_hold_is_a_wrong_field() {
    let world = World::new();
    let most = Seconds::MAX.get();
    let pay = json!({"userId": "ann", "paymentId": "pay1", "seconds": most});
    let wrong = world
        .post("/v1/billing/credit", pay)
        .send()
        .await
        .wrong_fields();
    assert_eq!(wrong, [("seconds".to_owned(), "out_of_range".to_owned())]);
}

#[tokio::test]
async fn a_cap_says_when_it_ends() {
    let mut policy = CreditPolicy::default();
    policy.user_daily_cap = Some(Seconds::from_u32(100));
    let world = World::with(Setup {
        policy,
        ..Setup::default()
    });
    let data = reserve(&world, "ann", "op1", 101)
        .await
        .refused(403, "DAILY_CAP_REACHED");
    assert_eq!(data, json!({"resetAt": "2026-11-21T00:00:00.000Z"}));
}

#[tokio::test]
async fn a_reserve_for_another_users_project_is_not_found() {
    let world = World::new();
    world.started("ann", "p1").await;
    let body = json!({"userId": "bob", "projectId": "p1", "operationId": "o", "seconds": 1});
    world
        .post("/v1/credits/reserve", body)
        .send()
        .await
        .refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn whether_it_suffices_is_told_with_the_estimate() {
    let world = World::new();
    let ask = |size: &str| {
        let body = json!({"userId": "ann", "operationType": "main_build", "projectSize": size});
        world.post("/v1/billing/check-sufficient", body)
    };
    let enough = ask("large").send().await.json();
    assert_eq!(
        enough,
        json!({
            "sufficient": true,
            "estimate": {
                "estimatedSeconds": 600, "estimatedMinutes": 10, "confidence": "low",
                "basedOnSamples": 0
            },
            "balance": {"welcomeBonus": 1800, "dailyGift": 900, "paid": 0, "total": 2700}
        })
    );
    reserve(&world, "ann", "op1", 2600).await;
    let few = ask("small").send().await.json();
    assert_eq!(few["sufficient"], false);
    assert_eq!(
        few["recommendation"],
        json!({
            "suggestedPackage": "small", "costToComplete": 4.99,
            "purchaseUrl": "https://shop.example/small"
        })
    );
}

#[tokio::test]
async fn an_estimate_concerns_nobody() {
    let world = World::new();
    let ask = |body: Value| world.post("/v1/estimate", body);
    let small = ask(json!({"operationType": "metadata_generation"}))
        .send()
        .await;
    assert_eq!(
        small.json(),
        json!({"estimatedSeconds": 20, "estimatedMinutes": 1, "confidence": "low", "basedOnSamples": 0})
    );
    ask(json!({"operationType": "update"}))
        .key("é")
        .send()
        .await
        .refused(400, "IDEMPOTENCY_KEY_INVALID");
}

#[tokio::test]
async fn balances_of_many_come_in_the_order_they_were_asked_for() {
    let world = World::new();
    let bought = json!({"userId": "bob", "paymentId": "p1", "seconds": 600});
    assert_eq!(
        world.post("/v1/billing/credit", bought).send().await.status,
        201
    );
    let asked = json!({"userIds": ["bob", "ann", "bob"]});
    let answer = world.post("/v1/billing/batch-balance", asked).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let balances = answer.json()["balances"].as_array().unwrap().clone();
    let figures = |user: &str, paid: u64| {
        json!({
            "userId": user,
            "balance": {
                "welcomeBonus": 1800, "dailyGift": 900, "paid": paid, "total": 2700 + paid
            },
            "usage": {"todayUsed": 0, "lifetimeUsed": 0},
            "dailyResetAt": "2026-11-21T00:00:00.000Z"
        })
    };
    let expected = [figures("bob", 600), figures("ann", 0), figures("bob", 600)];
    assert_eq!(balances, expected);
    let too_many: Vec<String> = (0..101).map(|n| format!("u{n}")).collect();
    for (users, field) in [
        (json!(null), "userIds"),
        (json!("ann"), "userIds"),
        (json!([]), "userIds"),
        (json!(too_many), "userIds"),
        (json!(["ann", "no id"]), "userIds[1]"),
        (json!(["ann", 1]), "userIds[1]"),
    ] {
        let asked = json!({"userIds": users});
        let refused = world.post("/v1/billing/batch-balance", asked).send().await;
        let body = refused.refused(400, "VALIDATION_FAILED");
        assert_eq!(body["fields"][0]["field"], field, "{body}");
    }
}

#[tokio::test]
async fn a_history_is_read_in_pages_and_in_lines() {
    let world = World::new();
    for n in 0..60 {
        let bought = json!({"userId": "ann", "paymentId": format!("p{n}"), "seconds": 60});
        world.advance(2);
        assert_eq!(
            world.post("/v1/billing/credit", bought).send().await.status,
            201
        );
    }
    let path = "/v1/billing/history/ann";
    let first = world.get(path).send().await.json();
    let entries = first["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &first["hasMore"]), (50, &json!(true)));
    let kinds: Vec<_> = entries.iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds[..3], ["welcome_bonus", "daily_gift", "purchase"]);
    assert_eq!(entries[2]["bucket"], "paid");
    assert_eq!(entries[2]["operationId"], "p0");
    assert_eq!(entries[2]["seconds"], 60);
    assert_eq!(entries[0]["operationId"], Value::Null);
    let cursor = first["nextCursor"].as_str().unwrap();
    world.advance(10);
    let second = world
        .get(&format!("{path}?cursor={cursor}"))
        .send()
        .await
        .json();
    assert_eq!(second["entries"].as_array().unwrap().len(), 12);
    assert_eq!(
        (&second["hasMore"], &second["nextCursor"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(second["entries"][11]["operationId"], "p59");
    // Another account's cursor.
    world
        .get(&format!("/v1/billing/history/bob?cursor={cursor}"))
        .send()
        .await
        .refused(400, "CURSOR_INVALID");
    let nobodys = world.get("/v1/billing/history/bob").send().await.json();
    assert_eq!(
        nobodys,
        json!({"entries": [], "nextCursor": null, "hasMore": false})
    );

    let lines = world
        .get(path)
        .header("accept", "application/x-ndjson")
        .send()
        .await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let text = lines.text();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 62);
    let numbers: Vec<_> = lines
        .iter()
        .map(|line| line["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=62).collect::<Vec<_>>());
    assert_eq!(lines[2]["from"], "granted");
    assert_eq!(lines[2]["to"], "available");
}

/// R10: a service may hold with a policy that refuses more; the route says which field.
#[tokio::test]
async fn a_commit_above_a_hold_that_allows_no_more_is_a_wrong_field() {
    use sheen_billing::account::{CreditStore, Overage, Reserve};
    let world = World::new();
    let (user, operation) = ("ann".parse().unwrap(), "op1".parse().unwrap());
    let mut strict = Reserve::new(user, operation, Seconds::from_u32(10));
    strict.overage = Overage::Reject;
    let id = strict.reservation_id();
    world.credits.reserve(strict).await.unwrap();
    let used = |seconds| json!({"reservationId": id, "operationId": "op1", "seconds": seconds});
    let wrong = close(&world, "commit", used(11)).await.wrong_fields();
    assert_eq!(wrong, [("seconds".to_owned(), "out_of_range".to_owned())]);
    assert_eq!(close(&world, "commit", used(10)).await.status, 200);
}
