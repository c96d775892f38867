//! S1–S3: releasing what nobody closed.

use super::super::Extend;
use super::*;

async fn sweep(harness: &CreditHarness, limit: u32) -> u32 {
    harness.sweep.expire(limit).await.unwrap()
}

/// S1.
pub async fn s1_a_sweep_takes_the_oldest_expired_first(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(1000, 0)).await;
    // Expiries in another order than the reserves, over two accounts.
    for (name, operation, seconds, ttl) in [
        ("ada", "op1", 1, 400),
        ("bob", "op1", 10, 100),
        ("ada", "op2", 100, 200),
        ("bob", "op2", 20, 300),
        ("ada", "op3", 200, 3600),
    ] {
        let ttl = Duration::from_secs(ttl);
        let reserve = Reserve::new(user(name), op(operation), secs(seconds));
        harness.hold(&Reserve { ttl, ..reserve }).await;
    }
    assert_eq!(sweep(&harness, 10).await, 0);
    let held = async || {
        let (ada, bob) = (harness.totals("ada").await, harness.totals("bob").await);
        (ada.held.get(), bob.held.get())
    };
    harness.forward(1000).await;
    assert_eq!(sweep(&harness, 0).await, 0);
    assert_eq!(held().await, (301, 30));
    assert_eq!(sweep(&harness, 2).await, 2);
    assert_eq!(held().await, (201, 20));
    assert_eq!(sweep(&harness, 1).await, 1);
    assert_eq!(held().await, (201, 0));
    assert_eq!(sweep(&harness, 10).await, 1);
    assert_eq!(held().await, (200, 0), "what has not lapsed stays");
    // What was closed or extended takes no place from what has lapsed.
    for operation in ["closed1", "closed2", "kept", "lapsed"] {
        let ttl = if operation == "lapsed" { 90 } else { 60 };
        harness.hold(&brief(operation, 10, ttl)).await;
    }
    let id = |operation| wish(operation, 10).reservation_id();
    harness.charge(&id("closed1"), "c", 5).await;
    harness.give_back(&id("closed2"), "r").await;
    let extend = Extend::new(id("kept"), Duration::from_secs(3600));
    harness.store.extend(extend).await.unwrap();
    harness.forward(91).await;
    assert_eq!(sweep(&harness, 1).await, 1);
    assert_eq!(held().await, (210, 0));
    assert_eq!(sweep(&harness, 10).await, 0);
    harness.check_books(&["ada", "bob"]).await;
}

/// S2.
pub async fn s2_a_void_gift_in_an_expired_hold_is_breakage(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(100, 50)).await;
    harness.credit("ada", "pay", 30).await;
    harness.to_the_evening().await;
    harness.hold(&brief("op", 170, 30)).await;
    harness.past_midnight().await;
    assert_eq!(sweep(&harness, 10).await, 1);
    let totals = harness.totals("ada").await;
    assert_eq!(totals.breakage, secs(100));
    assert_eq!(totals.available, secs(80), "a sweep gives no gift");
    let balance = harness.view("ada").await.balance;
    assert_eq!(balance.daily_gift, secs(100), "the next touch does");
    assert_eq!((balance.welcome_bonus, balance.paid), (secs(50), secs(30)));

    // A hold that lapses on the day of its gift gives the gift back.
    harness.hold(&brief("op2", 100, 30)).await;
    harness.forward(60).await;
    assert_eq!(sweep(&harness, 10).await, 1);
    assert_eq!(harness.totals("ada").await.breakage, secs(100));
    assert_eq!(harness.view("ada").await.balance, balance);
    harness.check_books(&["ada"]).await;
}

/// S3.
pub async fn s3_sweeping_twice_releases_nothing_twice(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(gifts(1000, 0)).await;
    for n in 0..40 {
        harness.hold(&brief(&format!("op{n}"), 10, 60)).await;
    }
    harness.forward(61).await;
    let sweeps = at_once((0..16).map(|_| {
        let sweep = harness.sweep.clone();
        async move { sweep.expire(7).await.unwrap() }
    }))
    .await;
    let swept: u32 = sweeps.iter().sum();
    let mut rest = 0;
    loop {
        match sweep(&harness, 7).await {
            0 => break,
            n => rest += n,
        }
    }
    assert_eq!(swept + rest, 40);
    let totals = harness.totals("ada").await;
    assert_eq!((totals.held, totals.available), (secs(0), secs(1000)));
    harness.check_books(&["ada"]).await;
}
