//! The queue and what is due: C5–C10.

use std::sync::Arc;

use sheen_core::token::FencingToken;

use super::*;
use crate::recommend::types::{Due, Phase, Step};

async fn settled(h: &RecommendHarness, work: &Record) -> Record {
    let ready = Ok(items(&["a"]));
    match h
        .queue
        .settle(&work.key(), work.attempt, ready)
        .await
        .unwrap()
    {
        SettleOutcome::Settled(record) => record,
        other => panic!("expected Settled, got {other:?}"),
    }
}

async fn due(h: &RecommendHarness) -> Vec<(Key, Step)> {
    let due = h.queue.due(100).await.unwrap();
    due.into_iter()
        .map(|Due { record, step }| (record.key(), step))
        .collect()
}

/// C5.
pub async fn c05_the_longest_waiting_is_claimed_and_never_twice(h: RecommendHarness) {
    assert_eq!(h.queue.claim().await.unwrap(), ClaimOutcome::Empty);
    let mut asked = Vec::new();
    for n in 0..6 {
        asked.push(taken(&h, wish("ann", "p", &format!("s{n}"))).await);
    }
    let h = Arc::new(h);
    let mut order = Vec::new();
    for _ in 0..3 {
        let outcomes = join_all((0..8).map(|_| {
            let h = Arc::clone(&h);
            Box::pin(async move { h.queue.claim().await.unwrap() }) as BoxFuture<'_, ClaimOutcome>
        }))
        .await;
        let won: Vec<Record> = outcomes
            .into_iter()
            .filter_map(|outcome| match outcome {
                ClaimOutcome::Claimed(record) => Some(record),
                _ => None,
            })
            .collect();
        assert_eq!(won.len(), 2, "two at a time");
        for work in won {
            let before = asked.iter().find(|it| it.key() == work.key()).unwrap();
            assert!(work.attempt > before.attempt);
            assert_eq!(work.phase, Phase::Running);
            settled(&h, &work).await;
            order.push(work.request.session.to_string());
        }
    }
    for pair in order.chunks_mut(2) {
        pair.sort_unstable();
    }
    assert_eq!(order, ["s0", "s1", "s2", "s3", "s4", "s5"]);
}

/// C6.
pub async fn c06_two_run_at_once_whoever_claims(h: RecommendHarness) {
    for n in 0..4 {
        taken(&h, wish("ann", "p", &format!("s{n}"))).await;
    }
    let (first, _second) = (claimed(&h).await, claimed(&h).await);
    let wait = h.queue.claim().await.unwrap();
    assert!(matches!(wait, ClaimOutcome::Wait(_)), "{wait:?}");
    settled(&h, &first).await;
    claimed(&h).await;
    let wait = h.queue.claim().await.unwrap();
    assert!(matches!(wait, ClaimOutcome::Wait(_)), "{wait:?}");
}

/// C6.
pub async fn c06_ten_begin_a_minute_and_the_wait_is_enough(h: RecommendHarness) {
    for n in 0..15 {
        taken(&h, wish("ann", "p", &format!("s{n}"))).await;
    }
    let mut begun = 0;
    for _ in 0..LIMITS.per_minute {
        let work = claimed(&h).await;
        settled(&h, &work).await;
        begun += 1;
        h.advance.by(SECOND * 2).await;
    }
    // 20 s have passed since the first one began.
    let ClaimOutcome::Wait(wait) = h.queue.claim().await.unwrap() else {
        panic!("an eleventh began within a minute")
    };
    assert!(
        (SECOND * 39..=SECOND * 41).contains(&wait),
        "{begun}: {wait:?}"
    );
    h.advance.by(wait).await;
    let work = claimed(&h).await;
    settled(&h, &work).await;
    // The next one's minute is over 2 s later.
    let next = h.queue.claim().await.unwrap();
    let ClaimOutcome::Wait(wait) = next else {
        panic!("{next:?}")
    };
    assert!(wait <= SECOND * 3, "{wait:?}");
}

/// C7.
pub async fn c07_a_settlement_is_stored_once_by_its_claim(h: RecommendHarness) {
    let nobody = h
        .queue
        .settle(&key("p", "s"), FencingToken::ZERO, Ok(items(&[])))
        .await;
    assert_eq!(nobody.unwrap(), SettleOutcome::NotFound);
    let asked = taken(&h, wish("ann", "p", "s")).await;
    // Not claimed yet.
    let early = h
        .queue
        .settle(&asked.key(), asked.attempt, Ok(items(&[])))
        .await;
    assert_eq!(early.unwrap(), SettleOutcome::Unchanged(asked));
    let work = claimed(&h).await;
    let other = h
        .queue
        .settle(&work.key(), work.attempt.next(), Err("x".into()))
        .await;
    assert_eq!(other.unwrap(), SettleOutcome::Unchanged(work.clone()));
    // The build's end in between is not the claim's.
    h.store.build_ended(&work.key()).await.unwrap();
    let done = settled(&h, &work).await;
    assert!(done.ended_at.is_some());
    for late in [Ok(items(&["b"])), Err(Arc::from("late"))] {
        let outcome = h.queue.settle(&work.key(), work.attempt, late).await;
        assert_eq!(outcome.unwrap(), SettleOutcome::Unchanged(done.clone()));
    }
}

