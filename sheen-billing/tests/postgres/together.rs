//! Many at once, over several pools, and what another session's locks do.

use std::sync::Arc;
use std::time::Duration;

use sheen_billing::account::{
    Commit, CommitOutcome, CreditAudit, CreditPolicy, CreditReader, CreditStore, CreditSweep,
    EntryKind, GrantStore, GroupCommit, GroupSettings, PgCreditStore, Purchase, Reserve,
    ReserveOutcome,
};
use sheen_core::error::StoreErrorKind;
use sheen_core::id::{OperationId, PaymentId, UserId};
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sqlx::{Connection, PgConnection};
use testkit::until_async;
use tokio::task::JoinSet;

use super::World;

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn wish(name: &str, operation: &str, seconds: u32) -> Reserve {
    let operation = OperationId::parse(operation).unwrap();
    Reserve::new(user(name), operation, Seconds::from_u32(seconds))
}

fn gifts(daily_gift: u32, welcome_bonus: u32) -> CreditPolicy {
    let mut policy = CreditPolicy::default();
    policy.daily_gift = Seconds::from_u32(daily_gift);
    policy.welcome_bonus = Seconds::from_u32(welcome_bonus);
    policy
}

/// Stores of processes of their own, `connections` each.
async fn processes(
    world: &World,
    policy: CreditPolicy,
    count: usize,
    connections: u32,
) -> Vec<Arc<PgCreditStore>> {
    let mut stores = Vec::new();
    for _ in 0..count {
        let pool = world.database.pool(connections).await;
        stores.push(Arc::new(PgCreditStore::new(pool, policy)));
    }
    stores
}

/// D1, R3: a thousand first touches of an account and of a day give each gift once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_thousand_first_touches_give_one_gift() {
    let policy = gifts(900, 1800);
    let world = World::new(policy).await;
    let stores = processes(&world, policy, 4, 4).await;
    for day in 1..=2 {
        let mut touches = JoinSet::new();
        for n in 0..1000 {
            let store = stores[n % 4].clone();
            touches.spawn(async move {
                if n % 10 == 0 {
                    let payment = PaymentId::parse(&format!("pay{day}-{n}")).unwrap();
                    let purchase = Purchase::new(user("ada"), payment, Seconds::from_u32(1));
                    store.credit(purchase).await.map(|_| ())
                } else {
                    store
                        .reserve(wish("ada", &format!("op{day}-{n}"), 1))
                        .await
                        .map(|_| ())
                }
            });
        }
        for touched in touches.join_all().await {
            touched.unwrap();
        }
        let entries = world
            .store
            .entries(&user("ada"), 0, u32::MAX)
            .await
            .unwrap();
        let count = |kind| entries.iter().filter(|it| it.kind == kind).count();
        assert_eq!(count(EntryKind::DailyGift), day);
        assert_eq!(count(EntryKind::WelcomeBonus), 1);
        world.advance(Duration::from_secs(24 * 3600)).await;
    }
    assert_eq!(world.store.verify(&user("ada")).await.unwrap(), []);
}

/// R1, R19: reserves from eight pools never sum above the balance, singly or in groups, and no
/// session is a deadlock's victim.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_reserves_from_eight_pools_never_sum_above_the_balance() {
    let policy = gifts(1000, 0);
    let world = World::new(policy).await;
    let stores = processes(&world, policy, 8, 2).await;
    let groups: Vec<Arc<dyn CreditStore>> = stores
        .iter()
        .map(|store| {
            let spawn = Arc::new(TokioRuntime);
            let settings = GroupSettings::default();
            Arc::new(GroupCommit::new(store.clone(), spawn, settings)) as Arc<dyn CreditStore>
        })
        .collect();
    let singles: Vec<Arc<dyn CreditStore>> = stores
        .iter()
        .map(|store| store.clone() as Arc<dyn CreditStore>)
        .collect();
    for (name, stores) in [("ada", singles), ("bob", groups)] {
        let mut reserves = JoinSet::new();
        for n in 0..400 {
            let store = stores[n % 8].clone();
            reserves.spawn(async move { store.reserve(wish(name, &format!("op{n}"), 7)).await });
        }
        let outcomes = reserves.join_all().await;
        let held = outcomes
            .iter()
            .filter(|it| matches!(it, Ok(ReserveOutcome::Reserved(_))))
            .count();
        assert_eq!(held, 142, "{name}: 142 × 7 of 1,000");
        assert!(outcomes.iter().all(|it| matches!(
            it,
            Ok(ReserveOutcome::Reserved(_) | ReserveOutcome::Insufficient { .. })
        )));
        let totals = world.store.totals(&user(name)).await.unwrap();
        assert_eq!((totals.held.get(), totals.available.get()), (994, 6));
        assert_eq!(world.store.verify(&user(name)).await.unwrap(), []);
    }
    let deadlocks: i64 = sqlx::query_scalar(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(deadlocks, 0);
}

