//! G4–G6: refunds.

use super::super::EntryKind;
use super::*;

fn of_charge(operation: &str, hold: &ReservationId, seconds: u32) -> Refund {
    Refund::of_charge(user("ada"), op(operation), hold.clone(), secs(seconds))
}

fn of_purchase(operation: &str, payment: &str, seconds: u32) -> Refund {
    Refund::of_purchase(user("ada"), op(operation), pay(payment), secs(seconds))
}

/// G4.
pub async fn g4_a_refund_gives_back_or_takes_back(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 50)).await;
    harness.credit("ada", "pay", 70).await;
    let held = harness.hold(&wish("op1", 200)).await;
    harness.charge(&held.reservation, "c1", 200).await;
    // Charged of 100 gift, 50 bonus and 50 bought: given back the other way round.
    let back = harness.undo(&of_charge("f1", &held.reservation, 60)).await;
    assert_eq!((back.seconds, back.returned), (secs(60), secs(60)));
    let figures =
        |it: &super::super::Balance| (it.daily_gift.get(), it.welcome_bonus.get(), it.paid.get());
    assert_eq!(figures(&back.balance), (0, 10, 70));
    let back = harness.undo(&of_charge("f2", &held.reservation, 60)).await;
    assert_eq!(figures(&back.balance), (20, 50, 70));
    let usage = harness.view("ada").await.usage;
    assert_eq!(usage.lifetime_used, secs(200), "what was charged stays");

    // The gift is over by then: refunded, and nothing of it can be spent.
    harness.to_the_evening().await;
    harness.past_midnight().await;
    let back = harness.undo(&of_charge("f3", &held.reservation, 80)).await;
    assert_eq!((back.seconds, back.returned), (secs(80), secs(0)));
    assert_eq!(figures(&back.balance), (100, 50, 70));

    // Of a purchase: what is spent or held is not taken.
    let held = harness.hold(&wish("op2", 190)).await;
    let outcome = harness.refund(&of_purchase("f4", "pay", 31)).await;
    let (required, available) = (secs(31), secs(30));
    let refused = RefundOutcome::Insufficient {
        required,
        available,
    };
    assert_eq!(outcome, refused);
    let taken = harness.undo(&of_purchase("f4", "pay", 30)).await;
    assert_eq!((taken.seconds, taken.returned), (secs(30), secs(0)));
    assert_eq!(taken.balance.total, Seconds::ZERO);
    harness.give_back(&held.reservation, "r").await;
    let taken = harness.undo(&of_purchase("f5", "pay", 40)).await;
    assert_eq!(figures(&taken.balance), (100, 50, 0));

    let entries = harness.entries("ada").await;
    let count = |kind| entries.iter().filter(|it| it.kind == kind).count();
    assert_eq!(count(EntryKind::Refund), 4, "two buckets twice");
    assert_eq!(count(EntryKind::Reversal), 2);
    // What a refund of a charge gives back is granted anew; what it is of stays charged.
    let totals = harness.totals("ada").await;
    let (gifts, bonus, bought, given_back) = (2 * 100, 50, 70, 120);
    assert_eq!(totals.granted, secs(gifts + bonus + bought + given_back));
    assert_eq!(
        (totals.charged, totals.breakage),
        (secs(200), secs(20 + 70))
    );
    let of = |it: &&Entry| it.kind == EntryKind::Refund;
    let refunds = entries.iter().filter(of).map(|it| it.seconds.get());
    assert_eq!(refunds.sum::<u64>(), u64::from(given_back));
    harness.check_books(&["ada"]).await;
}

/// G4: each gift is void at the end of its own day, whichever of them a charge was of.
pub async fn g4_what_a_late_commit_took_of_the_new_gift_is_given_back(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 0)).await;
    harness.credit("ada", "pay", 50).await;
    harness.to_the_evening().await;
    let mixed = harness.hold(&wish("op1", 30)).await.reservation;
    let bought = harness.hold(&wish("op2", 90)).await.reservation;
    harness.past_midnight().await;
    // 30 of the old gift and 50 of the new one; 70 of the old one, 20 bought and 40 of the new one.
    harness.charge(&mixed, "c1", 80).await;
    harness.charge(&bought, "c2", 130).await;
    let gift = async |operation: &str, hold: &ReservationId, seconds| {
        let back = harness.undo(&of_charge(operation, hold, seconds)).await;
        let balance = back.balance;
        let left = (balance.daily_gift.get(), balance.paid.get());
        (back.returned.get(), left)
    };
    assert_eq!(gift("f1", &mixed, 20).await, (20, (30, 30)));
    assert_eq!(gift("f2", &mixed, 60).await, (30, (60, 30)));
    assert_eq!(gift("f3", &bought, 30).await, (30, (70, 50)));
    // What is not asked for on that day is void with it.
    harness.forward(24 * 3600).await;
    assert_eq!(gift("f4", &bought, 100).await, (0, (100, 50)));
    harness.check_books(&["ada"]).await;
}

