//! The clauses.

use std::sync::Arc;
use std::time::Duration;

use sheen_core::error::StoreErrorKind;
use sheen_core::id::PrincipalId;
use sheen_core::runtime::BoxFuture;

use super::{Harness, INSTANT, MINUTE, Tasks, key, quotas, user};
use crate::address::ClientNet;
use crate::limit::{LimitKey, Subject, TakeOutcome};

/// C1.
pub async fn c01_a_burst_is_shared_by_calls_at_the_same_time(h: Harness) {
    let tasks: Tasks = (0..64)
        .map(|_| {
            let store = Arc::clone(&h.store);
            let task: BoxFuture<'static, TakeOutcome> = Box::pin(async move {
                let ann = user("ann");
                let quotas = quotas(&[(30, 60), (40, 60)]);
                let taken = store.take(&key(Subject::User(&ann)), &quotas, 3).await;
                taken.expect("the store works")
            });
            task
        })
        .collect();
    let outcomes = (h.race)(tasks).await;
    let admitted = |outcome: &&TakeOutcome| matches!(outcome, TakeOutcome::Admitted(_));
    assert_eq!(outcomes.len(), 64);
    assert_eq!(outcomes.iter().filter(admitted).count(), 10);
}

/// C2.
pub async fn c02_units_come_back_one_by_one_and_no_further_than_the_burst(h: Harness) {
    let ann = user("ann");
    let (key, quotas) = (key(Subject::User(&ann)), quotas(&[(10, 20)]));
    assert_eq!(h.drain(&key, &quotas).await, (10, 2 * MINUTE));
    for units in [1, 3] {
        h.advance.by(2 * MINUTE * units - INSTANT).await;
        assert_eq!(h.drain(&key, &quotas).await, (units - 1, INSTANT));
        h.advance.by(INSTANT).await;
        assert_eq!(h.drain(&key, &quotas).await, (1, 2 * MINUTE));
    }
    h.advance.by(Duration::from_secs(400 * 86_400)).await;
    assert_eq!(h.drain(&key, &quotas).await, (10, 2 * MINUTE));
}

/// C3.
pub async fn c03_a_refused_call_takes_nothing_of_any_quota(h: Harness) {
    let ann = user("ann");
    let key = key(Subject::User(&ann));
    let both = quotas(&[(100, 1000), (5, 100)]);
    assert!(matches!(
        h.take(&key, &both, 5).await,
        TakeOutcome::Admitted(_)
    ));
    for _ in 0..50 {
        let TakeOutcome::Limited(standing) = h.take(&key, &both, 2).await else {
            panic!("the second quota is used up");
        };
        let left: Vec<_> = standing.meters().map(|meter| meter.remaining()).collect();
        assert_eq!(left, [95, 0]);
        assert_eq!(standing.tightest().quota.burst(), 5);
        assert_eq!(standing.wait(), 40 * MINUTE);
    }
    h.advance.by(40 * MINUTE).await;
    assert!(matches!(
        h.take(&key, &both, 2).await,
        TakeOutcome::Admitted(_)
    ));
}

/// C4.
pub async fn c04_a_cost_above_a_burst_never_passes_and_none_always_does(h: Harness) {
    let ann = user("ann");
    let (key, both) = (key(Subject::User(&ann)), quotas(&[(100, 1000), (5, 100)]));
    let never = TakeOutcome::TooCostly { max_cost: 5 };
    for _ in 0..2 {
        for cost in [6, 100, u32::MAX] {
            assert_eq!(h.take(&key, &both, cost).await, never);
            assert_eq!(h.peek(&key, &both, cost).await, never);
        }
        assert_eq!(h.drain(&key, &both).await.0, 5, "it took nothing");
        assert!(matches!(
            h.take(&key, &both, 0).await,
            TakeOutcome::Admitted(_)
        ));
        h.advance.by(2000 * MINUTE).await;
    }
}

/// C5.
pub async fn c05_the_wait_is_exact(h: Harness) {
    let ann = user("ann");
    let (key, both) = (key(Subject::User(&ann)), quotas(&[(7, 70), (4, 100)]));
    for cost in [1, 2, 4, 3] {
        h.drain(&key, &both).await;
        let TakeOutcome::Limited(standing) = h.take(&key, &both, cost).await else {
            panic!("it was drained");
        };
        h.advance.by(standing.wait() - INSTANT).await;
        let TakeOutcome::Limited(standing) = h.take(&key, &both, cost).await else {
            panic!("it came too early");
        };
        assert_eq!(standing.wait(), INSTANT);
        h.advance.by(INSTANT).await;
        let outcome = h.take(&key, &both, cost).await;
        assert!(matches!(outcome, TakeOutcome::Admitted(_)), "{outcome:?}");
    }
}

