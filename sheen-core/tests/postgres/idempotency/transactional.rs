//! Claim, effect and answer in one transaction: crash points, repeats, and leases in the way.

use std::time::Duration;

use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::idempotency::{
    BeginOutcome, ClaimOutcome, ExtendOutcome, IdempotencyStore, LeaseOutcome, Lifetimes,
    PgTransactionalIdempotency, RunOutcome, StoredAnswer,
};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection};
use testkit::{Durability, PostgresServer, until_async};

use super::super::support::{OnDatabase, beside, count};
use super::{Keys, LEASE, answer, key, print, scope};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = PgTransactionalIdempotency::LONGEST_WAIT;

fn once() -> PgTransactionalIdempotency {
    PgTransactionalIdempotency::new(Lifetimes::default())
}

/// A world with a table that calls have their effect in.
async fn world() -> Keys {
    let keys = Keys::new().await;
    sqlx::raw_sql("CREATE TABLE effects (of text NOT NULL)")
        .execute(&keys.pool)
        .await
        .unwrap();
    keys
}

async fn effects(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT of FROM effects ORDER BY of")
        .fetch_all(pool)
        .await
        .unwrap()
}

async fn write(step: &mut PgConnection, of: &str) {
    sqlx::query("INSERT INTO effects VALUES ($1)")
        .bind(of)
        .execute(step)
        .await
        .unwrap();
}

/// Runs the call `of` of key `k` whole.
async fn run(
    pool: &PgPool,
    call: u8,
    of: &'static str,
    wait: Duration,
) -> Result<RunOutcome<()>, StoreError> {
    once()
        .run(pool, &scope(), &key("k"), print(call), wait, move |step| {
            Box::pin(async move {
                write(step, of).await;
                Ok(answer(of))
            })
        })
        .await
}

async fn claim(step: &mut PgConnection, call: u8, wait: Duration) -> ClaimOutcome {
    once()
        .claim_in(step, &scope(), &key("k"), print(call), wait)
        .await
        .unwrap()
}

#[tokio::test]
async fn effect_and_answer_are_committed_together_and_replayed() {
    let keys = world().await;
    let done = run(&keys.pool, 1, "one", NOW).await.unwrap();
    assert_eq!(done, RunOutcome::Done(answer("one")));
    let again = run(&keys.pool, 1, "two", NOW).await.unwrap();
    assert_eq!(again, RunOutcome::Replay(answer("one")));
    let other = run(&keys.pool, 2, "three", NOW).await.unwrap();
    assert_eq!(other, RunOutcome::Reused);
    assert_eq!(effects(&keys.pool).await, ["one"]);
    // The other mode sees the same record.
    assert_eq!(
        keys.begin("k", 1).await,
        BeginOutcome::Replay(answer("one"))
    );
    keys.advance(Lifetimes::default().record).await;
    let later = run(&keys.pool, 2, "later", NOW).await.unwrap();
    assert_eq!(later, RunOutcome::Done(answer("later")));
}

#[tokio::test]
async fn claim_and_keep_are_one_statement_each() {
    let keys = world().await;
    sqlx::raw_sql("CREATE EXTENSION pg_stat_statements")
        .execute(&keys.pool)
        .await
        .unwrap();
    let mut connection = keys.database().connection().await;
    let mut step = connection.begin().await.unwrap();
    count(&keys).await;
    let ClaimOutcome::Claimed(claim) = claim(&mut step, 1, NOW).await else {
        panic!("not claimed");
    };
    assert_eq!(count(&keys).await, 1, "claim");
    once()
        .keep_in(&mut step, claim, &answer("k"))
        .await
        .unwrap();
    assert_eq!(count(&keys).await, 1, "keep");
    step.commit().await.unwrap();
}

