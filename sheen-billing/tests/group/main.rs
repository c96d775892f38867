//! Group commit: ways in which it was seen to fail elsewhere (G1 to G6), each as a test that this
//! one does not; over a store in memory that stops at a gate, fails or panics when told.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail by panic")]

mod gated;

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use gated::{Fault, Gated};
use sheen_billing::account::{
    Commit, CommitOutcome, CreditCommand, CreditOutcome, CreditReader, CreditStore, Extend,
    ExtendOutcome, GroupCommit, GroupSettings, Release, ReleaseOutcome, Reserve, ReserveOutcome,
};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{OperationId, UserId};
use sheen_core::runtime::{BoxFuture, Spawn, TokioRuntime};
use sheen_core::seconds::Seconds;
use tokio::task::JoinHandle;

fn wish(user: &str, operation: &str, seconds: u32) -> Reserve {
    let operation = OperationId::parse(operation).unwrap();
    Reserve::new(
        UserId::parse(user).unwrap(),
        operation,
        Seconds::from_u32(seconds),
    )
}

fn grouped(store: &Arc<Gated>, change: impl FnOnce(&mut GroupSettings)) -> Arc<GroupCommit> {
    let mut settings = GroupSettings::default();
    change(&mut settings);
    Arc::new(GroupCommit::new(
        store.clone(),
        Arc::new(TokioRuntime),
        settings,
    ))
}

type Reserving = JoinHandle<Result<ReserveOutcome, StoreError>>;

/// A caller of its own; it has been polled once when this returns.
async fn call(group: &Arc<GroupCommit>, wish: Reserve) -> Reserving {
    let (group, polled) = (group.clone(), Arc::new(tokio::sync::Notify::new()));
    let begun = polled.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "the test needs the task's handle"
    )]
    let handle = tokio::spawn(async move {
        let mut step = std::pin::pin!(group.reserve(wish));
        let first =
            std::future::poll_fn(|context| std::task::Poll::Ready(step.as_mut().poll(context)))
                .await;
        begun.notify_one();
        match first {
            std::task::Poll::Ready(done) => done,
            std::task::Poll::Pending => step.await,
        }
    });
    polled.notified().await;
    handle
}

fn held(outcome: &ReserveOutcome) -> bool {
    matches!(outcome, ReserveOutcome::Reserved(_))
}

/// G1, G3: what queued behind the first step goes as one batch, and each outcome is what it would
/// have been alone, in order; a repeat in the batch takes nothing from those behind it.
#[tokio::test]
async fn g1_g3_a_batch_is_the_steps_in_the_order_they_came() {
    let store = Gated::new(0);
    let group = grouped(&store, |_| {});
    let mut callers = vec![call(&group, wish("ada", "op0", 100)).await];
    store.until_started(1).await;
    let steps = [
        ("op1", 2000),
        ("op1", 2000),
        ("op1", 2001),
        ("op2", 601),
        ("op3", 600),
        ("op4", 1),
    ];
    for (operation, seconds) in steps {
        callers.push(call(&group, wish("ada", operation, seconds)).await);
    }
    store.open();
    let mut outcomes = Vec::new();
    for caller in callers {
        outcomes.push(caller.await.unwrap().unwrap());
    }
    assert_eq!(store.sizes(), [1, 6]);
    let alone = Gated::new(100_000);
    for (outcome, (operation, seconds)) in
        outcomes.iter().zip([("op0", 100)].into_iter().chain(steps))
    {
        let wanted = alone
            .reserve(wish("ada", operation, seconds))
            .await
            .unwrap();
        assert_eq!(*outcome, wanted, "{operation}");
    }
    use ReserveOutcome::{AlreadyReserved, Insufficient, OperationConflict, Reserved};
    assert!(
        matches!(
            &outcomes[..],
            [
                Reserved(_),
                Reserved(_),
                AlreadyReserved(_),
                OperationConflict,
                Insufficient { .. },
                Reserved(_),
                Insufficient { .. }
            ]
        ),
        "{outcomes:?}"
    );
}

