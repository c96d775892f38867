//! What steps do while another session holds their rows, and what they do not hold themselves.

use std::time::Duration;

use sheen_core::error::StoreErrorKind;
use sheen_core::idempotency::{BeginOutcome, ExtendOutcome, IdempotencyStore, LeaseOutcome};
use sheen_core::postgres::testing;
use tokio::task::JoinHandle;

use super::super::support::{Holder, beside, waiting};
use super::{Keys, LEASE, answer, key, print, scope};

const ROW: &str = "SELECT 1 FROM sheen.idempotency FOR UPDATE";
/// What a beginning of `k` writes.
const TAKEN: &str = "
    INSERT INTO sheen.idempotency (principal_id, user_id, key, fingerprint, token, ends_ms)
    VALUES ('web', 'ada', 'k', decode(repeat('00', 32), 'hex'),
        nextval('sheen.idempotency_token'), sheen.now_ms() + 60000)";

type Begun = JoinHandle<Result<BeginOutcome, sheen_core::error::StoreError>>;

fn begin_beside(keys: &Keys) -> Begun {
    let store = keys.store.clone();
    beside(async move { store.begin(&scope(), &key("k"), print(1)).await })
}

/// C10, R7: the lease counts from when it was written, not from when it began to wait.
#[tokio::test]
async fn c10_an_extension_is_dated_after_its_wait() {
    let keys = Keys::new().await;
    let lease = keys.started("k").await;
    let holder = Holder::of(&keys, ROW).await;
    let store = keys.store.clone();
    let extended = beside(async move { store.extend(&lease).await });
    waiting(&keys, 1).await;
    keys.advance(Duration::from_secs(1000)).await;
    holder.let_go().await;
    let ExtendOutcome::Extended(lease) = extended.await.unwrap().unwrap() else {
        panic!("lost");
    };
    assert_eq!(lease.expires_at, keys.now().await.plus(LEASE));
}

/// C5, R7: a first call that waited for another which then gave the key back.
#[tokio::test]
async fn c05_a_beginning_is_dated_after_its_wait() {
    let keys = Keys::new().await;
    let mut holder = Holder::of(&keys, TAKEN).await;
    let begun = begin_beside(&keys);
    waiting(&keys, 1).await;
    keys.advance(Duration::from_secs(1000)).await;
    holder.run("ROLLBACK").await;
    let BeginOutcome::Started(lease) = begun.await.unwrap().unwrap() else {
        panic!("not started");
    };
    assert_eq!(lease.expires_at, keys.now().await.plus(LEASE));
    assert_eq!(keys.begin("k", 1).await, BeginOutcome::InProgress);
}

/// C2, I2, S2: a first call that loses the race to another is told so, by a later look.
#[tokio::test]
async fn i02_a_beginning_that_lost_the_race_is_refused_by_what_won() {
    let keys = Keys::new().await;
    let holder = Holder::of(&keys, TAKEN).await;
    let begun = begin_beside(&keys);
    waiting(&keys, 1).await;
    holder.let_go().await;
    assert_eq!(begun.await.unwrap().unwrap(), BeginOutcome::Reused);
}

/// C5: a take-over that waits behind the holder's extension leaves the lease to it.
#[tokio::test]
async fn c05_a_take_over_that_waited_behind_an_extension_is_none() {
    let keys = Keys::new().await;
    let lease = keys.started("k").await;
    keys.advance(LEASE).await;
    let mut holder = Holder::of(&keys, ROW).await;
    let begun = begin_beside(&keys);
    waiting(&keys, 1).await;
    holder
        .run("UPDATE sheen.idempotency SET ends_ms = sheen.now_ms() + 60000")
        .await;
    holder.let_go().await;
    assert_eq!(begun.await.unwrap().unwrap(), BeginOutcome::InProgress);
    let done = keys.store.complete(&lease, answer("k")).await.unwrap();
    assert_eq!(done, LeaseOutcome::Done);
}

/// C5, R7: the same wait, but the extension's own end passes too before the lock comes.
#[tokio::test]
async fn c05_a_lock_held_past_the_deadline_is_decided_by_the_clock_after_it() {
    let keys = Keys::new().await;
    let first = keys.started("k").await;
    keys.advance(LEASE).await;
    let mut holder = Holder::of(&keys, ROW).await;
    let begun = begin_beside(&keys);
    waiting(&keys, 1).await;
    holder
        .run("UPDATE sheen.idempotency SET ends_ms = sheen.now_ms() + 60000")
        .await;
    keys.advance(LEASE).await;
    holder.let_go().await;
    let BeginOutcome::Started(second) = begun.await.unwrap().unwrap() else {
        panic!("not taken over");
    };
    assert!(second.token > first.token);
    assert_eq!(second.expires_at, keys.now().await.plus(LEASE));
    let late = keys.store.complete(&first, answer("k")).await.unwrap();
    assert_eq!(late, LeaseOutcome::Lost);
}

