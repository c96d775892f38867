//! Two steps at once on one key: they come to what one after the other would, in one of the two
//! orders.

use std::sync::Arc;

use super::{CROWD, DAY, IdempotencyHarness, LAPSE, answer, call, key, mine, scope};
use crate::error::StoreErrorKind;
use crate::idempotency::types::{BeginOutcome, ExtendOutcome, LeaseOutcome};

/// How often each pair meets.
const ROUNDS: u32 = 24;

/// Runs both at once, each on a task of its own.
async fn both<A, B>(
    one: impl Future<Output = A> + Send + 'static,
    two: impl Future<Output = B> + Send + 'static,
) -> (A, B)
where
    A: Send + 'static,
    B: Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(2));
    let (mut first, mut second) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
    let gate = Arc::clone(&start);
    first.spawn(async move {
        gate.wait().await;
        one.await
    });
    second.spawn(async move {
        start.wait().await;
        two.await
    });
    let one = first.join_next().await.unwrap().unwrap();
    (one, second.join_next().await.unwrap().unwrap())
}

/// C4, I14.
pub async fn c04_one_key_in_many_scopes_at_once_starts_in_each(h: IdempotencyHarness) {
    let start = Arc::new(tokio::sync::Barrier::new(CROWD as usize));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..CROWD {
        let (store, start) = (Arc::clone(&h.store), Arc::clone(&start));
        tasks.spawn(async move {
            start.wait().await;
            let scope = scope("web", &format!("u{n}"));
            store.begin(&scope, &key("k"), call(1)).await.unwrap()
        });
    }
    for outcome in tasks.join_all().await {
        assert!(matches!(outcome, BeginOutcome::Started(_)), "{outcome:?}");
    }
}