/// I1, I3: first calls at once, half of them another call: one effect, and no loser writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i01_of_many_calls_at_once_one_has_an_effect() {
    let keys = world().await;
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..200_u32 {
        let pool = keys.pool.clone();
        let (call, of) = if n % 2 == 0 { (1, "one") } else { (2, "two") };
        calls.spawn(async move { (of, run(&pool, call, of, NOW).await.unwrap()) });
    }
    let mut done = Vec::new();
    for (of, outcome) in calls.join_all().await {
        match outcome {
            RunOutcome::Done(_) => done.push(of),
            RunOutcome::Replay(stored) => assert_eq!(stored, answer(of)),
            RunOutcome::InProgress | RunOutcome::Reused => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(done.len(), 1);
    assert_eq!(effects(&keys.pool).await, done);
}

/// I11: a refusal takes its effect back and frees the key.
#[tokio::test]
async fn i11_a_refusal_leaves_nothing() {
    let keys = world().await;
    let refused = once()
        .run(&keys.pool, &scope(), &key("k"), print(1), NOW, |step| {
            Box::pin(async move {
                write(step, "half").await;
                Err::<StoredAnswer, _>("too little")
            })
        })
        .await;
    assert_eq!(refused.unwrap(), RunOutcome::Refused("too little"));
    assert!(effects(&keys.pool).await.is_empty());
    let done = run(&keys.pool, 2, "whole", NOW).await.unwrap();
    assert_eq!(done, RunOutcome::Done(answer("whole")));
}

/// A repeat that meets an unfinished first is told so, or waits and gets its answer, or runs when
/// the first gave up; it never blocks.
#[tokio::test]
async fn a_repeat_waits_bounded_for_an_uncommitted_first() {
    for commits in [false, true] {
        let keys = world().await;
        let mut first = keys.database().connection().await;
        let mut step = first.begin().await.unwrap();
        let ClaimOutcome::Claimed(claim) = claim(&mut step, 1, NOW).await else {
            panic!("not claimed");
        };
        write(&mut step, "first").await;
        let told = run(&keys.pool, 1, "repeat", NOW).await.unwrap();
        assert_eq!(told, RunOutcome::InProgress);
        once()
            .keep_in(&mut step, claim, &answer("first"))
            .await
            .unwrap();
        let told = run(&keys.pool, 1, "repeat", Duration::from_millis(60)).await;
        assert_eq!(told.unwrap(), RunOutcome::InProgress);
        let pool = keys.pool.clone();
        let waiter = beside(async move { run(&pool, 1, "repeat", LONG).await });
        if commits {
            step.commit().await.unwrap();
            let replayed = waiter.await.unwrap().unwrap();
            assert_eq!(replayed, RunOutcome::Replay(answer("first")));
            assert_eq!(effects(&keys.pool).await, ["first"]);
        } else {
            step.rollback().await.unwrap();
            let ran = waiter.await.unwrap().unwrap();
            assert_eq!(ran, RunOutcome::Done(answer("repeat")));
            assert_eq!(effects(&keys.pool).await, ["repeat"]);
        }
    }
}

/// Ends the session that `which` picks, as a crash of its client or of the server would.
async fn kill(pool: &PgPool, which: &str) {
    let killed: Vec<bool> = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND {which}"
    )))
    .fetch_all(pool)
    .await
    .unwrap();
    assert_eq!(killed, [true]);
}

/// I9 (a): a crash before the commit leaves nothing, and nothing to wait for; the retry runs once.
#[tokio::test]
async fn i09a_a_crash_before_the_commit_leaves_nothing() {
    let keys = world().await;
    let mut first = keys.database().connection().await;
    let mut step = first.begin().await.unwrap();
    let ClaimOutcome::Claimed(claim) = claim(&mut step, 1, NOW).await else {
        panic!("not claimed");
    };
    write(&mut step, "first").await;
    once()
        .keep_in(&mut step, claim, &answer("first"))
        .await
        .unwrap();
    kill(&keys.pool, "state = 'idle in transaction'").await;
    assert!(step.commit().await.is_err());
    let retried = run(&keys.pool, 1, "retry", LONG).await.unwrap();
    assert_eq!(retried, RunOutcome::Done(answer("retry")));
    assert_eq!(effects(&keys.pool).await, ["retry"]);
}

/// I9 (b): a crash after the commit and before the reply: the repeat gets the answer.
#[tokio::test]
async fn i09b_a_crash_after_the_commit_is_replayed() {
    let keys = world().await;
    let pool = keys.pool.clone();
    drop(
        beside(async move { run(&pool, 1, "first", NOW).await })
            .await
            .unwrap(),
    );
    let repeated = run(&keys.pool, 1, "repeat", NOW).await.unwrap();
    assert_eq!(repeated, RunOutcome::Replay(answer("first")));
    assert_eq!(effects(&keys.pool).await, ["first"]);
}

/// I9 (c), S6: cut during the commit, which was then not done: read back, and said so.
#[tokio::test]
async fn i09c_a_commit_that_was_cut_and_not_done_is_known_as_such() {
    let keys = world().await;
    // The commit waits for the gate, by a check deferred to it.
    sqlx::raw_sql(
        "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END';
         CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON effects
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gate()",
    )
    .execute(&keys.pool)
    .await
    .unwrap();
    let mut gate = keys.database().connection().await;
    let mut shut = gate.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(7)")
        .execute(&mut *shut)
        .await
        .unwrap();
    let pool = keys.pool.clone();
    let cut = beside(async move { run(&pool, 1, "first", NOW).await });
    super::super::support::waiting(&keys, 1).await;
    kill(&keys.pool, "wait_event_type = 'Lock'").await;
    let error = cut.await.unwrap().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    shut.rollback().await.unwrap();
    assert!(effects(&keys.pool).await.is_empty());
    let retried = run(&keys.pool, 1, "retry", NOW).await.unwrap();
    assert_eq!(retried, RunOutcome::Done(answer("retry")));
}

