//! The credit routes over HTTP on PostgreSQL: balances of many, and a history in pages and lines.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sheen_billing::account::{
    Commit, CreditCommand, CreditOutcome, CreditPolicy, CreditReader, CreditStore, Entry,
    PgCreditStore, Reserve,
};
use sheen_core::id::{OperationId, UserId};
use sheen_core::seconds::Seconds;
use testkit::TestDatabase;

use crate::support::{Front, WorkerProcess};

/// A worker on a database, and the store of another process there.
struct Shared {
    front: Front,
    store: PgCreditStore,
    _worker: WorkerProcess,
    /// Declared last: it outlives who uses it.
    _database: TestDatabase,
}

impl Shared {
    async fn new() -> Self {
        let database = testkit::postgres().await;
        let worker = WorkerProcess::start(&[("DATABASE_URL", database.url())]);
        let pool = database.pool(2).await;
        Self {
            front: worker.front(),
            store: PgCreditStore::new(pool, CreditPolicy::default()),
            _worker: worker,
            _database: database,
        }
    }

    async fn buy(&self, name: &str, payment: &str, seconds: u64) -> Value {
        let bought = json!({"userId": name, "paymentId": payment, "seconds": seconds});
        self.front
            .post("/v1/billing/credit", bought)
            .await
            .expect(201)
    }

    /// `count` holds of a second, charged at once.
    async fn charge(&self, name: &str, count: usize) {
        let user = UserId::parse(name).unwrap();
        for n in 0..count.div_ceil(50) {
            let mut steps = Vec::new();
            for n in n * 50..count.min(n * 50 + 50) {
                let operation = OperationId::parse(&format!("op{n}")).unwrap();
                let one = Seconds::from_u32(1);
                let hold = Reserve::new(user.clone(), operation.clone(), one);
                let commit = Commit::new(hold.reservation_id(), operation, one);
                steps.push(CreditCommand::Reserve(hold));
                steps.push(CreditCommand::Commit(commit));
            }
            let told = self.store.batch(steps).await.unwrap();
            assert!(
                told.iter()
                    .all(|it| matches!(it, CreditOutcome::Reserve(_) | CreditOutcome::Commit(_)))
            );
        }
    }

    async fn entries(&self, name: &str) -> Vec<Entry> {
        let user = UserId::parse(name).unwrap();
        self.store.entries(&user, 0, u32::MAX).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balances_of_many_on_postgres_are_those_of_one_instant_in_order() {
    let shared = Shared::new().await;
    shared.buy("bob", "p1", 600).await;
    shared.charge("ann", 30).await;
    let held = Reserve::new(
        UserId::parse("ann").unwrap(),
        OperationId::parse("held").unwrap(),
        Seconds::from_u32(70),
    );
    shared.store.reserve(held).await.unwrap();

    let names = ["bob", "nobody", "ann", "bob"];
    let asked = json!({"userIds": names});
    let answer = shared.front.post("/v1/billing/batch-balance", asked).await;
    let balances = answer.expect(200)["balances"].as_array().unwrap().clone();
    assert_eq!(balances.len(), names.len());
    let figures = |gift: u64, paid: u64| {
        json!({
            "welcomeBonus": 1800, "dailyGift": gift, "paid": paid, "total": 1800 + gift + paid
        })
    };
    let wanted = [
        (figures(900, 600), 0),
        (figures(900, 0), 0),
        (figures(800, 0), 30),
        (figures(900, 600), 0),
    ];
    for ((name, balance), (figures, used)) in names.iter().zip(&balances).zip(wanted) {
        assert_eq!(balance["userId"], *name);
        assert_eq!(balance["balance"], figures, "{name}: net of what is held");
        assert_eq!(
            balance["usage"],
            json!({"todayUsed": used, "lifetimeUsed": used})
        );
        // One by one the same is told.
        let alone = format!("/v1/billing/balance/{name}");
        let mut alone = shared.front.get(&alone).await.expect(200);
        alone["userId"] = json!(name);
        assert_eq!(alone, *balance);
    }
    // To look at an account makes none.
    assert_eq!(shared.entries("nobody").await, []);
    let hundred: Vec<String> = (0..100).map(|n| format!("u{n}")).collect();
    let most = json!({"userIds": hundred});
    let answer = shared.front.post("/v1/billing/batch-balance", most).await;
    assert_eq!(
        answer.expect(200)["balances"].as_array().unwrap().len(),
        100
    );
}

/// All pages, and how many there were.
async fn pages(front: &Front, name: &str) -> (Vec<Value>, usize) {
    let (mut entries, mut count, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let target = format!("/v1/billing/history/{name}{cursor}");
        let page = front.get(&target).await.expect(200);
        entries.extend(page["entries"].as_array().unwrap().iter().cloned());
        count += 1;
        match page["nextCursor"].as_str() {
            Some(next) => {
                assert_eq!(page["hasMore"], true);
                cursor = format!("?cursor={next}");
            }
            None => {
                assert_eq!(page["hasMore"], false);
                return (entries, count);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_on_postgres_is_read_whole_in_pages_and_in_lines() {
    let shared = Shared::new().await;
    shared.charge("ann", 299).await;
    shared.buy("ann", "p1", 600).await;
    let written = shared.entries("ann").await;
    assert_eq!(
        written.len(),
        601,
        "two gifts, 299 holds charged, a purchase"
    );

    let (entries, count) = pages(&shared.front, "ann").await;
    assert_eq!(count, 13, "50 a page");
    let wanted: Vec<_> = written
        .iter()
        .map(|entry| {
            json!({
                "id": entry.id, "kind": entry.kind, "bucket": entry.bucket,
                "seconds": entry.seconds, "operationId": entry.operation,
                "createdAt": entry.created_at
            })
        })
        .collect();
    assert_eq!(entries, wanted);
    let ids: BTreeSet<_> = entries.iter().map(|it| it["id"].as_str()).collect();
    assert_eq!(ids.len(), entries.len());

    let request = shared.front.signed("GET", "/v1/billing/history/ann", None);
    let lines = Front::send(request.header("accept", "application/x-ndjson")).await;
    assert_eq!(lines.status, 200);
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(lines.bytes).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), written.len(), "more than are read at once");
    for (line, entry) in lines.iter().zip(&written) {
        let wanted = json!({
            "number": entry.number, "id": entry.id, "kind": entry.kind, "bucket": entry.bucket,
            "from": entry.from, "to": entry.to, "seconds": entry.seconds,
            "reservationId": entry.reservation, "operationId": entry.operation,
            "createdAt": entry.created_at
        });
        assert_eq!(*line, wanted);
    }

    // A cursor is its account's alone, and still leads on when more is written.
    let first = shared
        .front
        .get("/v1/billing/history/ann")
        .await
        .expect(200);
    let cursor = first["nextCursor"].as_str().unwrap();
    let foreign = format!("/v1/billing/history/bob?cursor={cursor}");
    let refused = shared.front.get(&foreign).await.expect(400);
    assert_eq!(refused["error"], "CURSOR_INVALID");
    shared.buy("ann", "p2", 5).await;
    let (entries, _) = pages(&shared.front, "ann").await;
    assert_eq!(entries.len(), 602);
    assert_eq!(entries[601]["operationId"], "p2");
    let next = format!("/v1/billing/history/ann?cursor={cursor}");
    let second = shared.front.get(&next).await.expect(200);
    assert_eq!(second["entries"].as_array().unwrap()[..], entries[50..100]);
}