/// C6, I6: a holder that is late by a moment.
pub async fn c06_of_a_completion_and_a_take_over_at_once_one_counts(h: IdempotencyHarness) {
    for n in 0..ROUNDS {
        let name = format!("k{n}");
        let first = h.started(&name, 1).await;
        h.advance.by(LAPSE).await;
        let (one, two, again) = (Arc::clone(&h.store), Arc::clone(&h.store), key(&name));
        let (completed, begun) = both(
            async move { one.complete(&first, answer("first")).await.unwrap() },
            async move { two.begin(&mine(), &again, call(1)).await.unwrap() },
        )
        .await;
        let kept = match (completed, begun) {
            (LeaseOutcome::Done, BeginOutcome::Replay(kept)) => kept,
            (LeaseOutcome::Lost, BeginOutcome::Started(second)) => {
                assert_eq!(h.complete(&second, "second").await, LeaseOutcome::Done);
                answer("second")
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(h.begin(&name, 1).await, BeginOutcome::Replay(kept));
    }
}

/// C7, R17's like: the normal path and the path of giving up.
pub async fn c07_of_a_completion_and_an_abandoning_at_once_one_counts(h: IdempotencyHarness) {
    for n in 0..ROUNDS {
        let name = format!("k{n}");
        let lease = h.started(&name, 1).await;
        let (one, two, same) = (Arc::clone(&h.store), Arc::clone(&h.store), lease.clone());
        let outcomes = both(
            async move { one.complete(&lease, answer("done")).await.unwrap() },
            async move { two.abandon(&same).await.unwrap() },
        )
        .await;
        let found = h.look(&name, 1).await;
        match outcomes {
            (LeaseOutcome::Done, LeaseOutcome::Lost) => {
                assert_eq!(found, Some(BeginOutcome::Replay(answer("done"))));
            }
            (LeaseOutcome::Lost, LeaseOutcome::Done) => assert_eq!(found, None),
            other => panic!("{other:?}"),
        }
    }
}

/// C8, C2: what was forgotten binds nobody, and one of two different calls gets the key.
pub async fn c08_of_two_calls_after_a_records_life_one_runs(h: IdempotencyHarness) {
    for n in 0..ROUNDS {
        h.done(&format!("k{n}"), 1, "old").await;
    }
    h.advance.by(DAY).await;
    for n in 0..ROUNDS {
        let name = format!("k{n}");
        let (one, two) = (Arc::clone(&h.store), Arc::clone(&h.store));
        let (first, second) = (key(&name), key(&name));
        let outcomes = both(
            async move { one.begin(&mine(), &first, call(1)).await.unwrap() },
            async move { two.begin(&mine(), &second, call(2)).await.unwrap() },
        )
        .await;
        match outcomes {
            (BeginOutcome::Started(_), BeginOutcome::Reused)
            | (BeginOutcome::Reused, BeginOutcome::Started(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// C9: a store with a bound holds to it at once too; one without takes them all.
pub async fn c09_the_last_place_is_given_once(h: IdempotencyHarness) {
    for n in 1..h.capacity.unwrap_or(2) {
        h.started(&format!("k{n}"), 1).await;
    }
    let start = Arc::new(tokio::sync::Barrier::new(CROWD as usize));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..CROWD {
        let (store, start) = (Arc::clone(&h.store), Arc::clone(&start));
        tasks.spawn(async move {
            start.wait().await;
            store.begin(&mine(), &key(&format!("n{n}")), call(1)).await
        });
    }
    let mut started = 0;
    for begun in tasks.join_all().await {
        match begun {
            Ok(BeginOutcome::Started(_)) => started += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) => assert_eq!(error.kind, StoreErrorKind::Full),
        }
    }
    let places = if h.capacity.is_some() { 1 } else { CROWD };
    assert_eq!(started, places);
}

/// C10, R15's like: a holder that is slow by a moment.
pub async fn c10_of_an_extension_and_a_take_over_at_once_one_counts(h: IdempotencyHarness) {
    for n in 0..ROUNDS {
        let name = format!("k{n}");
        let lease = h.started(&name, 1).await;
        h.advance.by(LAPSE).await;
        let (one, two, again) = (Arc::clone(&h.store), Arc::clone(&h.store), key(&name));
        let outcomes = both(
            async move { one.extend(&lease).await.unwrap() },
            async move { two.begin(&mine(), &again, call(1)).await.unwrap() },
        )
        .await;
        let holder = match outcomes {
            (ExtendOutcome::Extended(longer), BeginOutcome::InProgress) => longer,
            (ExtendOutcome::Lost, BeginOutcome::Started(second)) => second,
            other => panic!("{other:?}"),
        };
        assert_eq!(h.complete(&holder, "done").await, LeaseOutcome::Done);
    }
}

/// C11, I15: the record is extended and stays, or is gone and the lease with it.
pub async fn c11_a_reaping_beside_its_holder_takes_all_or_nothing(h: IdempotencyHarness) {
    for n in 0..ROUNDS {
        let name = format!("k{n}");
        let lease = h.started(&name, 1).await;
        h.advance.by(LAPSE).await;
        let (one, two) = (Arc::clone(&h.store), Arc::clone(&h.store));
        let (reaped, extended) = both(async move { one.reap(10).await.unwrap() }, async move {
            two.extend(&lease).await.unwrap()
        })
        .await;
        let found = h.look(&name, 1).await;
        match extended {
            ExtendOutcome::Extended(longer) => {
                assert_eq!((reaped, found), (0, Some(BeginOutcome::InProgress)));
                assert_eq!(h.abandon(&longer).await, LeaseOutcome::Done);
            }
            ExtendOutcome::Lost => assert_eq!((reaped, found), (1, None)),
        }
    }
}

/// C12, C6.
pub async fn c12_of_two_answers_at_once_one_is_kept(h: IdempotencyHarness) {
    for n in 0..ROUNDS {
        let name = format!("k{n}");
        let lease = h.started(&name, 1).await;
        let same = n % 3 == 0;
        let texts = ["one", if same { "one" } else { "two" }];
        let (store, other) = (Arc::clone(&h.store), Arc::clone(&h.store));
        let (mine, theirs) = (lease.clone(), lease.clone());
        let outcomes = both(
            async move { store.complete(&mine, answer(texts[0])).await.unwrap() },
            async move { other.complete(&theirs, answer(texts[1])).await.unwrap() },
        )
        .await;
        let kept = match outcomes {
            (LeaseOutcome::Done, LeaseOutcome::Done) if same => texts[0],
            (LeaseOutcome::Done, LeaseOutcome::Lost) if !same => texts[0],
            (LeaseOutcome::Lost, LeaseOutcome::Done) if !same => texts[1],
            other => panic!("{other:?}"),
        };
        assert_eq!(h.begin(&name, 1).await, BeginOutcome::Replay(answer(kept)));
    }
}

/// C13, C3: never half an answer.
pub async fn c13_a_look_beside_a_completion_sees_before_or_after(h: IdempotencyHarness) {
    for n in 0..ROUNDS {
        let name = format!("k{n}");
        let lease = h.started(&name, 1).await;
        let (one, two, asked) = (Arc::clone(&h.store), Arc::clone(&h.store), key(&name));
        let (completed, seen) = both(
            async move { one.complete(&lease, answer("done")).await.unwrap() },
            async move { two.look(&mine(), &asked, call(1)).await.unwrap() },
        )
        .await;
        assert_eq!(completed, LeaseOutcome::Done);
        let after = BeginOutcome::Replay(answer("done"));
        assert!(
            seen == Some(BeginOutcome::InProgress) || seen.as_ref() == Some(&after),
            "{seen:?}"
        );
    }
}