/// Another session that holds an account until it is told to let go.
struct Holder(PgConnection);

impl Holder {
    async fn of(world: &World, name: &str) -> Self {
        let mut connection = world.database.connection().await;
        sqlx::raw_sql("BEGIN")
            .execute(&mut connection)
            .await
            .unwrap();
        sqlx::query("SELECT 1 FROM sheen.credit_accounts WHERE user_id = $1 FOR UPDATE")
            .bind(name)
            .execute(&mut connection)
            .await
            .unwrap();
        Self(connection)
    }

    async fn let_go(mut self) {
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.unwrap();
        self.0.close().await.unwrap();
    }
}

/// Until so many sessions of this database wait for a lock.
pub(super) async fn waiting(world: &World, sessions: i64) {
    until_async("sessions that wait for a lock", || async {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(&world.pool)
        .await
        .unwrap();
        count == sessions
    })
    .await;
}

/// R7: a lock held past a hold's expiry, and past midnight: what waited is judged by the clock
/// after the wait.
#[tokio::test]
async fn r7_what_waited_past_a_deadline_is_decided_by_the_clock_after_it() {
    let world = World::new(gifts(900, 0)).await;
    let mut brief = wish("ada", "op", 100);
    brief.ttl = Duration::from_secs(60);
    let hold = brief.reservation_id();
    world.store.reserve(brief).await.unwrap();
    let holder = Holder::of(&world, "ada").await;
    let mut steps = JoinSet::new();
    let (store, c) = (world.store.clone(), OperationId::parse("c").unwrap());
    steps.spawn(async move {
        store
            .commit(Commit::new(hold, c, Seconds::from_u32(1)))
            .await
            .unwrap()
    });
    waiting(&world, 1).await;
    world.advance(Duration::from_secs(60)).await;
    holder.let_go().await;
    assert_eq!(
        steps.join_next().await.unwrap().unwrap(),
        CommitOutcome::Expired
    );

    let holder = Holder::of(&world, "ada").await;
    let store = world.store.clone();
    let mut steps = JoinSet::new();
    steps.spawn(async move { store.reserve(wish("ada", "op2", 10)).await.unwrap() });
    waiting(&world, 1).await;
    world.advance(Duration::from_secs(12 * 3600)).await;
    holder.let_go().await;
    let ReserveOutcome::Reserved(held) = steps.join_next().await.unwrap().unwrap() else {
        panic!("not reserved");
    };
    assert_eq!(held.balance.daily_gift.get(), 890, "of the new day's gift");
    let totals = world.store.ledger_totals().await.unwrap();
    assert_eq!(totals.breakage, 900);
}

/// R18: a sweep does not wait for an account that a step holds.
#[tokio::test]
async fn r18_a_sweep_passes_by_what_is_locked() {
    // So that a sweep which does wait is refused instead of waiting for ever.
    let world = World::with(gifts(900, 0), |it| it.options([("lock_timeout", "1s")])).await;
    for name in ["ada", "bob"] {
        let mut brief = wish(name, "op", 100);
        brief.ttl = Duration::from_secs(60);
        world.store.reserve(brief).await.unwrap();
    }
    world.advance(Duration::from_secs(60)).await;
    let holder = Holder::of(&world, "ada").await;
    assert_eq!(world.store.expire(10).await.unwrap(), 1);
    assert_eq!(world.store.expire(10).await.unwrap(), 0);
    holder.let_go().await;
    assert_eq!(world.store.expire(10).await.unwrap(), 1);
}

