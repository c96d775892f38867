//! C1–C5, C12 and C17: holding seconds.

use super::super::{CapKind, EntryKind};
use super::*;
use sheen_core::error::StoreErrorKind;

/// C1.
pub async fn c01_concurrent_reserves_never_sum_above_what_was_available(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(1000, 0)).await;
    let outcomes = at_once((0..64).map(|n| {
        let store = harness.store.clone();
        async move { store.reserve(wish(&format!("op{n}"), 30)).await.unwrap() }
    }))
    .await;
    let held = |it: &&ReserveOutcome| matches!(it, ReserveOutcome::Reserved(_));
    assert_eq!(outcomes.iter().filter(held).count(), 33);
    for outcome in outcomes.iter().filter(|it| !held(it)) {
        let refused = ReserveOutcome::Insufficient {
            required: secs(30),
            available: secs(10),
        };
        assert_eq!(*outcome, refused);
    }
    assert_eq!(harness.view("ada").await.balance.total, secs(10));
    harness.check_books(&["ada"]).await;
}

/// C2.
pub async fn c02_a_reserve_takes_gift_then_bonus_then_paid(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 50)).await;
    harness.credit("ada", "pay1", 70).await;
    let figures = |held: &Reserved| {
        let it = held.balance;
        [it.daily_gift, it.welcome_bonus, it.paid, it.total].map(Seconds::get)
    };
    let first = harness.hold(&wish("op1", 120)).await;
    assert_eq!(figures(&first), [0, 30, 70, 100]);
    let second = harness.hold(&wish("op2", 60)).await;
    assert_eq!(figures(&second), [0, 0, 40, 40]);
    let third = harness.hold(&wish("op3", 40)).await;
    assert_eq!(figures(&third), [0, 0, 0, 0]);
    harness.check_books(&["ada"]).await;
}

/// C3.
pub async fn c03_first_touches_give_each_gift_once(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(900, 300)).await;
    let touch_all = |day: u32| {
        let (store, grants) = (harness.store.clone(), harness.grants.clone());
        let touches = (0..60).map(move |n| {
            let (store, grants) = (store.clone(), grants.clone());
            async move {
                if n % 2 == 0 {
                    let reserve = wish(&format!("op{day}-{n}"), 1);
                    store.reserve(reserve).await.map(|_| ())
                } else {
                    let payment = pay(&format!("pay{day}-{n}"));
                    let purchase = Purchase::new(user("ada"), payment, secs(1));
                    grants.credit(purchase).await.map(|_| ())
                }
            }
        });
        async move { at_once(touches).await }
    };
    let count = |entries: &[Entry], kind| entries.iter().filter(|it| it.kind == kind).count();
    for day in 1..=3u32 {
        for touched in touch_all(day).await {
            touched.unwrap();
        }
        let entries = harness.entries("ada").await;
        assert_eq!(count(&entries, EntryKind::WelcomeBonus), 1);
        assert_eq!(count(&entries, EntryKind::DailyGift), day as usize);
        let gift = harness.view("ada").await.balance.daily_gift;
        assert_eq!(gift, secs(870), "day {day}");
        harness.forward(24 * 3600).await;
    }
    harness.check_books(&["ada"]).await;
}

/// C4.
pub async fn c04_a_repeat_gets_the_first_answer_and_other_numbers_conflict(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(500, 0)).await;
    let wanted = wish("op", 100);
    let held = harness.hold(&wanted).await;
    let other = harness.hold(&wish("other", 100)).await;
    let again = ReserveOutcome::AlreadyReserved(held.clone());
    assert_eq!(harness.reserve(&wanted).await, again);
    let elsewhere = Reserve {
        project: Some(project("p")),
        ..wanted.clone()
    };
    for changed in [wish("op", 101), brief("op", 100, 5), elsewhere] {
        let outcome = harness.reserve(&changed).await;
        assert_eq!(outcome, ReserveOutcome::OperationConflict, "{changed:?}");
    }

    // A store keeps milliseconds; what is finer makes no other call of a repeat.
    let mut fine = wish("fine", 1);
    fine.ttl = Duration::from_secs(10) / 3;
    let fine_held = harness.hold(&fine).await;
    let fine_again = harness.reserve(&fine).await;
    assert_eq!(
        fine_again,
        ReserveOutcome::AlreadyReserved(fine_held.clone())
    );
    harness.give_back(&fine_held.reservation, "fine").await;

    // One id may serve a reserve, a commit and a release.
    let charged = harness.charge(&held.reservation, "op", 40).await;
    let given_back = harness.give_back(&other.reservation, "op").await;
    let entries = harness.entries("ada").await;
    harness.forward(30).await;
    let repeat = harness.commit(&held.reservation, "op", 40).await;
    assert_eq!(repeat, CommitOutcome::AlreadyCommitted(charged));
    let repeat = harness.release(&other.reservation, "op").await;
    assert_eq!(repeat, ReleaseOutcome::AlreadyReleased(given_back));
    assert_eq!(harness.reserve(&wanted).await, again, "its hold has ended");
    let conflict = CommitOutcome::OperationConflict;
    assert_eq!(harness.commit(&held.reservation, "op", 41).await, conflict);
    assert_eq!(harness.commit(&other.reservation, "op", 40).await, conflict);
    let released = harness.release(&held.reservation, "op").await;
    assert_eq!(released, ReleaseOutcome::OperationConflict);
    assert_eq!(harness.entries("ada").await, entries);

    // The same id on another account is another operation.
    let bobs = Reserve::new(user("bob"), op("op"), secs(7));
    let bobs = harness.hold(&bobs).await;
    assert_ne!(bobs.reservation, held.reservation);
    harness.check_books(&["ada", "bob"]).await;
}