/// I9 (c), S6: cut during the commit, which was done: read back, and answered as done. The commit
/// is held between its being done and its being told by a standby that is never there.
#[tokio::test]
async fn i09c_a_commit_that_was_done_and_not_told_is_done() {
    let server = PostgresServer::start(Durability::On).unwrap();
    let keys = Keys::on(server.database().await.unwrap(), |options| options).await;
    let mut local = keys.database().connection().await;
    for statement in [
        "SET synchronous_commit = local",
        "CREATE TABLE effects (of text NOT NULL)",
        "ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
        "SELECT pg_reload_conf()",
    ] {
        sqlx::raw_sql(statement).execute(&mut local).await.unwrap();
    }
    until_async("the standby to be asked for", || async {
        let names: String = sqlx::query_scalar("SHOW synchronous_standby_names")
            .fetch_one(&keys.pool)
            .await
            .unwrap();
        names == "nobody"
    })
    .await;
    let pool = keys.pool.clone();
    let cut = beside(async move { run(&pool, 1, "first", NOW).await });
    until_async("a commit that waits for the standby", || async {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
        )
        .fetch_one(&keys.pool)
        .await
        .unwrap();
        waiting == 1
    })
    .await;
    // A repeat does not take the unanswered commit for undone.
    let repeat = run(&keys.pool, 1, "repeat", NOW).await.unwrap();
    assert_eq!(repeat, RunOutcome::InProgress);
    kill(&keys.pool, "wait_event = 'SyncRep'").await;
    let done = cut.await.unwrap().unwrap();
    assert_eq!(done, RunOutcome::Done(answer("first")));
    assert_eq!(effects(&keys.pool).await, ["first"]);
}

/// S1: a caller that vanishes in its effect holds the key only until its connection is cleaned.
#[tokio::test]
async fn s1_a_caller_that_vanished_in_its_effect_frees_the_key() {
    let keys = world().await;
    let pool = keys.pool.clone();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let vanishing = beside(async move {
        once()
            .run(&pool, &scope(), &key("k"), print(1), NOW, move |step| {
                Box::pin(async move {
                    write(step, "half").await;
                    begun.send(()).unwrap();
                    std::future::pending::<Result<StoredAnswer, ()>>().await
                })
            })
            .await
    });
    has_begun.await.unwrap();
    let told = run(&keys.pool, 1, "second", NOW).await.unwrap();
    assert_eq!(told, RunOutcome::InProgress);
    vanishing.abort();
    assert!(vanishing.await.unwrap_err().is_cancelled());
    let done = run(&keys.pool, 1, "second", LONG).await.unwrap();
    assert_eq!(done, RunOutcome::Done(answer("second")));
    assert_eq!(effects(&keys.pool).await, ["second"]);
}

/// The modes keep each other off a key without waiting.
#[tokio::test]
async fn leases_and_claims_of_one_key_do_not_meet() {
    // So that a step which does wait is refused instead of waiting for ever.
    let keys = Keys::with(|options| options.options([("lock_timeout", "1s")])).await;
    sqlx::raw_sql("CREATE TABLE effects (of text NOT NULL)")
        .execute(&keys.pool)
        .await
        .unwrap();
    let mut first = keys.database().connection().await;
    let mut step = first.begin().await.unwrap();
    let ClaimOutcome::Claimed(claimed) = claim(&mut step, 1, NOW).await else {
        panic!("not claimed");
    };
    assert_eq!(keys.begin("k", 1).await, BeginOutcome::InProgress);
    once()
        .keep_in(&mut step, claimed, &answer("k"))
        .await
        .unwrap();
    assert_eq!(keys.begin("k", 1).await, BeginOutcome::InProgress);
    step.rollback().await.unwrap();

    let lease = keys.started("k").await;
    let told = run(&keys.pool, 1, "one", NOW).await.unwrap();
    assert_eq!(told, RunOutcome::InProgress);
    assert_eq!(
        run(&keys.pool, 2, "two", NOW).await.unwrap(),
        RunOutcome::Reused
    );
    keys.advance(LEASE).await;
    assert_eq!(
        run(&keys.pool, 2, "two", NOW).await.unwrap(),
        RunOutcome::Reused
    );
    let taken_over = run(&keys.pool, 1, "one", NOW).await.unwrap();
    assert_eq!(taken_over, RunOutcome::Done(answer("one")));
    let late = keys.store.complete(&lease, answer("late")).await.unwrap();
    assert_eq!(late, LeaseOutcome::Lost);
    assert_eq!(
        keys.begin("k", 1).await,
        BeginOutcome::Replay(answer("one"))
    );
}

/// I6: what a claim relied on is compared when the answer is kept; the effect goes back with it.
#[tokio::test]
async fn i06_a_lease_renewed_meanwhile_takes_the_effect_back() {
    let keys = world().await;
    let lease = keys.started("k").await;
    keys.advance(LEASE).await;
    let (store, ours) = (keys.store.clone(), lease.clone());
    let lost = once()
        .run(
            &keys.pool,
            &scope(),
            &key("k"),
            print(1),
            NOW,
            move |step| {
                Box::pin(async move {
                    write(step, "second").await;
                    let extended = store.extend(&ours).await.unwrap();
                    assert!(matches!(extended, ExtendOutcome::Extended(_)));
                    Ok::<_, ()>(answer("second"))
                })
            },
        )
        .await;
    assert_eq!(lost.unwrap_err().kind, StoreErrorKind::Contended);
    assert!(effects(&keys.pool).await.is_empty());
    let done = keys.store.complete(&lease, answer("first")).await.unwrap();
    assert_eq!(done, LeaseOutcome::Done);
}