/// C5: the window is compared under the lock, even if a clock stepped back meanwhile.
#[tokio::test]
async fn c05_a_take_over_before_its_window_writes_nothing() {
    let keys = Keys::new().await;
    keys.started("k").await;
    keys.advance(LEASE).await;
    let holder = Holder::of(&keys, ROW).await;
    let begun = begin_beside(&keys);
    waiting(&keys, 1).await;
    sqlx::raw_sql("UPDATE sheen.test_clock SET now_ms = now_ms - 1")
        .execute(&keys.pool)
        .await
        .unwrap();
    holder.let_go().await;
    assert_eq!(begun.await.unwrap().unwrap(), BeginOutcome::InProgress);
}

/// C6, I6: a completion that waits behind a take-over is lost.
#[tokio::test]
async fn i06_a_completion_that_waited_behind_a_take_over_is_lost() {
    for abandons in [false, true] {
        let keys = Keys::new().await;
        let lease = keys.started("k").await;
        let mut holder = Holder::of(&keys, ROW).await;
        let (store, lease) = (keys.store.clone(), lease.clone());
        let late = beside(async move {
            if abandons {
                store.abandon(&lease).await
            } else {
                store.complete(&lease, answer("late")).await
            }
        });
        waiting(&keys, 1).await;
        holder
            .run("UPDATE sheen.idempotency SET token = nextval('sheen.idempotency_token')")
            .await;
        holder.let_go().await;
        assert_eq!(late.await.unwrap().unwrap(), LeaseOutcome::Lost);
        assert_eq!(keys.begin("k", 1).await, BeginOutcome::InProgress);
    }
}

/// I15: reaping neither waits for a row that a step holds nor takes it.
#[tokio::test]
async fn i15_reaping_passes_by_what_is_locked() {
    // So that a reaping which does wait is refused instead of waiting for ever.
    let keys = Keys::with(|options| options.options([("lock_timeout", "1s")])).await;
    let held = keys.started("held").await;
    keys.started("other").await;
    keys.advance(LEASE).await;
    let mut holder = Holder::of(
        &keys,
        "SELECT 1 FROM sheen.idempotency WHERE key = 'held' FOR UPDATE",
    )
    .await;
    assert_eq!(keys.store.reap(10).await.unwrap(), 1);
    holder
        .run("UPDATE sheen.idempotency SET ends_ms = sheen.now_ms() + 60000")
        .await;
    holder.let_go().await;
    assert_eq!(keys.store.reap(10).await.unwrap(), 0);
    let done = keys.store.complete(&held, answer("held")).await.unwrap();
    assert_eq!(done, LeaseOutcome::Done);
}

/// C11: reapers that run at once reap each record once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn c11_reapers_at_once_reap_each_record_once() {
    let keys = Keys::new().await;
    for n in 0..60 {
        keys.started(&format!("k{n}")).await;
    }
    keys.advance(LEASE).await;
    let mut reapers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = keys.store.clone();
        reapers.spawn(async move { store.reap(10).await.unwrap() });
    }
    let reaped: u32 = reapers.join_all().await.into_iter().sum();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sheen.idempotency")
        .fetch_one(&keys.pool)
        .await
        .unwrap();
    assert_eq!(i64::from(reaped) + left, 60);
}

/// S1: a caller that vanishes while its step waits leaves no lock.
#[tokio::test]
async fn s1_a_step_whose_caller_vanished_holds_nothing() {
    let keys = Keys::new().await;
    let lease = keys.started("k").await;
    let holder = Holder::of(&keys, ROW).await;
    let (store, ours) = (keys.store.clone(), lease.clone());
    let extended = beside(async move { store.extend(&ours).await });
    waiting(&keys, 1).await;
    extended.abort();
    assert!(extended.await.unwrap_err().is_cancelled());
    holder.let_go().await;
    let done = keys.store.complete(&lease, answer("k")).await.unwrap();
    assert_eq!(done, LeaseOutcome::Done);
}

/// S6: a server that goes away mid-step leaves the outcome open, and the repeat is right.
#[tokio::test]
async fn s6_a_connection_cut_mid_step_is_an_unknown_outcome() {
    let keys = Keys::new().await;
    let lease = keys.started("k").await;
    let holder = Holder::of(&keys, ROW).await;
    let (store, ours) = (keys.store.clone(), lease.clone());
    let completed = beside(async move { store.complete(&ours, answer("k")).await });
    waiting(&keys, 1).await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .execute(&keys.pool)
    .await
    .unwrap();
    let error = completed.await.unwrap().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::OutcomeUnknown);
    holder.let_go().await;
    for _ in 0..2 {
        let done = keys.store.complete(&lease, answer("k")).await.unwrap();
        assert_eq!(done, LeaseOutcome::Done);
    }
}

/// D5 in its small: the database's clock counts, the process's own does not come into it.
#[tokio::test]
async fn instants_are_the_databases_own() {
    let keys = Keys::new().await;
    testing::advance_clock(&keys.pool, Duration::from_secs(3600 * 24 * 365))
        .await
        .unwrap();
    let lease = keys.started("k").await;
    assert_eq!(lease.expires_at, keys.now().await.plus(LEASE));
}
