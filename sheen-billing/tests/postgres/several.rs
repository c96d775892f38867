//! Steps on several accounts in one statement: what it does, and what it leaves rather than wait.

use std::sync::Arc;
use std::time::Duration;

use sheen_billing::account::{
    Commit, CreditAudit, CreditCommand, CreditOutcome, CreditPolicy, CreditReader, CreditStore,
    GroupCommit, GroupSettings, MemoryCreditStore, PgCreditStore, Release, Reserve, ReserveOutcome,
};
use sheen_core::id::{OperationId, UserId};
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_core::time::{ManualClock, Timestamp};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use super::World;
use super::statements::{count, counted};
use super::together::waiting;

fn op(name: &str) -> OperationId {
    OperationId::parse(name).unwrap()
}

fn wish(name: &str, operation: &str, seconds: u32) -> Reserve {
    let user = UserId::parse(name).unwrap();
    Reserve::new(user, op(operation), Seconds::from_u32(seconds))
}

/// A reserve, and the ends of two holds that were made before.
fn steps(name: &str, round: u32) -> Vec<CreditCommand> {
    let before = |kind: &str| wish(name, &format!("{kind}{}", round - 1), 10).reservation_id();
    vec![
        CreditCommand::Reserve(wish(name, &format!("paid{round}"), 10)),
        CreditCommand::Reserve(wish(name, &format!("back{round}"), 10)),
        CreditCommand::Commit(Commit::new(
            before("paid"),
            op(&format!("c{round}")),
            Seconds::from_u32(7),
        )),
        CreditCommand::Release(Release::new(before("back"), op(&format!("r{round}")))),
    ]
}

fn first_steps(name: &str) -> Vec<CreditCommand> {
    steps(name, 1)[..2].to_vec()
}

/// The memory store's outcomes of the same, one after another.
async fn one_by_one(memory: &MemoryCreditStore, batch: &[CreditCommand]) -> Vec<CreditOutcome> {
    memory.batch(batch.to_vec()).await.unwrap()
}

/// G1, G2: the batches of several accounts are done in one statement, all of them, and repeated
/// they change nothing.
#[tokio::test]
async fn g1_batches_of_several_accounts_are_done_in_one_statement() {
    let world = counted().await;
    let noon = Timestamp::parse_rfc3339("2026-11-20T12:00:00Z").unwrap();
    let clock = Arc::new(ManualClock::at(noon));
    let memory = MemoryCreditStore::new(clock, CreditPolicy::default(), 100);
    let names: Vec<String> = (0..32).map(|n| format!("u{n:02}")).collect();
    for name in &names {
        world.store.batch(first_steps(name)).await.unwrap();
        one_by_one(&memory, &first_steps(name)).await;
    }
    for round in 2..6 {
        let batches: Vec<_> = names.iter().map(|name| steps(name, round)).collect();
        count(&world).await;
        let told = world.store.several(batches.clone()).await.unwrap();
        assert_eq!(count(&world).await, 1, "round {round}");
        for (told, batch) in told.into_iter().zip(&batches) {
            let wanted = one_by_one(&memory, batch).await;
            assert_eq!(told, Some(wanted), "round {round}");
        }
    }
    let (held, wanted) = (world.store.ledger_totals(), memory.ledger_totals());
    let (mut held, wanted) = (held.await.unwrap(), wanted.await.unwrap());
    // `counted` made an account of its own.
    let first = UserId::parse("first").unwrap();
    let other = world.store.totals(&first).await.unwrap();
    held.charged -= u128::from(other.charged.get());
    assert_eq!(held.charged, wanted.charged);
    assert_eq!(world.store.verify_all(None, 100).await.unwrap().drifts, []);
}

/// What this process has not seen is found out in the one statement: an account that is there is
/// known then, one that is not is made by a step of its own.
#[tokio::test]
async fn accounts_that_are_new_here_cost_one_statement_more_each() {
    let world = counted().await;
    let store = &world.store;
    let batches = || vec![first_steps("ada"), first_steps("bob")];
    let told = store.several(batches()).await.unwrap();
    assert_eq!(told, [None, None], "they are not there");
    assert_eq!(count(&world).await, 1);
    for batch in batches() {
        store.batch(batch).await.unwrap();
        assert_eq!(count(&world).await, 1, "made in one statement each");
    }

    let other = PgCreditStore::new(world.pool.clone(), CreditPolicy::default());
    other.reserve(wish("first", "op2", 1)).await.unwrap();
    count(&world).await;
    let told = other.several(batches()).await.unwrap();
    assert_eq!(told, [None, None], "they were taken to be new");
    assert_eq!(count(&world).await, 1);
    let next = |name| vec![CreditCommand::Reserve(wish(name, "next", 10))];
    let told = other.several(vec![next("ada"), next("bob")]).await;
    assert!(told.unwrap().iter().all(Option::is_some), "known by now");
    assert_eq!(count(&world).await, 1);
}

/// A session that has written to an account and not committed.
struct Writer(PgConnection);

impl Writer {
    async fn of(world: &World, write: &'static str) -> Self {
        let mut connection = world.database.connection().await;
        let begun = sqlx::raw_sql("BEGIN").execute(&mut connection).await;
        begun.unwrap();
        sqlx::raw_sql(write).execute(&mut connection).await.unwrap();
        Self(connection)
    }

    async fn roll_back(mut self) {
        let back = sqlx::raw_sql("ROLLBACK").execute(&mut self.0).await;
        back.unwrap();
        self.0.close().await.unwrap();
    }
}