/// Every kind of step travels, and those on a hold of the account with it.
#[tokio::test]
async fn every_kind_of_step_is_answered() {
    let store = Gated::new(100_000);
    for enabled in [true, false] {
        let group = grouped(&store, |settings| settings.enabled = enabled);
        for (n, known) in [(1, true), (2, false)] {
            let operation = OperationId::parse(&format!("op{n}{enabled}")).unwrap();
            let reserve = wish("ada", operation.as_str(), 10);
            let hold = reserve.reservation_id();
            if known {
                assert!(held(&group.reserve(reserve).await.unwrap()));
            } else {
                assert!(held(&store.reserve(reserve).await.unwrap()));
            }
            let ttl = std::time::Duration::from_secs(9000);
            let extended = group.extend(Extend::new(hold.clone(), ttl)).await.unwrap();
            assert!(matches!(extended, ExtendOutcome::Extended { .. }));
            let commit = Commit::new(hold.clone(), operation.clone(), Seconds::from_u32(4));
            let committed = group.commit(commit.clone()).await.unwrap();
            assert!(matches!(committed, CommitOutcome::Committed(_)));
            let release = Release::new(hold, operation);
            assert_eq!(
                group.release(release).await.unwrap(),
                ReleaseOutcome::Closed
            );
            let batch = vec![CreditCommand::Commit(commit)];
            let outcomes = group.batch(batch).await.unwrap();
            assert!(matches!(
                outcomes[..],
                [CreditOutcome::Commit(CommitOutcome::AlreadyCommitted(_))]
            ));
        }
    }
}

/// Off by its setting, no two steps travel together.
#[tokio::test]
async fn switched_off_every_step_goes_by_itself() {
    let store = Gated::new(0);
    let group = grouped(&store, |settings| settings.enabled = false);
    let mut callers = Vec::new();
    for n in 0..5 {
        callers.push(call(&group, wish("ada", &format!("op{n}"), 1)).await);
    }
    store.open();
    for caller in callers {
        assert!(held(&caller.await.unwrap().unwrap()));
    }
    assert_eq!(store.sizes(), [1; 5]);
}

/// G2: a bad member fails alone.
#[tokio::test]
async fn g2_one_bad_member_fails_alone() {
    let store = Gated::new(0);
    let group = grouped(&store, |_| {});
    let first = call(&group, wish("ada", "op", 1)).await;
    store.until_started(1).await;
    let mut callers = Vec::new();
    for n in 1..=5 {
        callers.push(call(&group, wish("ada", &format!("op{n}"), n)).await);
    }
    store.fail(Fault::Poison(3));
    store.open();
    assert!(held(&first.await.unwrap().unwrap()));
    for (n, caller) in (1..).zip(callers) {
        match caller.await.unwrap() {
            Ok(outcome) => assert!(n != 3 && held(&outcome), "{n}"),
            Err(error) => assert_eq!((n, error.kind), (3, StoreErrorKind::Rejected)),
        }
    }
    assert_eq!(store.sizes(), [1, 5, 1, 1, 1, 1, 1]);
}

/// G2: a batch whose answer was lost is found done, member by member; one that never reached the
/// store is not tried again for each of its members.
#[tokio::test]
async fn g2_a_failed_batch_is_found_done_or_fails_at_once() {
    for (fault, calls) in [(Fault::AnswerLost, 5), (Fault::Unavailable, 2)] {
        let store = Gated::new(0);
        let group = grouped(&store, |_| {});
        let first = call(&group, wish("ada", "op", 1)).await;
        store.until_started(1).await;
        let mut callers = Vec::new();
        for n in 0..3 {
            callers.push(call(&group, wish("ada", &format!("op{n}"), 10)).await);
        }
        store.gate.add_permits(1);
        assert!(held(&first.await.unwrap().unwrap()));
        store.fail(fault);
        store.open();
        for caller in callers {
            match caller.await.unwrap() {
                Ok(outcome) => assert!(matches!(outcome, ReserveOutcome::AlreadyReserved(_))),
                Err(error) => assert_eq!(error.kind, StoreErrorKind::Unavailable),
            }
        }
        assert_eq!(store.sizes().len(), calls, "{fault:?}");
        let held = store.inner.ledger_totals().await.unwrap().held;
        assert_eq!(held, if fault == Fault::AnswerLost { 31 } else { 1 });
    }
}

/// G4: a caller that goes away while queued leaves nothing; one that goes away in flight leaves a
/// hold that lapses or that its repeat finds. Nobody else's answer is shifted.
#[tokio::test]
async fn g4_callers_that_go_away_shift_nobodys_answer() {
    let store = Gated::new(0);
    let group = grouped(&store, |_| {});
    let in_flight = call(&group, wish("ada", "op0", 1)).await;
    store.until_started(1).await;
    let mut callers = Vec::new();
    for n in 1..=6 {
        callers.push(call(&group, wish("ada", &format!("op{n}"), 10 * n)).await);
    }
    in_flight.abort();
    callers[2].abort();
    for gone in [in_flight, callers.remove(2)] {
        assert!(gone.await.unwrap_err().is_cancelled());
    }
    store.open();
    for (n, caller) in [1, 2, 4, 5, 6].into_iter().zip(callers) {
        let ReserveOutcome::Reserved(it) = caller.await.unwrap().unwrap() else {
            panic!("not reserved");
        };
        let own = wish("ada", &format!("op{n}"), 10 * n);
        assert_eq!(it.reservation, own.reservation_id());
        assert_eq!(it.seconds, own.seconds);
    }
    assert_eq!(store.sizes(), [1, 5]);
    let found = group.reserve(wish("ada", "op0", 1)).await.unwrap();
    assert!(matches!(found, ReserveOutcome::AlreadyReserved(_)));
    let never = group.reserve(wish("ada", "op3", 30)).await.unwrap();
    assert!(held(&never));
}