/// C6.
pub async fn c06_a_look_answers_the_same_and_changes_nothing(h: Harness) {
    let ann = user("ann");
    let (key, quotas) = (key(Subject::User(&ann)), quotas(&[(3, 30)]));
    for left in [3, 2, 1] {
        for _ in 0..5 {
            let TakeOutcome::Admitted(standing) = h.peek(&key, &quotas, left).await else {
                panic!("{left} are left");
            };
            assert_eq!(standing.tightest().remaining(), left);
            let seen = h.peek(&key, &quotas, left + 1).await;
            assert!(!matches!(seen, TakeOutcome::Admitted(_)), "{seen:?}");
        }
        let TakeOutcome::Admitted(standing) = h.take(&key, &quotas, 1).await else {
            panic!("{left} are left");
        };
        assert_eq!(standing.tightest().remaining(), left - 1);
    }
    let seen = h.peek(&key, &quotas, 1).await;
    assert_eq!(seen, h.take(&key, &quotas, 1).await);
    assert!(matches!(seen, TakeOutcome::Limited(_)), "{seen:?}");
}

/// C7.
pub async fn c07_a_refund_gives_back_what_was_used_and_no_more(h: Harness) {
    let ann = user("ann");
    let (key, quotas) = (key(Subject::User(&ann)), quotas(&[(10, 100), (20, 400)]));
    let untouched = h.refund(&key, &quotas, 3).await;
    assert_eq!(untouched.tightest().remaining(), 10);
    h.take(&key, &quotas, 6).await;
    let given = h.refund(&key, &quotas, 2).await;
    let left: Vec<_> = given.meters().map(|meter| meter.remaining()).collect();
    assert_eq!(left, [6, 16]);
    h.advance.by(20 * MINUTE).await;
    let given = h.refund(&key, &quotas, u32::MAX).await;
    let left: Vec<_> = given.meters().map(|meter| meter.remaining()).collect();
    assert_eq!(left, [10, 20]);
    assert_eq!(h.drain(&key, &quotas).await.0, 10, "never above the burst");
}

/// C8.
pub async fn c08_keys_never_meet(h: Harness) {
    let (ann, same) = (user("ann"), PrincipalId::parse("ann").expect("an id"));
    let net = |text: &str| Subject::Network(ClientNet::of(text.parse().expect("one"), 64));
    let subjects = [
        Subject::User(&ann),
        Subject::Principal(&same),
        Subject::Other("ann"),
        Subject::Other("ann}"),
        Subject::Other("{ann}"),
        Subject::Other(""),
        Subject::Everyone,
        net("97.110.110.0"),
        net("::1"),
        net("2001:db8::1"),
        net("2001:db8:0:1::1"),
    ];
    let mut keys: Vec<_> = ["a", "ab", "", "a\n"]
        .into_iter()
        .flat_map(|limit| subjects.map(|subject| LimitKey::new(limit, subject)))
        .collect();
    // A joint that could be moved.
    keys.push(LimitKey::new("a", Subject::Other("bc")));
    keys.push(LimitKey::new("abc", Subject::Other("")));
    let quotas = quotas(&[(1, 10)]);
    for key in &keys {
        let first = h.take(key, &quotas, 1).await;
        assert!(matches!(first, TakeOutcome::Admitted(_)), "{key:?}");
        let second = h.take(key, &quotas, 1).await;
        assert!(matches!(second, TakeOutcome::Limited(_)), "{key:?}");
    }
}

/// C9.
pub async fn c09_a_changed_set_of_quotas_starts_unused(h: Harness) {
    let ann = user("ann");
    let key = key(Subject::User(&ann));
    let old = quotas(&[(10, 100)]);
    assert_eq!(h.drain(&key, &old).await.0, 10);
    let changed = [
        quotas(&[(20, 100)]),
        quotas(&[(20, 200)]),
        quotas(&[(10, 10)]),
        quotas(&[(2, 60)]),
        quotas(&[(10, 100), (12, 100)]),
        quotas(&[(12, 100), (10, 100)]),
    ];
    for set in &changed {
        assert_eq!(h.drain(&key, set).await.0, set.max_cost(), "{set:?}");
    }
    // Going back and forth gives nothing.
    for _ in 0..3 {
        for set in changed.iter().chain([&old]) {
            assert_eq!(h.drain(&key, set).await.0, 0, "{set:?}");
        }
    }
}

/// C10. Shows nothing for a store that states no bound.
pub async fn c10_a_full_store_keeps_what_it_knows(h: Harness) {
    let Some(capacity) = h.capacity else {
        return;
    };
    assert!(capacity >= 100, "too small for the other cases");
    let quotas = quotas(&[(3, 30)]);
    let names: Vec<_> = (0..capacity).map(|number| number.to_string()).collect();
    for name in &names {
        let taken = h.take(&key(Subject::Other(name)), &quotas, 2).await;
        assert!(matches!(taken, TakeOutcome::Admitted(_)), "{taken:?}");
    }
    for number in 0..1000 {
        let name = format!("new-{number}");
        let refused = h.store.take(&key(Subject::Other(&name)), &quotas, 1).await;
        assert_eq!(refused.expect_err("it is full").kind, StoreErrorKind::Full);
    }
    for name in &names {
        let left = h.drain(&key(Subject::Other(name)), &quotas).await;
        assert_eq!(left, (1, 10 * MINUTE), "{name}");
    }
    h.advance.by(30 * MINUTE).await;
    let taken = h.take(&key(Subject::Other("new-0")), &quotas, 1).await;
    assert!(
        matches!(taken, TakeOutcome::Admitted(_)),
        "time makes room: {taken:?}"
    );
}
