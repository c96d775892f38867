//! What holds when the store fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::runtime::ManualSleep;
use sheen_core::time::{ManualClock, Timestamp};

use crate::limit::{
    LimitKey, LimitStore, Limiter, MemoryLimitStore, OnFailure, Quota, Quotas, Standing, Subject,
    TakeOutcome, Verdict,
};

const KEY: LimitKey<'static> = LimitKey::new("chat", Subject::Everyone);

fn quotas() -> Quotas {
    Quotas::from(Quota::per_minute(3).unwrap())
}

/// Fails at once, or never answers.
#[derive(Debug)]
struct Down {
    is_silent: bool,
}

impl Down {
    async fn fail<T>(&self) -> Result<T, StoreError> {
        if self.is_silent {
            std::future::pending::<()>().await;
        }
        Err(StoreError::with_source(
            StoreErrorKind::Unavailable,
            "the socket is closed",
        ))
    }
}

#[async_trait]
impl LimitStore for Down {
    async fn take(&self, _: &LimitKey<'_>, _: &Quotas, _: u32) -> Result<TakeOutcome, StoreError> {
        self.fail().await
    }

    async fn peek(&self, _: &LimitKey<'_>, _: &Quotas, _: u32) -> Result<TakeOutcome, StoreError> {
        self.fail().await
    }

    async fn refund(&self, _: &LimitKey<'_>, _: &Quotas, _: u32) -> Result<Standing, StoreError> {
        self.fail().await
    }
}

#[tokio::test]
async fn l11_a_failing_store_opens_or_closes_as_chosen_and_is_counted() {
    for choice in [OnFailure::Open, OnFailure::Closed] {
        let told = Arc::new(AtomicU64::new(0));
        let hook = Arc::clone(&told);
        let limiter = Limiter::new(Arc::new(Down { is_silent: false }), choice).on_each_failure(
            move |error| {
                assert_eq!(error.kind, StoreErrorKind::Unavailable);
                hook.fetch_add(1, Ordering::SeqCst);
            },
        );
        let taken = limiter.take(&KEY, &quotas(), 1).await;
        let seen = limiter.peek(&KEY, &quotas(), 1).await;
        for verdict in [taken, seen] {
            match choice {
                OnFailure::Open => assert!(matches!(verdict, Verdict::Unchecked), "{verdict:?}"),
                OnFailure::Closed => {
                    assert!(matches!(verdict, Verdict::Unavailable(_)), "{verdict:?}");
                }
            }
        }
        assert!(limiter.refund(&KEY, &quotas(), 1).await.is_none());
        assert_eq!((limiter.failures(), told.load(Ordering::SeqCst)), (3, 3));
    }
}

#[tokio::test]
async fn l11_a_store_that_says_nothing_has_failed_after_its_time() {
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let sleep = Arc::new(ManualSleep::new(clock));
    let limiter = Limiter::new(Arc::new(Down { is_silent: true }), OnFailure::Closed)
        .within(Duration::from_millis(200), sleep.clone());
    let quotas = quotas();
    let mut asking = std::pin::pin!(limiter.take(&KEY, &quotas, 1));
    std::future::poll_fn(|cx| {
        assert!(asking.as_mut().poll(cx).is_pending(), "it waits");
        Poll::Ready(())
    })
    .await;
    sleep.advance(Duration::from_millis(200));
    let Verdict::Unavailable(error) = asking.await else {
        panic!("it is closed");
    };
    assert_eq!(error.kind, StoreErrorKind::OutcomeUnknown);
    assert_eq!(limiter.failures(), 1);
}

#[tokio::test]
async fn l06_a_full_store_follows_the_same_choice() {
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let store = Arc::new(MemoryLimitStore::new(clock, 1));
    let open = Limiter::new(store.clone(), OnFailure::Open);
    let closed = Limiter::new(store, OnFailure::Closed);
    let new = LimitKey::new("chat", Subject::Other("new"));
    assert!(matches!(
        open.take(&KEY, &quotas(), 1).await,
        Verdict::Admitted(_)
    ));
    assert!(matches!(
        open.take(&new, &quotas(), 1).await,
        Verdict::Unchecked
    ));
    assert!(matches!(
        closed.take(&new, &quotas(), 1).await,
        Verdict::Unavailable(_)
    ));
    assert!(matches!(
        closed.take(&KEY, &quotas(), 1).await,
        Verdict::Admitted(_)
    ));
}

#[tokio::test]
async fn a_working_store_is_passed_on() {
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let sleep = Arc::new(ManualSleep::new(clock.clone()));
    let limiter = Limiter::new(Arc::new(MemoryLimitStore::new(clock, 10)), OnFailure::Open)
        .within(Duration::from_secs(1), sleep);
    let never = limiter.take(&KEY, &quotas(), 4).await;
    assert!(
        matches!(never, Verdict::TooCostly { max_cost: 3 }),
        "{never:?}"
    );
    assert!(matches!(
        limiter.take(&KEY, &quotas(), 3).await,
        Verdict::Admitted(_)
    ));
    assert!(matches!(
        limiter.peek(&KEY, &quotas(), 1).await,
        Verdict::Limited(_)
    ));
    let given = limiter.refund(&KEY, &quotas(), 1).await.unwrap();
    assert_eq!(given.tightest().remaining(), 1);
    assert_eq!(limiter.failures(), 0);
}