/// G5: a panic answers those in its batch; the next call goes on.
#[tokio::test]
async fn g5_a_panic_is_an_unknown_outcome_and_the_next_call_goes_on() {
    let store = Gated::new(0);
    let group = grouped(&store, |_| {});
    let mut callers = vec![call(&group, wish("ada", "op", 1)).await];
    store.until_started(1).await;
    for n in 0..3 {
        callers.push(call(&group, wish("ada", &format!("op{n}"), 10)).await);
    }
    store.fail(Fault::Panic);
    store.open();
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::OutcomeUnknown);
    }
    store.fail(Fault::None);
    assert!(held(&group.reserve(wish("ada", "op", 1)).await.unwrap()));
}

/// G5: so does a task that is dropped, even before it ran.
#[tokio::test]
async fn g5_tasks_that_are_dropped_answer_everyone_and_the_next_call_goes_on() {
    /// Keeps tasks until it is told to let them go, undone.
    #[derive(Debug, Default)]
    struct Hoard(Mutex<Vec<Task>>, std::sync::atomic::AtomicBool);
    struct Task(#[expect(dead_code, reason = "it is kept to be dropped")] BoxFuture<'static, ()>);
    impl std::fmt::Debug for Task {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Task")
        }
    }
    impl Spawn for Hoard {
        fn spawn(&self, task: BoxFuture<'static, ()>) {
            if self.1.load(SeqCst) {
                TokioRuntime.spawn(task);
            } else {
                self.0.lock().unwrap().push(Task(task));
            }
        }
    }
    let store = Gated::new(100_000);
    let hoard = Arc::new(Hoard::default());
    let mut settings = GroupSettings::default();
    settings.in_flight = 1;
    let group = Arc::new(GroupCommit::new(store.clone(), hoard.clone(), settings));
    let mut callers = Vec::new();
    for user in ["ada", "ada", "bob", "eve"] {
        callers.push(call(&group, wish(user, "op", 1)).await);
    }
    let tasks = std::mem::take(&mut *hoard.0.lock().unwrap());
    assert_eq!(tasks.len(), 1, "others wait for their turn");
    drop(tasks);
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::OutcomeUnknown);
    }
    hoard.1.store(true, SeqCst);
    for user in ["ada", "bob", "eve"] {
        assert!(held(&group.reserve(wish(user, "op", 1)).await.unwrap()));
    }
}

/// G5: an account's queue is bounded and its callers wait for room; all of them together are
/// bounded and refused.
#[tokio::test]
async fn g5_a_full_queue_holds_callers_back() {
    let store = Gated::new(0);
    let group = grouped(&store, |settings| {
        settings.depth = 2;
        settings.max_batch = 2;
        settings.capacity = 4;
    });
    let mut callers = vec![call(&group, wish("ada", "op", 1)).await];
    store.until_started(1).await;
    for n in 0..7 {
        callers.push(call(&group, wish("ada", &format!("op{n}"), 1)).await);
    }
    assert!(callers.iter().all(|caller| !caller.is_finished()));
    // Two of ada's are queued, five wait for room; there is room for two of other accounts.
    let others = ["bob", "eve"].map(|user| wish(user, "op", 1));
    store.fail(Fault::None);
    let stopped = grouped(&store, |settings| settings.capacity = 1);
    let first = call(&stopped, wish("zoe", "op1", 1)).await;
    store.until_started(2).await;
    let second = call(&stopped, wish("zoe", "op2", 1)).await;
    let refused = stopped.reserve(wish("zoe", "op3", 1)).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Full);
    for other in others {
        callers.push(call(&group, other).await);
    }
    store.open();
    for caller in callers.into_iter().chain([first, second]) {
        assert!(held(&caller.await.unwrap().unwrap()));
    }
    assert!(store.sizes().into_iter().all(|size| size <= 2));
}

