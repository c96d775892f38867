//! Callers that vanish at any await: their futures are dropped between random polls, before or
//! after the step was done. Nothing is lost, and asking again gives the one answer there is.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail by panic")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use sheen_billing::account::{
    Commit, CommitOutcome, CreditPolicy, CreditReader, CreditStore, CreditSweep, GrantStore,
    MemoryCreditStore, Purchase, PurchaseOutcome, Release, ReleaseOutcome, Reserve, ReserveOutcome,
};
use sheen_core::id::{OperationId, PaymentId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::{ManualClock, Timestamp};

/// Pending once, as a store on the other side of a wire would be.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut paused, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// What one caller does, from its first call to its last, each call with awaits around it.
async fn job(store: Arc<MemoryCreditStore>, n: u32) {
    let user = UserId::parse(&format!("u{}", n % 4)).unwrap();
    let operation = OperationId::parse(&format!("job{n}")).unwrap();
    if n.is_multiple_of(5) {
        pause().await;
        let payment = PaymentId::parse(&format!("pay{n}")).unwrap();
        let purchase = Purchase::new(user.clone(), payment, Seconds::from_u32(60));
        let _ = store.credit(purchase).await.unwrap();
        pause().await;
    }
    let mut reserve = Reserve::new(user, operation.clone(), Seconds::from_u32(1 + n % 50));
    reserve.ttl = Duration::from_secs(7200);
    let hold = reserve.reservation_id();
    pause().await;
    let reserved = store.reserve(reserve).await.unwrap();
    pause().await;
    if matches!(reserved, ReserveOutcome::Insufficient { .. }) {
        return;
    }
    pause().await;
    if n.is_multiple_of(3) {
        let _ = store.release(Release::new(hold, operation)).await.unwrap();
    } else {
        let commit = Commit::new(hold, operation, Seconds::from_u32(n % 70));
        let _ = store.commit(commit).await.unwrap();
    }
    pause().await;
}

/// The same job again, to its end: every step has happened once by then, whatever came before.
async fn again(store: &MemoryCreditStore, n: u32) {
    let user = UserId::parse(&format!("u{}", n % 4)).unwrap();
    let operation = OperationId::parse(&format!("job{n}")).unwrap();
    let mut reserve = Reserve::new(
        user.clone(),
        operation.clone(),
        Seconds::from_u32(1 + n % 50),
    );
    reserve.ttl = Duration::from_secs(7200);
    let hold = reserve.reservation_id();
    if n.is_multiple_of(5) {
        let payment = PaymentId::parse(&format!("pay{n}")).unwrap();
        let purchase = Purchase::new(user, payment, Seconds::from_u32(60));
        let _ = store.credit(purchase.clone()).await.unwrap();
        let outcome = store.credit(purchase).await.unwrap();
        assert!(matches!(outcome, PurchaseOutcome::AlreadyCredited(_)));
    }
    match store.reserve(reserve.clone()).await.unwrap() {
        ReserveOutcome::Reserved(answer) | ReserveOutcome::AlreadyReserved(answer) => {
            let repeat = store.reserve(reserve).await.unwrap();
            assert_eq!(repeat, ReserveOutcome::AlreadyReserved(answer));
        }
        ReserveOutcome::Insufficient { .. } => return,
        other => panic!("{other:?}"),
    }
    if n.is_multiple_of(3) {
        let release = Release::new(hold, operation);
        match store.release(release.clone()).await.unwrap() {
            ReleaseOutcome::Released(answer) | ReleaseOutcome::AlreadyReleased(answer) => {
                let repeat = store.release(release).await.unwrap();
                assert_eq!(repeat, ReleaseOutcome::AlreadyReleased(answer));
            }
            other => assert_eq!(other, ReleaseOutcome::Expired),
        }
    } else {
        let commit = Commit::new(hold, operation, Seconds::from_u32(n % 70));
        match store.commit(commit.clone()).await.unwrap() {
            CommitOutcome::Committed(answer) | CommitOutcome::AlreadyCommitted(answer) => {
                let repeat = store.commit(commit).await.unwrap();
                assert_eq!(repeat, CommitOutcome::AlreadyCommitted(answer));
            }
            other => assert_eq!(other, CommitOutcome::Expired),
        }
    }
}

type Flight = (u32, Pin<Box<dyn Future<Output = ()>>>);

/// Eight callers in flight at a time; each turn polls one, and some turns drop one.
async fn callers_vanish(turns: &[(u8, u8)]) {
    let noon = Timestamp::parse_rfc3339("2026-11-20T12:00:00Z").unwrap();
    let clock = Arc::new(ManualClock::at(noon));
    let policy = CreditPolicy::default();
    let store = Arc::new(MemoryCreditStore::new(clock.clone(), policy, 10));
    let mut flights: Vec<Flight> = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    let (mut next, mut vanished) = (0u32, 0u32);
    for (which, what) in turns {
        while flights.len() < 8 {
            flights.push((next, Box::pin(job(store.clone(), next))));
            next += 1;
        }
        let at = usize::from(*which) % flights.len();
        let done = flights[at].1.as_mut().poll(&mut context).is_ready();
        if done || *what < 40 {
            let (n, future) = flights.swap_remove(at);
            drop(future);
            vanished += u32::from(!done);
            // Half of those who vanished come back and ask again.
            if what % 2 == 0 {
                again(&store, n).await;
            }
        }
        if *what > 250 {
            clock.advance(Duration::from_secs(1800));
            let _ = store.expire(3).await.unwrap();
        }
        let all = store.ledger_totals().await.unwrap();
        assert!(all.is_conserved(), "{all:?}");
    }
    assert!(vanished > 0);
    drop(flights);
    for n in 0..next {
        again(&store, n).await;
    }
    clock.advance(Duration::from_secs(7200));
    while store.expire(100).await.unwrap() > 0 {}
    let all = store.ledger_totals().await.unwrap();
    assert!(all.is_conserved() && all.held == 0, "{all:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// 10 runs of 1,000 turns.
    #[test]
    fn nothing_is_lost_when_callers_vanish(
        turns in prop::collection::vec((any::<u8>(), any::<u8>()), 1_000),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(callers_vanish(&turns));
    }
}
