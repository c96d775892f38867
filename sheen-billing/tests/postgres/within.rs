//! Steps inside a caller's own transaction.

use std::time::Duration;

use sheen_billing::account::{
    Commit, CommitOutcome, CreditPolicy, CreditReader, CreditStore, Extend, ExtendOutcome, Release,
    ReleaseOutcome, Reserve, ReserveOutcome,
};
use sheen_core::id::{OperationId, UserId};
use sheen_core::seconds::Seconds;
use testkit::until_async;

use super::World;

fn op(name: &str) -> OperationId {
    OperationId::parse(name).unwrap()
}

fn wish(operation: &str, seconds: u32) -> Reserve {
    let user = UserId::parse("ada").unwrap();
    Reserve::new(user, op(operation), Seconds::from_u32(seconds))
}

fn commit(operation: &str, seconds: u32) -> Commit {
    let hold = wish(operation, 1).reservation_id();
    Commit::new(hold, op("c"), Seconds::from_u32(seconds))
}

/// What is rolled back was never there, for the account and for what the process remembers
/// of it.
#[tokio::test]
async fn a_rollback_leaves_nothing_of_any_step() {
    let world = World::new(CreditPolicy::default()).await;
    let store = &world.store;
    store.reserve(wish("first", 60)).await.unwrap();
    let before = store.ledger_totals().await.unwrap();

    let mut step = world.pool.begin().await.unwrap();
    let held = store.reserve_in(&mut step, wish("second", 30)).await;
    assert!(matches!(held.unwrap(), ReserveOutcome::Reserved(_)));
    let again = store.reserve_in(&mut step, wish("second", 30)).await;
    assert!(matches!(again.unwrap(), ReserveOutcome::AlreadyReserved(_)));
    let hold = wish("first", 60).reservation_id();
    let longer = Extend::new(hold.clone(), Duration::from_secs(7200));
    let longer = store.extend_in(&mut step, longer).await.unwrap();
    assert!(matches!(longer, ExtendOutcome::Extended { .. }));
    let charged = store.commit_in(&mut step, commit("first", 40)).await;
    assert!(matches!(charged.unwrap(), CommitOutcome::Committed(_)));
    let release = Release::new(wish("second", 30).reservation_id(), op("r"));
    let back = store.release_in(&mut step, release).await.unwrap();
    assert!(matches!(back, ReleaseOutcome::Released(_)));
    // Nobody else sees any of it.
    assert_eq!(store.ledger_totals().await.unwrap(), before);
    step.rollback().await.unwrap();

    assert_eq!(store.ledger_totals().await.unwrap(), before);
    let held = store.reserve(wish("second", 30)).await.unwrap();
    assert!(matches!(held, ReserveOutcome::Reserved(_)), "{held:?}");
    let charged = store.commit(commit("first", 40)).await.unwrap();
    assert!(matches!(charged, CommitOutcome::Committed(_)));
}

/// Each says what its namesake would, and what is committed is there for everyone.
#[tokio::test]
async fn refusals_are_those_of_the_store_and_a_commit_is_a_steps() {
    let world = World::new(CreditPolicy::default()).await;
    let store = &world.store;
    let mut step = world.pool.begin().await.unwrap();
    let nobody = wish("nobody", 1).reservation_id();
    let lost = store.commit_in(&mut step, commit("nobody", 1)).await;
    assert_eq!(lost.unwrap(), CommitOutcome::NotFound);
    let lost = Release::new(nobody.clone(), op("r"));
    let lost = store.release_in(&mut step, lost).await.unwrap();
    assert_eq!(lost, ReleaseOutcome::NotFound);
    let lost = Extend::new(nobody, Duration::from_secs(60));
    let lost = store.extend_in(&mut step, lost).await.unwrap();
    assert_eq!(lost, ExtendOutcome::NotFound);
    let dear = store.reserve_in(&mut step, wish("dear", 1_000_000)).await;
    assert!(!matches!(dear.unwrap(), ReserveOutcome::Reserved(_)));
    // A refusal broke nothing: the same transaction goes on.
    let held = store.reserve_in(&mut step, wish("op", 60)).await.unwrap();
    let ReserveOutcome::Reserved(held) = held else {
        panic!("{held:?}")
    };
    step.commit().await.unwrap();
    let again = store.reserve(wish("op", 60)).await.unwrap();
    assert_eq!(again, ReserveOutcome::AlreadyReserved(held));
    let charged = store.commit(commit("op", 50)).await.unwrap();
    assert!(matches!(charged, CommitOutcome::Committed(_)));
}

/// R4: a step outside waits for the transaction and decides over what it left, however it ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_a_step_outside_waits_and_decides_over_what_was_left() {
    for commits in [true, false] {
        let world = World::new(CreditPolicy::default()).await;
        let store = &world.store;
        store.reserve(wish("op", 60)).await.unwrap();
        let mut step = world.pool.begin().await.unwrap();
        let charged = store.commit_in(&mut step, commit("op", 40)).await;
        assert!(matches!(charged.unwrap(), CommitOutcome::Committed(_)));
        let hold = wish("op", 60).reservation_id();
        let outside = store.release(Release::new(hold, op("r")));
        let (released, ()) = tokio::join!(outside, async {
            until_async("the release to wait", || async {
                let waiting: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'",
                )
                .fetch_one(&world.pool)
                .await
                .unwrap();
                waiting == 1
            })
            .await;
            if commits {
                step.commit().await.unwrap();
            } else {
                step.rollback().await.unwrap();
            }
        });
        match released.unwrap() {
            ReleaseOutcome::Closed => assert!(commits),
            ReleaseOutcome::Released(_) => assert!(!commits),
            other => panic!("{other:?}"),
        }
    }
}