/// G6: an account that is stuck holds up no other; and accounts take turns, so one with a long
/// queue does not.
#[tokio::test]
async fn g6_accounts_do_not_wait_for_one_another() {
    let store = Gated::new(100_000);
    *store.stuck.lock().unwrap() = Some(UserId::parse("ada").unwrap());
    let group = grouped(&store, |settings| settings.in_flight = 2);
    let stuck = call(&group, wish("ada", "op", 1)).await;
    store.until_started(1).await;
    for n in 0..5 {
        assert!(held(
            &group
                .reserve(wish("bob", &format!("op{n}"), 1))
                .await
                .unwrap()
        ));
    }
    stuck.abort();

    let store = Gated::new(0);
    let group = grouped(&store, |settings| {
        settings.in_flight = 1;
        settings.max_batch = 2;
        settings.accounts = 1;
    });
    let mut callers = vec![call(&group, wish("ada", "op", 1)).await];
    store.until_started(1).await;
    for n in 0..6 {
        callers.push(call(&group, wish("ada", &format!("op{n}"), 1)).await);
    }
    callers.push(call(&group, wish("bob", "op", 1)).await);
    store.open();
    for caller in callers {
        assert!(held(&caller.await.unwrap().unwrap()));
    }
    let calls = store.calls.lock().unwrap();
    let users: Vec<_> = calls
        .iter()
        .map(|(user, _)| user.as_ref().unwrap().as_str())
        .collect();
    assert_eq!(
        users,
        ["ada", "bob", "ada", "ada", "ada"],
        "bob's turn comes before the rest"
    );
}

/// Several accounts travel together, each with outcomes of its own in its own order.
#[tokio::test]
async fn g1_accounts_travel_together_and_each_gets_its_own() {
    let store = Gated::new(0);
    let group = grouped(&store, |settings| settings.in_flight = 1);
    let first = call(&group, wish("ada", "op", 1)).await;
    store.until_started(1).await;
    let mut callers = Vec::new();
    for n in 0..12u32 {
        let user = ["ada", "bob", "eve"][n as usize % 3];
        callers.push(call(&group, wish(user, &format!("op{n}"), 1 + n)).await);
    }
    store.open();
    assert!(held(&first.await.unwrap().unwrap()));
    for (n, caller) in callers.into_iter().enumerate() {
        let ReserveOutcome::Reserved(it) = caller.await.unwrap().unwrap() else {
            panic!("not reserved");
        };
        assert_eq!(it.seconds.get(), 1 + n as u64);
    }
    // Ada's turn had been given when the others came; theirs is one call for all.
    assert_eq!(store.sizes(), [1, 12]);
}

/// G6: an account that is busy there is not waited for, has its next turn by itself, and loses
/// neither its order nor its members.
#[tokio::test]
async fn g6_a_busy_account_is_left_for_a_turn_of_its_own() {
    let store = Gated::new(0);
    let group = grouped(&store, |settings| settings.in_flight = 1);
    let first = call(&group, wish("zoe", "op", 1)).await;
    store.until_started(1).await;
    let mut callers = Vec::new();
    for n in 0..6 {
        let user = ["ada", "bob"][n % 2];
        callers.push(call(&group, wish(user, &format!("op{n}"), 1)).await);
    }
    *store.busy.lock().unwrap() = Some(UserId::parse("bob").unwrap());
    store.open();
    assert!(held(&first.await.unwrap().unwrap()));
    let mut balances = Vec::new();
    for caller in callers {
        let ReserveOutcome::Reserved(it) = caller.await.unwrap().unwrap() else {
            panic!("not reserved");
        };
        balances.push(it.balance.daily_gift.get());
    }
    assert_eq!(
        balances,
        [899, 899, 898, 898, 897, 897],
        "in the order they came"
    );
    assert_eq!(store.sizes(), [1, 6, 3]);
}

/// G2: one bad member of one account fails alone; all else is done account by account.
#[tokio::test]
async fn g2_a_bad_member_fails_alone_among_several_accounts() {
    let store = Gated::new(0);
    let group = grouped(&store, |settings| settings.in_flight = 1);
    let first = call(&group, wish("zoe", "op", 1)).await;
    store.until_started(1).await;
    let mut callers = Vec::new();
    for n in 0..6u32 {
        let user = ["ada", "bob"][n as usize % 2];
        callers.push(call(&group, wish(user, &format!("op{n}"), 1 + n)).await);
    }
    store.fail(Fault::Poison(3));
    store.open();
    assert!(held(&first.await.unwrap().unwrap()));
    for (n, caller) in callers.into_iter().enumerate() {
        match caller.await.unwrap() {
            Ok(outcome) => assert!(n != 2 && held(&outcome), "{n}"),
            Err(error) => assert_eq!((n, error.kind), (2, StoreErrorKind::Rejected)),
        }
    }
    assert_eq!(store.sizes(), [1, 6, 3, 1, 1, 1, 3]);
}
