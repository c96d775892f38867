//! Who runs a call: C1, C2, C5, C6, C7, C10.

use super::{CROWD, IdempotencyHarness, LAPSE, SECOND, answer, call, crowd, key, mine};
use crate::idempotency::types::{BeginOutcome, ExtendOutcome, LeaseOutcome, Lifetimes};

/// C1, I1.
pub async fn c01_of_any_number_of_first_calls_one_runs(h: IdempotencyHarness) {
    let mut leases = Vec::new();
    for (_, outcome) in crowd(&h, "k", 1).await {
        match outcome {
            BeginOutcome::Started(lease) => leases.push(lease),
            BeginOutcome::InProgress => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(leases.len(), 1);
    assert_eq!(h.begin("k", 0).await, BeginOutcome::InProgress);
    assert_eq!(h.complete(&leases[0], "done").await, LeaseOutcome::Done);
    for (_, outcome) in crowd(&h, "k", 1).await {
        assert_eq!(outcome, BeginOutcome::Replay(answer("done")));
    }
}

/// C2, I2, I5, I7: and the refused call leaves the owner's record alone.
pub async fn c02_another_call_with_the_key_is_refused(h: IdempotencyHarness) {
    let lease = h.started("k", 1).await;
    assert_eq!(h.begin("k", 2).await, BeginOutcome::Reused);
    assert_eq!(h.look("k", 2).await, Some(BeginOutcome::Reused));
    assert_eq!(h.begin("k", 1).await, BeginOutcome::InProgress);
    assert_eq!(h.complete(&lease, "one").await, LeaseOutcome::Done);
    assert_eq!(h.begin("k", 2).await, BeginOutcome::Reused);
    let replay = BeginOutcome::Replay(answer("one"));
    assert_eq!(h.begin("k", 1).await, replay);
}

/// C2, I3: of two different calls that race for one key, the loser never runs.
pub async fn c02_of_two_calls_racing_for_a_key_one_runs(h: IdempotencyHarness) {
    let outcomes = crowd(&h, "k", 2).await;
    let winner = outcomes
        .iter()
        .find(|(_, outcome)| matches!(outcome, BeginOutcome::Started(_)))
        .map(|(fingerprint, _)| *fingerprint)
        .expect("one call runs");
    let mut reused = 0;
    for (fingerprint, outcome) in outcomes {
        if fingerprint == winner {
            let runs = matches!(outcome, BeginOutcome::Started(_) | BeginOutcome::InProgress);
            assert!(runs, "{outcome:?}");
        } else {
            assert_eq!(outcome, BeginOutcome::Reused);
            reused += 1;
        }
    }
    assert_eq!(reused, CROWD / 2);
}

/// C5: at its end and not before; the key stays bound to its call.
pub async fn c05_an_expired_lease_is_taken_over_by_the_same_call(h: IdempotencyHarness) {
    let first = h.started("k", 1).await;
    h.advance.by(LAPSE - SECOND * 30).await;
    assert_eq!(h.begin("k", 1).await, BeginOutcome::InProgress);
    h.advance.by(SECOND * 30).await;
    assert_eq!(h.begin("k", 2).await, BeginOutcome::Reused);
    let second = h.started("k", 1).await;
    assert!(second.token > first.token);
    assert!(second.expires_at >= first.expires_at.plus(LAPSE - SECOND * 5));
    assert_eq!(h.begin("k", 1).await, BeginOutcome::InProgress);
}

/// C5.
pub async fn c05_of_any_number_of_take_overs_one_wins(h: IdempotencyHarness) {
    let first = h.started("k", 0).await;
    h.advance.by(LAPSE).await;
    let outcomes = crowd(&h, "k", 1).await;
    let won: Vec<_> = outcomes
        .into_iter()
        .filter_map(|(_, outcome)| match outcome {
            BeginOutcome::Started(lease) => Some(lease),
            _ => None,
        })
        .collect();
    assert_eq!(won.len(), 1);
    assert_eq!(h.complete(&first, "late").await, LeaseOutcome::Lost);
    assert_eq!(h.complete(&won[0], "won").await, LeaseOutcome::Done);
}

/// C6, I6: neither while the second holder runs nor after it was done.
pub async fn c06_a_late_holder_writes_nothing(h: IdempotencyHarness) {
    let first = h.started("k", 1).await;
    h.advance.by(LAPSE).await;
    let second = h.started("k", 1).await;
    assert_eq!(h.complete(&first, "late").await, LeaseOutcome::Lost);
    assert_eq!(h.abandon(&first).await, LeaseOutcome::Lost);
    let lost = h.store.extend(&first).await.unwrap();
    assert_eq!(lost, ExtendOutcome::Lost);
    assert_eq!(h.begin("k", 1).await, BeginOutcome::InProgress);
    assert_eq!(h.complete(&second, "second").await, LeaseOutcome::Done);
    for lease in [&first, &second] {
        assert_eq!(h.abandon(lease).await, LeaseOutcome::Lost);
    }
    assert_eq!(h.complete(&first, "second").await, LeaseOutcome::Lost);
    let replay = BeginOutcome::Replay(answer("second"));
    assert_eq!(h.begin("k", 1).await, replay);
    assert_eq!(h.begin("k", 2).await, BeginOutcome::Reused);
}

/// C6, I6: also when the record was abandoned, reaped or forgotten in between.
pub async fn c06_a_freed_key_never_sees_a_token_twice(h: IdempotencyHarness) {
    let abandoned = h.started("k", 1).await;
    assert_eq!(h.abandon(&abandoned).await, LeaseOutcome::Done);
    let reaped = h.started("k", 2).await;
    h.advance.by(LAPSE).await;
    h.reaps(10, 1).await;
    assert_eq!(h.complete(&reaped, "late").await, LeaseOutcome::Lost);
    let holder = h.started("k", 1).await;
    for late in [&abandoned, &reaped] {
        assert!(late.token < holder.token);
        assert_eq!(h.abandon(late).await, LeaseOutcome::Lost);
        assert_eq!(h.complete(late, "late").await, LeaseOutcome::Lost);
        let lost = h.store.extend(late).await.unwrap();
        assert_eq!(lost, ExtendOutcome::Lost);
    }
    assert_eq!(h.begin("k", 1).await, BeginOutcome::InProgress);
    assert_eq!(h.complete(&holder, "ours").await, LeaseOutcome::Done);
}

/// C7, I11.
pub async fn c07_an_abandoned_key_is_free(h: IdempotencyHarness) {
    let lease = h.started("k", 1).await;
    assert_eq!(h.abandon(&lease).await, LeaseOutcome::Done);
    assert_eq!(h.look("k", 1).await, None);
    assert_eq!(h.look("k", 2).await, None);
    let other = h.started("k", 2).await;
    assert_eq!(h.begin("k", 1).await, BeginOutcome::Reused);
    assert_eq!(h.complete(&other, "two").await, LeaseOutcome::Done);
}

/// C10.
pub async fn c10_an_extended_lease_lasts_its_whole_time_again(h: IdempotencyHarness) {
    let whole = Lifetimes::default().lease;
    let lease = h.started("k", 1).await;
    h.advance.by(SECOND * 40).await;
    let ExtendOutcome::Extended(longer) = h.store.extend(&lease).await.unwrap() else {
        panic!("a live lease can be extended");
    };
    assert_eq!((&longer.scope, &longer.key), (&mine(), &key("k")));
    assert_eq!(longer.token, lease.token);
    assert!(longer.expires_at >= lease.expires_at.plus(SECOND * 40));
    h.advance.by(whole - SECOND * 20).await;
    assert_eq!(h.begin("k", 1).await, BeginOutcome::InProgress);

    // Expired, but nobody took it over: the holder may go on.
    h.advance.by(LAPSE).await;
    let outcome = h.store.extend(&lease).await.unwrap();
    assert!(matches!(outcome, ExtendOutcome::Extended(_)));
    assert_eq!(h.begin("k", 1).await, BeginOutcome::InProgress);
    h.reaps(10, 0).await;

    assert_eq!(h.complete(&longer, "done").await, LeaseOutcome::Done);
    let completed = h.store.extend(&longer).await.unwrap();
    assert_eq!(completed, ExtendOutcome::Lost);
    let replay = h.store.begin(&mine(), &key("k"), call(1)).await.unwrap();
    assert_eq!(replay, BeginOutcome::Replay(answer("done")));
}
