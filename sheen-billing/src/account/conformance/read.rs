//! R1–R3: reading.

use super::super::{EntryKind, HoldStanding, Overage, Terms};
use super::*;
use crate::price::{TableVersion, Tier};

async fn reserves_what_it_shows(harness: &CreditHarness, name: &str, operation: &str) {
    let shown = harness.view(name).await.balance;
    let more = shown.total.checked_add(secs(1)).unwrap();
    let ttl = Duration::from_secs(60);
    let reserve = |seconds| Reserve {
        ttl,
        ..Reserve::new(user(name), op(operation), seconds)
    };
    let refused = ReserveOutcome::Insufficient {
        required: more,
        available: shown.total,
    };
    assert_eq!(harness.reserve(&reserve(more)).await, refused);
    assert_eq!(harness.view(name).await.balance, shown);
    let held = harness.hold(&reserve(shown.total)).await;
    assert_eq!(held.balance.total, Seconds::ZERO);
    assert_eq!(harness.view(name).await.balance, held.balance);
}

/// R1.
pub async fn r1_a_view_shows_what_a_reserve_could_take(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 50)).await;
    let untouched = harness.view("ada").await;
    assert_eq!(untouched.balance.total, secs(150));
    assert_eq!(harness.entries("ada").await, [], "reading writes nothing");
    reserves_what_it_shows(&harness, "ada", "op1").await;
    // Lapsed and unswept; then over a midnight, with a hold of the gift that is void by then.
    harness.forward(61).await;
    reserves_what_it_shows(&harness, "ada", "op2").await;
    harness.forward(61).await;
    harness.credit("ada", "pay", 30).await;
    harness.to_the_evening().await;
    reserves_what_it_shows(&harness, "ada", "op3").await;
    harness.past_midnight().await;
    let morning = harness.view("ada").await;
    assert_eq!(morning.balance.total, secs(180));
    assert!(morning.daily_reset_at > untouched.daily_reset_at);
    // A sweep changes nothing of what is shown.
    assert_eq!(harness.sweep.expire(10).await.unwrap(), 1);
    assert_eq!(harness.view("ada").await, morning);
    reserves_what_it_shows(&harness, "ada", "op4").await;

    let users = [user("zoe"), user("ada"), user("zoe")];
    let views = harness.reader.views(&users).await.unwrap();
    let totals: Vec<u64> = views.iter().map(|it| it.balance.total.get()).collect();
    assert_eq!(totals, [150, 0, 150]);
    harness.check_books(&["ada"]).await;
}

/// R2.
pub async fn r2_entries_come_in_order_after_the_one_named(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 50)).await;
    let held = harness.hold(&wish("op", 120)).await;
    harness.charge(&held.reservation, "c", 110).await;
    let all = harness.entries("ada").await;
    let kinds: Vec<EntryKind> = all.iter().map(|entry| entry.kind).collect();
    use EntryKind::{Commit, DailyGift, Release, Reserve, WelcomeBonus};
    let wanted = [
        WelcomeBonus,
        DailyGift,
        Reserve,
        Reserve,
        Commit,
        Commit,
        Release,
    ];
    assert_eq!(kinds, wanted);
    assert_eq!(all[2].operation.as_deref(), Some("op"));
    assert_eq!(all[4].operation.as_deref(), Some("c"));
    assert_eq!(all[4].reservation.as_ref(), Some(&held.reservation));
    let mut ids: Vec<_> = all.iter().map(|entry| entry.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all.len());

    let page = async |after, limit| {
        let user = user("ada");
        harness.reader.entries(&user, after, limit).await.unwrap()
    };
    assert_eq!(page(0, 3).await, all[..3]);
    assert_eq!(page(3, 100).await, all[3..]);
    assert_eq!(page(6, 1).await, all[6..]);
    assert_eq!(page(7, 10).await, []);
    assert_eq!(page(u64::MAX, 10).await, []);
    assert_eq!(page(0, 0).await, []);
    assert_eq!(harness.entries("nobody").await, []);
}

