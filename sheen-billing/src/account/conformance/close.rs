//! C6–C10, C14 and C15: how holds end.

use super::super::{Extend, ExtendOutcome, Overage};
use super::*;

/// C6.
pub async fn c06_a_commit_charges_in_order_and_returns_the_rest(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 50)).await;
    harness.credit("ada", "pay", 70).await;
    let held = harness.hold(&wish("op1", 200)).await;
    let charged = harness.charge(&held.reservation, "op1", 110).await;
    assert_eq!((charged.charged, charged.returned), (secs(110), secs(90)));
    assert_eq!(charged.shortfall, Seconds::ZERO);
    let balance = charged.balance;
    assert_eq!(balance.daily_gift, Seconds::ZERO);
    assert_eq!(balance.welcome_bonus, secs(40));
    assert_eq!(balance.paid, secs(70));
    let usage = harness.view("ada").await.usage;
    assert_eq!(
        (usage.today_used, usage.lifetime_used),
        (secs(110), secs(110))
    );

    // The next day's gift is void when the hold ends: charged first, its rest is breakage.
    harness.forward(36 * 3600 - 600).await;
    let held = harness.hold(&wish("op2", 120)).await;
    let before = harness.totals("ada").await;
    harness.forward(1200).await;
    let charged = harness.charge(&held.reservation, "op2", 30).await;
    assert_eq!((charged.charged, charged.returned), (secs(30), secs(20)));
    assert_eq!(charged.balance.daily_gift, secs(100), "today's is whole");
    assert_eq!(charged.balance.welcome_bonus, secs(40));
    let after = harness.totals("ada").await;
    let broken = after.breakage.checked_sub(before.breakage);
    assert_eq!(broken, Some(secs(70)));
    let usage = harness.view("ada").await.usage;
    assert_eq!(
        (usage.today_used, usage.lifetime_used),
        (secs(30), secs(140))
    );
    harness.check_books(&["ada"]).await;
}

/// C7.
pub async fn c07_a_commit_above_the_hold_tells_the_shortfall(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 50)).await;
    let held = harness.hold(&wish("op1", 80)).await;
    let charged = harness.charge(&held.reservation, "op1", 120).await;
    assert_eq!((charged.charged, charged.shortfall), (secs(120), secs(0)));
    assert_eq!(charged.returned, Seconds::ZERO);
    assert_eq!(charged.balance.welcome_bonus, secs(30));

    let held = harness.hold(&wish("op2", 10)).await;
    let other = harness.hold(&wish("op3", 5)).await;
    let charged = harness.charge(&held.reservation, "op2", 1000).await;
    assert_eq!((charged.charged, charged.shortfall), (secs(25), secs(975)));
    assert_eq!(charged.balance, super::super::Balance::default());
    // Another hold is not touched by it.
    let charged = harness.charge(&other.reservation, "op3", 5).await;
    assert_eq!((charged.charged, charged.shortfall), (secs(5), secs(0)));
    let usage = harness.view("ada").await.usage;
    assert_eq!(usage.lifetime_used, secs(150));

    // Of a hold that rejects it nothing is written, and its commit may still come.
    harness.credit("ada", "pay", 100).await;
    let mut strict = wish("op4", 40);
    strict.overage = Overage::Reject;
    let held = harness.hold(&strict).await;
    let lax = wish("op4", 40);
    assert_eq!(
        harness.reserve(&lax).await,
        ReserveOutcome::OperationConflict,
        "the policy is part of what was agreed"
    );
    let entries = harness.entries("ada").await;
    for _ in 0..2 {
        let refused = harness.commit(&held.reservation, "op4", 41).await;
        assert_eq!(refused, CommitOutcome::AboveHold { held: secs(40) });
    }
    assert_eq!(harness.entries("ada").await, entries);
    let charged = harness.charge(&held.reservation, "op4", 40).await;
    assert_eq!((charged.charged, charged.shortfall), (secs(40), secs(0)));
    harness.check_books(&["ada"]).await;
}

/// How one of several racing closers fared.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Won,
    Closed,
    Expired,
    Swept(u32),
}

async fn close(store: Arc<dyn CreditStore>, hold: ReservationId, n: u32) -> End {
    let operation = op(&format!("close{n}"));
    if n.is_multiple_of(2) {
        let commit = Commit::new(hold, operation, secs(7));
        match store.commit(commit).await.unwrap() {
            CommitOutcome::Committed(_) => End::Won,
            CommitOutcome::Closed => End::Closed,
            CommitOutcome::Expired => End::Expired,
            other => panic!("{other:?}"),
        }
    } else {
        let release = Release::new(hold, operation);
        match store.release(release).await.unwrap() {
            ReleaseOutcome::Released(_) => End::Won,
            ReleaseOutcome::Closed => End::Closed,
            ReleaseOutcome::Expired => End::Expired,
            other => panic!("{other:?}"),
        }
    }
}