/// C8.
pub async fn c08_what_took_or_waited_too_long_has_failed(h: RecommendHarness) {
    for n in 0..3 {
        taken(&h, wish("ann", "p", &format!("s{n}"))).await;
    }
    let (dead, alive) = (claimed(&h).await, claimed(&h).await);
    h.advance.by(LIMITS.try_limit).await;
    assert_eq!(due(&h).await, []);
    settled(&h, &alive).await;
    h.advance.by(SECOND * 6).await;
    assert_eq!(
        due(&h).await,
        [(dead.key(), Step::Announce), (alive.key(), Step::Announce)]
    );
    let failed = read(&h, "ann", "s0").await.unwrap();
    assert!(matches!(failed.phase, Phase::Failed(_)));
    let late = h
        .queue
        .settle(&dead.key(), dead.attempt, Ok(items(&["a"])))
        .await;
    assert_eq!(late.unwrap(), SettleOutcome::Unchanged(failed));
    // Its place is free, and the last one's turn may come.
    h.advance.by(LIMITS.patience - SECOND * 27).await;
    due(&h).await;
    assert_eq!(read(&h, "ann", "s2").await.unwrap().phase, Phase::Queued);
    h.advance.by(SECOND * 2).await;
    due(&h).await;
    let waited = read(&h, "ann", "s2").await.unwrap();
    assert!(matches!(waited.phase, Phase::Failed(_)));
    assert_eq!(h.queue.claim().await.unwrap(), ClaimOutcome::Empty);
}

/// C9.
pub async fn c09_what_is_settled_is_due_until_it_was_announced_and_closed(h: RecommendHarness) {
    taken(&h, wish("ann", "p", "s")).await;
    let work = claimed(&h).await;
    let done = settled(&h, &work).await;
    for _ in 0..2 {
        assert_eq!(due(&h).await, [(done.key(), Step::Announce)]);
    }
    // Of another attempt it is not done.
    let other = done.attempt.next();
    h.queue
        .done(&done.key(), other, Step::Announce)
        .await
        .unwrap();
    assert_eq!(due(&h).await, [(done.key(), Step::Announce)]);
    assert_eq!(h.queue.due(0).await.unwrap(), []);
    let own = done.key();
    let step = |step| h.queue.done(&own, done.attempt, step);
    step(Step::Announce).await.unwrap();
    // The build goes on: its stream stays open.
    assert_eq!(due(&h).await, []);
    assert_eq!(h.store.build_ended(&key("p", "none")).await.unwrap(), None);
    let ended = h.store.build_ended(&done.key()).await.unwrap().unwrap();
    assert_eq!(due(&h).await, [(done.key(), Step::Close)]);
    h.advance.by(SECOND).await;
    let again = h.store.build_ended(&done.key()).await.unwrap().unwrap();
    assert_eq!(again.ended_at, ended.ended_at, "it ends once");
    step(Step::Close).await.unwrap();
    assert_eq!(due(&h).await, []);
    let closed = read(&h, "ann", "s").await.unwrap();
    assert!(closed.is_told && closed.is_closed);
}

/// C9.
pub async fn c09_a_stream_waits_thirty_seconds(h: RecommendHarness) {
    taken(&h, wish("ann", "p", "s")).await;
    let work = claimed(&h).await;
    h.store.build_ended(&work.key()).await.unwrap();
    h.advance.by(LIMITS.try_limit).await;
    assert_eq!(due(&h).await, []);
    // Another waits for its turn longer than the stream waits for it.
    taken(&h, wish("ann", "p", "t")).await;
    h.store.build_ended(&key("p", "t")).await.unwrap();
    h.advance.by(LIMITS.stream_waits - SECOND).await;
    let steps = due(&h).await;
    assert_eq!(steps, [(work.key(), Step::Announce)], "it took too long");
    h.advance.by(SECOND).await;
    let steps = due(&h).await;
    let close = (key("p", "t"), Step::Close);
    assert_eq!(steps, [(work.key(), Step::Announce), close.clone()]);
    let record = read(&h, "ann", "t").await.unwrap();
    h.queue
        .done(&close.0, record.attempt, Step::Close)
        .await
        .unwrap();
    // What settles after the close is kept, and announced no more.
    let late = claimed(&h).await;
    assert_eq!(late.key(), close.0);
    settled(&h, &late).await;
    assert_eq!(due(&h).await, [(work.key(), Step::Announce)]);
    let kept = read(&h, "ann", "t").await.unwrap();
    assert_eq!(kept.phase, Phase::Ready(items(&["a"])));
}

/// C10.
pub async fn c10_old_records_are_forgotten_in_batches(h: RecommendHarness) {
    for n in 0..5 {
        taken(&h, wish("ann", "p", &format!("s{n}"))).await;
        let work = claimed(&h).await;
        settled(&h, &work).await;
    }
    h.advance.by(LIMITS.kept - SECOND).await;
    assert_eq!(h.queue.forget(100).await.unwrap(), 0);
    // This one is not settled, and another not old.
    taken(&h, wish("ann", "p", "new")).await;
    h.advance.by(SECOND).await;
    assert_eq!(h.queue.forget(2).await.unwrap(), 2);
    assert_eq!(h.queue.forget(100).await.unwrap(), 3);
    assert_eq!(h.queue.forget(100).await.unwrap(), 0);
    assert_eq!(read(&h, "ann", "s0").await, None);
    assert!(read(&h, "ann", "new").await.is_some());
}