/// G5.
pub async fn g5_refunds_never_sum_above_what_they_are_of(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(0, 0)).await;
    harness.credit("ada", "pay", 1000).await;
    harness.credit("bob", "pay2", 1000).await;
    let held = harness.hold(&wish("op1", 100)).await;
    let hold = &held.reservation;
    let exceeds = |seconds| RefundOutcome::Exceeds {
        refundable: secs(seconds),
    };
    // Nothing is charged yet.
    assert_eq!(harness.refund(&of_charge("f", hold, 1)).await, exceeds(0));
    harness.charge(hold, "c1", 90).await;
    assert_eq!(harness.refund(&of_charge("f", hold, 91)).await, exceeds(90));
    let at_once = |refund: fn(&str, &ReservationId) -> Refund| {
        let (grants, hold) = (harness.grants.clone(), hold.clone());
        at_once((0..32).map(move |n| {
            let (grants, refund) = (grants.clone(), refund(&format!("f{n}"), &hold));
            async move { grants.refund(refund).await.unwrap() }
        }))
    };
    let done = |outcomes: &[RefundOutcome]| {
        let done = outcomes.iter();
        done.filter(|it| matches!(it, RefundOutcome::Refunded(_)))
            .count()
    };
    let outcomes = at_once(|name, hold| of_charge(name, hold, 20)).await;
    assert_eq!(done(&outcomes), 4, "4 × 20 of 90");
    assert_eq!(outcomes.iter().filter(|it| **it == exceeds(10)).count(), 28);
    // A double refund is refused whatever it is called.
    harness.undo(&of_charge("rest", hold, 10)).await;
    assert_eq!(harness.refund(&of_charge("g", hold, 1)).await, exceeds(0));

    let outcomes = at_once(|name, _| of_purchase(&format!("p{name}"), "pay", 300)).await;
    assert_eq!(done(&outcomes), 3, "3 × 300 of 1,000");
    assert_eq!(
        outcomes.iter().filter(|it| **it == exceeds(100)).count(),
        29
    );

    // Another's hold and payment are the same as none, and so is what nobody knows.
    let bobs = Reserve::new(user("bob"), op("op1"), secs(10));
    let held = harness.hold(&bobs).await;
    harness.charge(&held.reservation, "c1", 10).await;
    let unknown = ReservationId::parse("res_0").unwrap();
    for refund in [
        of_charge("g", &held.reservation, 1),
        of_charge("g", &unknown, 1),
        of_purchase("g", "pay2", 1),
        of_purchase("g", "pay3", 1),
    ] {
        assert_eq!(harness.refund(&refund).await, RefundOutcome::NotFound);
    }
    harness.check_books(&["ada", "bob"]).await;
}

/// G6.
pub async fn g6_a_repeated_refund_gets_the_first_answer(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(0, 0)).await;
    harness.credit("ada", "pay", 1000).await;
    let held = harness.hold(&wish("op1", 100)).await;
    harness.charge(&held.reservation, "op1", 100).await;
    let outcome = harness
        .refund(&of_charge("op1", &held.reservation, 101))
        .await;
    assert!(
        matches!(outcome, RefundOutcome::Exceeds { .. }),
        "{outcome:?}"
    );
    // One id may serve a reserve, a commit and a refund, and a refusal leaves it free.
    let first = of_charge("op1", &held.reservation, 60);
    let back = harness.undo(&first).await;
    let taken = harness.undo(&of_purchase("op2", "pay", 50)).await;
    let entries = harness.entries("ada").await;
    for _ in 0..2 {
        let again = harness.refund(&first).await;
        assert_eq!(again, RefundOutcome::AlreadyRefunded(back));
        let again = harness.refund(&of_purchase("op2", "pay", 50)).await;
        assert_eq!(again, RefundOutcome::AlreadyRefunded(taken));
        for other in [
            of_charge("op1", &held.reservation, 40),
            of_charge("op2", &held.reservation, 50),
            of_purchase("op1", "pay", 60),
            of_purchase("op2", "pay", 51),
        ] {
            let outcome = harness.refund(&other).await;
            assert_eq!(outcome, RefundOutcome::OperationConflict);
        }
    }
    assert_eq!(harness.entries("ada").await, entries);
    let bought = harness.credit("ada", "pay", 1000).await;
    assert!(
        matches!(bought, PurchaseOutcome::AlreadyCredited(_)),
        "{bought:?}"
    );
    harness.check_books(&["ada"]).await;
}
