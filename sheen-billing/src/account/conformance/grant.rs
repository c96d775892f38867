//! G1–G3: feeding accounts.

use super::*;

/// G1.
pub async fn g1_a_payment_is_credited_once_over_all_accounts(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(0, 0)).await;
    let credits = |payment: &'static str, names: [&'static str; 2]| {
        let grants = harness.grants.clone();
        at_once((0..32usize).map(move |n| {
            let grants = grants.clone();
            let purchase = Purchase::new(user(names[n % 2]), pay(payment), secs(100));
            async move { grants.credit(purchase).await.unwrap() }
        }))
    };
    let count = |outcomes: &[PurchaseOutcome], wanted: fn(&PurchaseOutcome) -> bool| {
        outcomes.iter().filter(|outcome| wanted(outcome)).count()
    };
    let credited = |it: &PurchaseOutcome| matches!(it, PurchaseOutcome::Credited(_));
    let known = |it: &PurchaseOutcome| matches!(it, PurchaseOutcome::AlreadyCredited(_));
    let conflict = |it: &PurchaseOutcome| *it == PurchaseOutcome::OperationConflict;

    let outcomes = credits("pay1", ["ada", "ada"]).await;
    assert_eq!(count(&outcomes, credited), 1);
    assert_eq!(count(&outcomes, known), 31);
    let outcomes = credits("pay2", ["ada", "bob"]).await;
    assert_eq!(count(&outcomes, credited), 1);
    assert_eq!(count(&outcomes, known), 15);
    assert_eq!(count(&outcomes, conflict), 16);

    let held = harness.hold(&wish("op", 30)).await;
    let entries = harness.entries("ada").await;
    let again = harness.credit("ada", "pay1", 100).await;
    assert_eq!(again, PurchaseOutcome::AlreadyCredited(held.balance));
    let other = harness.credit("ada", "pay1", 101).await;
    assert_eq!(other, PurchaseOutcome::OperationConflict);
    let other = harness.credit("bob", "pay1", 100).await;
    assert_eq!(other, PurchaseOutcome::OperationConflict);
    assert_eq!(harness.entries("ada").await, entries);
    let all = harness.reader.ledger_totals().await.unwrap();
    assert_eq!(all.granted, 200);
    harness.check_books(&["ada", "bob"]).await;
}

/// G2.
pub async fn g2_two_payments_are_two_credits(new: impl AsyncFn(CreditPolicy) -> CreditHarness) {
    let harness = new(gifts(0, 0)).await;
    for n in 1..=3u32 {
        let outcome = harness.credit("ada", &format!("pay{n}"), 100).await;
        let PurchaseOutcome::Credited(balance) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(balance.paid, secs(100 * n));
    }
    harness.check_books(&["ada"]).await;
}

/// G3.
pub async fn g3_what_goes_out_of_range_is_refused_whole(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(10, 10)).await;
    let most = Purchase::new(user("ada"), pay("pay"), Seconds::MAX);
    for _ in 0..2 {
        let outcome = harness.grants.credit(most.clone()).await.unwrap();
        assert_eq!(outcome, PurchaseOutcome::OutOfRange);
    }
    assert_eq!(harness.entries("ada").await, []);
    // Its payment id is free, and as much as there is room for goes in.
    let fits = Seconds::MAX.checked_sub(secs(25)).unwrap();
    let fitting = Purchase::new(user("ada"), pay("pay"), fits);
    let outcome = harness.grants.credit(fitting).await.unwrap();
    assert!(matches!(outcome, PurchaseOutcome::Credited(it) if it.paid == fits));
    let outcome = harness.credit("ada", "pay2", 6).await;
    assert_eq!(outcome, PurchaseOutcome::OutOfRange);
    // A gift there is no room for is not given, and stops nothing.
    harness.forward(24 * 3600).await;
    let held = harness.hold(&wish("op", 1)).await;
    assert_eq!(held.balance.daily_gift, Seconds::ZERO);
    harness.check_books(&["ada"]).await;
}