/// R4, and M5: which tables a hold was quoted by is kept with it.
pub async fn r4_a_hold_is_told_as_it_was_agreed(new: impl AsyncFn(CreditPolicy) -> CreditHarness) {
    let harness = new(gifts(100, 50)).await;
    let mut terms = Terms::new(Tier::Premium, TableVersion::new(7));
    terms.packages = Some(TableVersion::new(u32::MAX));
    let mut agreed = wish("op1", 120);
    agreed.terms = Some(terms);
    agreed.overage = Overage::Reject;
    agreed.project = Some(project("p"));
    let held = harness.hold(&agreed).await;
    let told = async |hold: &ReservationId| harness.reader.hold(hold).await.unwrap().unwrap();
    let open = told(&held.reservation).await;
    assert_eq!((open.user, open.seconds), (user("ada"), secs(120)));
    assert_eq!((open.terms, open.overage), (Some(terms), Overage::Reject));
    assert_eq!(open.project, agreed.project);
    let expires_at = held.expires_at;
    assert_eq!(open.standing, HoldStanding::Open { expires_at });
    assert_eq!(
        harness.reserve(&agreed).await,
        ReserveOutcome::AlreadyReserved(held.clone())
    );
    for other in [None, Some(Terms::new(Tier::Premium, TableVersion::new(7)))] {
        let mut changed = agreed.clone();
        changed.terms = other;
        let outcome = harness.reserve(&changed).await;
        assert_eq!(outcome, ReserveOutcome::OperationConflict);
    }

    harness.charge(&held.reservation, "c", 110).await;
    let hold = held.reservation.clone();
    let refund = Refund::of_charge(user("ada"), op("f"), hold, secs(30));
    harness.undo(&refund).await;
    let ended = told(&held.reservation).await;
    let (charged, refunded) = (secs(110), secs(30));
    assert_eq!(
        ended.standing,
        HoldStanding::Committed { charged, refunded }
    );
    assert_eq!(ended.terms, Some(terms));
    let plain = harness.hold(&brief("op2", 10, 60)).await;
    harness.give_back(&plain.reservation, "r").await;
    let released = told(&plain.reservation).await;
    assert_eq!(released.standing, HoldStanding::Released);
    assert_eq!((released.terms, released.overage), (None, Overage::TopUp));
    let lapsing = harness.hold(&brief("op3", 10, 60)).await;
    harness.forward(61).await;
    harness.sweep.expire(1).await.unwrap();
    let lapsed = told(&lapsing.reservation).await;
    assert_eq!(lapsed.standing, HoldStanding::Expired);
    let unknown = ReservationId::parse("res_0").unwrap();
    assert_eq!(harness.reader.hold(&unknown).await.unwrap(), None);
    harness.check_books(&["ada"]).await;
}

/// R3.
pub async fn r3_totals_are_of_one_instant(new: impl AsyncFn(CreditPolicy) -> CreditHarness) {
    let harness = new(gifts(1000, 0)).await;
    let names = ["u0", "u1", "u2", "u3"];
    let mut tasks: Vec<BoxFuture<'static, ()>> = Vec::new();
    for name in names {
        let store = harness.store.clone();
        tasks.push(Box::pin(async move {
            for n in 0..50 {
                let operation = op(&format!("op{n}"));
                let reserve = Reserve::new(user(name), operation.clone(), secs(10));
                let hold = reserve.reservation_id();
                store.reserve(reserve).await.unwrap();
                let commit = Commit::new(hold, operation, secs(4));
                store.commit(commit).await.unwrap();
            }
        }));
    }
    for _ in 0..2 {
        let reader = harness.reader.clone();
        tasks.push(Box::pin(async move {
            for _ in 0..100 {
                let all = reader.ledger_totals().await.unwrap();
                assert!(all.is_conserved(), "{all:?}");
            }
        }));
    }
    at_once(tasks).await;
    let all = harness.reader.ledger_totals().await.unwrap();
    assert_eq!((all.granted, all.charged), (4000, 800));
    harness.check_books(&names).await;

    // Together the accounts may have more than one of them could.
    let most = Seconds::MAX.checked_sub(secs(1000)).unwrap();
    for name in names {
        let payment = pay(&format!("pay-{name}"));
        let purchase = Purchase::new(user(name), payment, most);
        let outcome = harness.grants.credit(purchase).await.unwrap();
        assert!(matches!(outcome, PurchaseOutcome::Credited(_)), "{name}");
    }
    let all = harness.reader.ledger_totals().await.unwrap();
    assert_eq!(all.granted, 4 * u128::from(Seconds::MAX.get()));
    assert_eq!(all.charged, 800);
    harness.check_books(&names).await;
}