/// C5.
pub async fn c05_a_refusal_writes_nothing(new: impl AsyncFn(CreditPolicy) -> CreditHarness) {
    let harness = new(CreditPolicy {
        user_daily_cap: Some(secs(500)),
        ..gifts(60, 40)
    })
    .await;
    let too_much = wish("op", 150);
    for _ in 0..2 {
        let refused = ReserveOutcome::Insufficient {
            required: secs(150),
            available: secs(100),
        };
        assert_eq!(harness.reserve(&too_much).await, refused);
    }
    assert!(matches!(
        harness.reserve(&wish("op", 501)).await,
        ReserveOutcome::CapReached { .. }
    ));
    assert_eq!(harness.entries("ada").await, []);
    assert_eq!(harness.totals("ada").await, Totals::default());

    harness.credit("ada", "pay", 50).await;
    let held = harness.hold(&too_much).await;
    harness.charge(&held.reservation, "c1", 1).await;
    let entries = harness.entries("ada").await;
    let closed = harness.commit(&held.reservation, "c2", 1).await;
    assert_eq!(closed, CommitOutcome::Closed);
    let closed = harness.release(&held.reservation, "r1").await;
    assert_eq!(closed, ReleaseOutcome::Closed);
    assert_eq!(harness.entries("ada").await, entries);

    // The ids of what was refused are free.
    let next = harness.hold(&wish("op2", 10)).await;
    harness.charge(&next.reservation, "c2", 3).await;
    let last = harness.hold(&wish("op3", 10)).await;
    harness.give_back(&last.reservation, "r1").await;
    harness.check_books(&["ada"]).await;
}

/// C12.
pub async fn c12_caps_count_the_days_holds_and_stand_before_credits(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let policy = CreditPolicy {
        user_daily_cap: Some(secs(100)),
        project_daily_cap: Some(secs(60)),
        ..gifts(300, 0)
    };
    let harness = new(policy).await;
    let reset_at = harness.view("ada").await.daily_reset_at;
    let reached = |cap| ReserveOutcome::CapReached { cap, reset_at };
    let of = |name: &str, operation: &str, seconds| Reserve {
        project: Some(project(name)),
        ..wish(operation, seconds)
    };
    // 1000 is more than there is, and the cap is told.
    let outcome = harness.reserve(&wish("op0", 1000)).await;
    assert_eq!(outcome, reached(CapKind::User));
    let first = harness.hold(&of("p1", "op1", 60)).await;
    let outcome = harness.reserve(&of("p1", "op2", 1)).await;
    assert_eq!(outcome, reached(CapKind::Project));
    let outcome = harness.reserve(&of("p1", "op2", 41)).await;
    assert_eq!(outcome, reached(CapKind::User), "the user's comes first");
    let second = harness.hold(&of("p2", "op3", 40)).await;
    assert_eq!(
        harness.reserve(&wish("op4", 1)).await,
        reached(CapKind::User)
    );

    // What was held and not charged counts no more.
    harness.charge(&first.reservation, "c1", 20).await;
    harness.give_back(&second.reservation, "r1").await;
    let outcome = harness.reserve(&of("p1", "op5", 41)).await;
    assert_eq!(outcome, reached(CapKind::Project));
    harness.hold(&of("p1", "op5", 40)).await;
    let late = harness.hold(&of("p2", "op6", 40)).await;
    assert_eq!(
        harness.reserve(&wish("op7", 1)).await,
        reached(CapKind::User)
    );

    // A new day counts anew, and yesterday's holds do not count in it.
    harness
        .store
        .extend(day_long(&late.reservation))
        .await
        .unwrap();
    harness.forward(13 * 3600).await;
    harness.hold(&of("p1", "op8", 60)).await;
    harness.hold(&of("p2", "op9", 40)).await;
    harness.charge(&late.reservation, "c2", 40).await;
    let outcome = harness.reserve(&wish("op10", 1)).await;
    assert!(matches!(
        outcome,
        ReserveOutcome::CapReached { reset_at: later, .. } if later > reset_at
    ));
    harness.check_books(&["ada"]).await;
}

fn day_long(reservation: &ReservationId) -> super::super::Extend {
    super::super::Extend::new(reservation.clone(), Reserve::MAX_TTL)
}

/// C17.
pub async fn c17_no_more_holds_are_open_than_the_policy_allows(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(CreditPolicy {
        max_open_holds: 3,
        ..gifts(100, 0)
    })
    .await;
    let first = harness.hold(&brief("op1", 1, 60)).await;
    for operation in ["op2", "op3"] {
        harness.hold(&brief(operation, 1, 600)).await;
    }
    let more = wish("more", 1);
    let entries = harness.entries("ada").await;
    for _ in 0..2 {
        let full = harness.store.reserve(more.clone()).await.unwrap_err();
        assert_eq!(full.kind, StoreErrorKind::Full);
    }
    assert_eq!(harness.entries("ada").await, entries);
    // What is known is told, and what is held can end.
    let again = harness.reserve(&brief("op1", 1, 60)).await;
    assert_eq!(again, ReserveOutcome::AlreadyReserved(first.clone()));
    harness.charge(&first.reservation, "c1", 1).await;
    harness.hold(&more).await;
    let full = harness.store.reserve(wish("op4", 1)).await.unwrap_err();
    assert_eq!(full.kind, StoreErrorKind::Full);
    // Two of the three have lapsed by then, swept or not.
    harness.forward(600).await;
    for operation in ["op4", "op5"] {
        harness.hold(&wish(operation, 1)).await;
    }
    let full = harness.store.reserve(wish("op6", 1)).await.unwrap_err();
    assert_eq!(full.kind, StoreErrorKind::Full);
    harness.check_books(&["ada"]).await;
}