/// C8.
pub async fn c08_a_hold_ends_once(new: impl AsyncFn(CreditPolicy) -> CreditHarness) {
    let harness = new(gifts(900, 0)).await;
    // Commits and releases alone: one wins, the others find it closed.
    let held = harness.hold(&wish("op1", 10)).await;
    let ends =
        at_once((0..32).map(|n| close(harness.store.clone(), held.reservation.clone(), n))).await;
    assert_eq!(ends.iter().filter(|end| **end == End::Won).count(), 1);
    assert_eq!(ends.iter().filter(|end| **end == End::Closed).count(), 31);

    // With its expiry among them: it is closed or expired, whichever came first.
    let held = harness.hold(&brief("op2", 10, 60)).await;
    let advance = harness.advance.clone();
    let mut tasks: Vec<BoxFuture<'static, End>> = vec![Box::pin(async move {
        advance(Duration::from_secs(61)).await;
        End::Swept(0)
    })];
    for n in 100..116 {
        tasks.push(Box::pin(close(
            harness.store.clone(),
            held.reservation.clone(),
            n,
        )));
        let sweep = harness.sweep.clone();
        tasks.push(Box::pin(async move {
            End::Swept(sweep.expire(10).await.unwrap())
        }));
    }
    let ends = at_once(tasks).await;
    let won = ends.iter().filter(|end| **end == End::Won).count();
    let swept: u32 = ends
        .iter()
        .map(|end| match end {
            End::Swept(n) => *n,
            End::Won | End::Closed | End::Expired => 0,
        })
        .sum();
    let last = harness.sweep.expire(10).await.unwrap();
    assert_eq!(won + (swept + last) as usize, 1, "{ends:?}");
    assert_eq!(harness.totals("ada").await.held, Seconds::ZERO);
    harness.check_books(&["ada"]).await;
}

/// C9.
pub async fn c09_a_hold_past_its_expiry_is_expired_swept_or_not(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 0)).await;
    let held = harness.hold(&brief("op1", 100, 60)).await;
    assert_eq!(harness.view("ada").await.balance.total, Seconds::ZERO);
    harness.forward(61).await;
    for swept in [false, true] {
        let hold = &held.reservation;
        let extend = Extend::new(hold.clone(), Duration::from_secs(60));
        assert_eq!(harness.commit(hold, "c", 5).await, CommitOutcome::Expired);
        assert_eq!(harness.release(hold, "r").await, ReleaseOutcome::Expired);
        let extended = harness.store.extend(extend).await.unwrap();
        assert_eq!(extended, ExtendOutcome::Expired);
        assert_eq!(harness.view("ada").await.balance.total, secs(100));
        let sweep = harness.sweep.expire(10).await.unwrap();
        assert_eq!(sweep, u32::from(!swept));
    }
    // The next step takes an unswept one's seconds at once, and leaves the sweep nothing.
    harness.hold(&brief("op2", 100, 60)).await;
    harness.forward(61).await;
    harness.hold(&brief("op3", 100, 60)).await;
    assert_eq!(harness.sweep.expire(10).await.unwrap(), 0);
    harness.check_books(&["ada"]).await;
}

/// C10.
pub async fn c10_an_extension_never_shortens_and_ends_within_a_day(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 0)).await;
    let held = harness.hold(&brief("op", 10, 600)).await;
    let extend = async |ttl: u64| {
        let extend = Extend::new(held.reservation.clone(), Duration::from_secs(ttl));
        match harness.store.extend(extend).await.unwrap() {
            ExtendOutcome::Extended { expires_at } => expires_at,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(extend(5).await, held.expires_at, "not shortened");
    let longer = extend(1200).await;
    let by = longer.since(held.expires_at).as_secs();
    assert!((600..660).contains(&by), "{by}");
    let longest = extend(48 * 3600).await;
    let by = longest.since(held.expires_at).as_secs();
    assert!((24 * 3600 - 600..24 * 3600 - 540).contains(&by), "{by}");

    // A hold asked for longer than a day is made for a day.
    let day = harness.hold(&brief("op2", 10, 48 * 3600)).await;
    assert!(day.expires_at.since(longest).as_secs() < 60);

    harness.forward(23 * 3600).await;
    let kept = extend(3600 * 2).await;
    assert!(kept > longest, "it was alive until then");
    harness.forward(3600 * 2 + 60).await;
    let gone = harness.commit(&held.reservation, "c", 1).await;
    assert_eq!(gone, CommitOutcome::Expired);
    harness.check_books(&["ada"]).await;
}

/// C14.
pub async fn c14_a_hold_nobody_knows_is_not_found(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 0)).await;
    let held = harness.hold(&wish("op", 10)).await;
    harness.charge(&held.reservation, "c", 1).await;
    let entries = harness.entries("ada").await;
    for unknown in ["res_0", "op", "c"] {
        let unknown = ReservationId::parse(unknown).unwrap();
        // A known operation id does not change that there is no such hold.
        let outcome = harness.commit(&unknown, "c", 1).await;
        assert_eq!(outcome, CommitOutcome::NotFound);
        let outcome = harness.release(&unknown, "r").await;
        assert_eq!(outcome, ReleaseOutcome::NotFound);
        let extend = Extend::new(unknown.clone(), Duration::from_secs(1));
        let outcome = harness.store.extend(extend).await.unwrap();
        assert_eq!(outcome, ExtendOutcome::NotFound);
        assert_eq!(harness.reader.holder(&unknown).await.unwrap(), None);
    }
    let holder = harness.reader.holder(&held.reservation).await.unwrap();
    assert_eq!(holder, Some(user("ada")));
    assert_eq!(harness.entries("ada").await, entries);
}

/// C15. The step may begin to wait before or after the clock moves; the outcome is the same, if
/// the clock is read once the lock is held.
pub async fn c15_the_clock_is_read_after_the_lock(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 0)).await;
    let held = harness.hold(&brief("op", 10, 60)).await;
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (begin, may_begin) = tokio::sync::oneshot::channel();
    let advance = harness.advance.clone();
    let meanwhile = Box::pin(async move {
        let _ = begin.send(());
        let _ = has_started.await;
        advance(Duration::from_secs(61)).await;
    });
    let store = harness.store.clone();
    let commit = Commit::new(held.reservation.clone(), op("c"), secs(1));
    let mut waiting = JoinSet::new();
    waiting.spawn(async move {
        let _ = may_begin.await;
        let _ = started.send(());
        store.commit(commit).await.unwrap()
    });
    (harness.while_locked)(user("ada"), meanwhile).await;
    let outcome = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(outcome, CommitOutcome::Expired);
}