const MAKING: &str = "INSERT INTO sheen.credit_accounts (user_id) VALUES ('bob')";
const CHANGING: &str = "UPDATE sheen.credit_accounts SET version = version + 1
    WHERE user_id = 'bob'";
const HOLDING: &str = "SELECT 1 FROM sheen.credit_accounts WHERE user_id = 'bob' FOR UPDATE";

/// G2, G6: an account that another session is making, changing or holding is left, whether this
/// process has seen it or not, and the others of the statement are done.
#[tokio::test]
async fn g6_what_another_session_writes_is_left_and_not_waited_for() {
    // So that a statement which does wait is refused instead of waiting for ever.
    let policy = CreditPolicy::default();
    let world = World::with(policy, |it| it.options([("lock_timeout", "1s")])).await;
    let batch =
        |name: &str, operation: &str| vec![CreditCommand::Reserve(wish(name, operation, 1))];
    for name in ["ada", "cleo"] {
        world.store.reserve(wish(name, "op", 1)).await.unwrap();
    }
    let three = |operation: &str| {
        ["ada", "bob", "cleo"]
            .map(|name| batch(name, operation))
            .to_vec()
    };
    let done =
        |told: &[Option<Vec<CreditOutcome>>]| told.iter().map(Option::is_some).collect::<Vec<_>>();

    let writer = Writer::of(&world, MAKING).await;
    let told = world.store.several(three("made")).await.unwrap();
    assert_eq!(done(&told), [true, false, true], "being made");
    writer.roll_back().await;

    for (write, operation) in [(CHANGING, "changed"), (HOLDING, "held")] {
        // One process knows all three, the other all but the one that is written to.
        let other = PgCreditStore::new(world.pool.clone(), policy);
        for (store, process) in [(&*world.store, "seen"), (&other, "not-seen")] {
            let operation = format!("{operation}-{process}");
            for name in ["ada", "cleo", "bob"] {
                if name == "bob" && process == "not-seen" {
                    continue;
                }
                let first = wish(name, &format!("first-{operation}"), 1);
                store.reserve(first).await.unwrap();
            }
            let writer = Writer::of(&world, write).await;
            let told = store.several(three(&operation)).await.unwrap();
            assert_eq!(done(&told), [true, false, true], "{operation}");
            writer.roll_back().await;
        }
    }
}

/// G2: in a group, who comes for an account that another session is making waits alone.
#[tokio::test]
async fn g2_an_account_that_is_being_made_holds_up_nobody_of_its_group() {
    let world = World::new(CreditPolicy::default()).await;
    let names = ["ada", "bob", "cleo", "dora"];
    for name in names.into_iter().filter(|name| *name != "bob") {
        world.store.reserve(wish(name, "op", 1)).await.unwrap();
    }
    let spawn = Arc::new(TokioRuntime);
    let group = GroupCommit::new(world.store.clone(), spawn, GroupSettings::default());
    let group = Arc::new(group);
    let writer = Writer::of(&world, MAKING).await;
    let mut callers = JoinSet::new();
    for name in names {
        let group = group.clone();
        callers.spawn(async move { (name, group.reserve(wish(name, "op2", 1)).await.unwrap()) });
    }
    let mut answered = Vec::new();
    for _ in 1..names.len() {
        let next = tokio::time::timeout(Duration::from_secs(30), callers.join_next());
        let (name, outcome) = next.await.unwrap().unwrap().unwrap();
        assert!(matches!(outcome, ReserveOutcome::Reserved(_)), "{name}");
        answered.push(name);
    }
    answered.sort_unstable();
    assert_eq!(answered, ["ada", "cleo", "dora"]);
    waiting(&world, 1).await;
    writer.roll_back().await;
    let (name, outcome) = callers.join_next().await.unwrap().unwrap();
    assert!(matches!(outcome, ReserveOutcome::Reserved(_)), "{name}");
}

/// R19: groups over the same accounts, named in whatever order, and new ones among them, meet and
/// do not wait for one another in a ring.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r19_groups_over_the_same_accounts_do_not_deadlock() {
    let world = World::new(CreditPolicy::default()).await;
    let mut processes = JoinSet::new();
    for process in 0..6usize {
        let pool = world.database.pool(2).await;
        let store = PgCreditStore::new(pool, CreditPolicy::default());
        processes.spawn(async move {
            let mut together = 0;
            for round in 0..30usize {
                let mut names: Vec<String> = (0..6).map(|n| format!("u{n}")).collect();
                names.push(format!("new{round}"));
                names.rotate_left((process + round) % 7);
                if process % 2 == 0 {
                    names.reverse();
                }
                let operation = format!("op{process}-{round}");
                let batch = |name: &String| vec![CreditCommand::Reserve(wish(name, &operation, 1))];
                let batches: Vec<_> = names.iter().map(batch).collect();
                let told = store.several(batches.clone()).await.unwrap();
                for (told, batch) in told.into_iter().zip(batches) {
                    together += usize::from(told.is_some());
                    let outcomes = match told {
                        Some(outcomes) => outcomes,
                        None => store.batch(batch).await.unwrap(),
                    };
                    let [CreditOutcome::Reserve(ReserveOutcome::Reserved(_))] = &outcomes[..]
                    else {
                        panic!("{outcomes:?}");
                    };
                }
            }
            together
        });
    }
    let together: usize = processes.join_all().await.into_iter().sum();
    assert!(together > 0, "no two were done together");
    let deadlocks: i64 = sqlx::query_scalar(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(deadlocks, 0);
    let all = world.store.ledger_totals().await.unwrap();
    assert_eq!(all.held, 6 * 30 * 7);
    assert_eq!(world.store.verify_all(None, 100).await.unwrap().drifts, []);
}
