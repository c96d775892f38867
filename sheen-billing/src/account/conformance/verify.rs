//! V1 and V2: recomputing accounts. What the rules alone cannot write, a drift, is each store's own
//! test.

use super::*;

/// V1.
pub async fn v1_steps_of_the_same_instant_are_no_drift(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(1000, 500)).await;
    let names = ["u0", "u1", "u2"];
    let mut tasks: Vec<BoxFuture<'static, ()>> = Vec::new();
    for name in names {
        let store = harness.store.clone();
        tasks.push(Box::pin(async move {
            for n in 0..30 {
                let operation = op(&format!("op{n}"));
                let reserve = Reserve::new(user(name), operation.clone(), secs(10));
                let hold = reserve.reservation_id();
                store.reserve(reserve).await.unwrap();
                if n % 3 > 0 {
                    let commit = Commit::new(hold, operation, secs(n));
                    store.commit(commit).await.unwrap();
                }
            }
        }));
    }
    let audit = harness.audit.clone();
    tasks.push(Box::pin(async move {
        for _ in 0..30 {
            let found = audit.verify_all(None, 10).await.unwrap();
            assert_eq!(found.drifts, []);
        }
    }));
    at_once(tasks).await;
    let found = harness.audit.verify_all(None, 10).await.unwrap();
    assert_eq!((found.accounts, found.next), (3, None));
    assert_eq!(found.drifts, []);
    assert_eq!(harness.audit.verify(&user("nobody")).await.unwrap(), []);
}

/// V2.
pub async fn v2_pages_go_through_every_account_once(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 0)).await;
    let empty = harness.audit.verify_all(None, 10).await.unwrap();
    assert_eq!((empty.accounts, empty.next), (0, None));
    for n in 0..7 {
        harness
            .credit(&format!("u{n}"), &format!("pay{n}"), 5)
            .await;
    }
    let mut after = None;
    let mut pages = Vec::new();
    loop {
        let page = harness.audit.verify_all(after.as_ref(), 3).await.unwrap();
        assert_eq!(page.drifts, []);
        pages.push(page.accounts);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(pages, [3, 3, 1]);
    let one = harness.audit.verify_all(None, 0).await.unwrap();
    assert_eq!((one.accounts, one.next), (1, Some(user("u0"))));
}