/// G6: a group's batch on one account does not wait for another account's lock.
#[tokio::test]
async fn g6_a_locked_account_holds_up_no_other() {
    let world = World::new(gifts(900, 0)).await;
    for name in ["ada", "bob"] {
        world.store.reserve(wish(name, "op", 1)).await.unwrap();
    }
    let spawn = Arc::new(TokioRuntime);
    let group = GroupCommit::new(world.store.clone(), spawn, GroupSettings::default());
    let group = Arc::new(group);
    let holder = Holder::of(&world, "ada").await;
    let (stuck, mut steps) = (group.clone(), JoinSet::new());
    steps.spawn(async move { stuck.reserve(wish("ada", "op2", 1)).await.unwrap() });
    waiting(&world, 1).await;
    for n in 0..20 {
        group
            .reserve(wish("bob", &format!("next{n}"), 1))
            .await
            .unwrap();
    }
    holder.let_go().await;
    let outcome = steps.join_next().await.unwrap().unwrap();
    assert!(matches!(outcome, ReserveOutcome::Reserved(_)));
}

/// S1: a caller that vanishes while its step waits leaves no lock, and the account is read anew.
#[tokio::test]
async fn s1_a_step_whose_caller_vanished_holds_nothing() {
    let world = World::new(gifts(900, 0)).await;
    world.store.reserve(wish("ada", "op", 1)).await.unwrap();
    let holder = Holder::of(&world, "ada").await;
    let (store, mut steps) = (world.store.clone(), JoinSet::new());
    steps.spawn(async move { store.reserve(wish("ada", "gone", 2)).await });
    waiting(&world, 1).await;
    steps.shutdown().await;
    holder.let_go().await;
    let next = world.store.reserve(wish("ada", "op2", 4)).await.unwrap();
    assert!(matches!(next, ReserveOutcome::Reserved(_)));
    // It was done or not, and its repeat says so.
    let again = world.store.reserve(wish("ada", "gone", 2)).await.unwrap();
    assert!(matches!(
        again,
        ReserveOutcome::Reserved(_) | ReserveOutcome::AlreadyReserved(_)
    ));
    assert_eq!(world.store.ledger_totals().await.unwrap().held, 7);
}

/// S6: a connection cut mid-step leaves the outcome open, and the repeat is right.
#[tokio::test]
async fn s6_a_connection_cut_mid_step_is_an_unknown_outcome() {
    let world = World::new(gifts(900, 0)).await;
    world.store.reserve(wish("ada", "op", 1)).await.unwrap();
    let holder = Holder::of(&world, "ada").await;
    let (store, mut steps) = (world.store.clone(), JoinSet::new());
    steps.spawn(async move { store.reserve(wish("ada", "cut", 2)).await });
    waiting(&world, 1).await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let error = steps.join_next().await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::OutcomeUnknown);
    holder.let_go().await;
    let again = world.store.reserve(wish("ada", "cut", 2)).await.unwrap();
    assert!(matches!(again, ReserveOutcome::Reserved(_)));
}

/// A step that others are always faster than ends under the account's lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_contend_for_an_account_all_get_through() {
    let policy = gifts(100_000, 0);
    let world = World::new(policy).await;
    let stores = processes(&world, policy, 12, 1).await;
    let mut steps = JoinSet::new();
    for (process, store) in stores.into_iter().enumerate() {
        steps.spawn(async move {
            for n in 0..40 {
                let reserve = wish("ada", &format!("op{process}-{n}"), 2);
                let hold = reserve.reservation_id();
                let outcome = store.reserve(reserve).await.unwrap();
                assert!(matches!(outcome, ReserveOutcome::Reserved(_)));
                let operation = OperationId::parse(&format!("c{process}-{n}")).unwrap();
                let commit = Commit::new(hold, operation, Seconds::from_u32(1));
                let outcome = store.commit(commit).await.unwrap();
                assert!(matches!(outcome, CommitOutcome::Committed(_)));
            }
        });
    }
    steps.join_all().await;
    let totals = world.store.ledger_totals().await.unwrap();
    assert_eq!((totals.held, totals.charged), (0, 480));
    assert_eq!(world.store.verify(&user("ada")).await.unwrap(), []);
}
