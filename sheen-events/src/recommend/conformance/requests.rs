//! Asking and reading: C1–C4.

use std::sync::Arc;

use super::*;
use crate::recommend::types::Phase;

/// C1.
pub async fn c01_a_repeat_is_known_until_it_is_settled_and_five_minutes_old(h: RecommendHarness) {
    let first = taken(&h, wish("ann", "p", "s")).await;
    assert_eq!(first.phase, Phase::Queued);
    // Unsettled it is known however old it is.
    for pause in [SECOND, LIMITS.repeat_within] {
        h.advance.by(pause).await;
        let again = h.store.request(wish("ann", "p", "s")).await.unwrap();
        assert_eq!(again, RequestOutcome::Known(first.clone()));
    }
    let work = claimed(&h).await;
    h.queue
        .settle(&work.key(), work.attempt, Ok(items(&["a"])))
        .await
        .unwrap();
    // Settled and old: it is made anew, under a later attempt, as the same session's.
    let anew = taken(&h, wish("ann", "p", "s")).await;
    assert_eq!(anew.phase, Phase::Queued);
    assert!(anew.attempt > work.attempt);
    let work = claimed(&h).await;
    h.queue
        .settle(&work.key(), work.attempt, Err(Arc::from("no")))
        .await
        .unwrap();
    // Settled and not old: known, whatever came of it.
    h.advance.by(LIMITS.repeat_within - SECOND * 2).await;
    let again = h.store.request(wish("ann", "p", "s")).await.unwrap();
    let RequestOutcome::Known(known) = again else {
        panic!("{again:?}")
    };
    assert_eq!(known.phase, Phase::Failed("no".into()));
    h.advance.by(SECOND * 2).await;
    taken(&h, wish("ann", "p", "s")).await;
}

/// C1.
pub async fn c01_of_equal_requests_at_once_one_is_taken(h: RecommendHarness) {
    let h = Arc::new(h);
    let outcomes = join_all((0..16).map(|_| {
        let h = Arc::clone(&h);
        Box::pin(async move { h.store.request(wish("ann", "p", "s")).await.unwrap() })
            as BoxFuture<'_, RequestOutcome>
    }))
    .await;
    let fresh = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, RequestOutcome::Taken(_)));
    assert_eq!(fresh.count(), 1);
    assert!(matches!(
        h.queue.claim().await.unwrap(),
        ClaimOutcome::Claimed(_)
    ));
    assert_eq!(h.queue.claim().await.unwrap(), ClaimOutcome::Empty);
}

/// C2.
pub async fn c02_another_users_record_is_not_touched(h: RecommendHarness) {
    let mine = taken(&h, wish("ann", "p", "s")).await;
    let outcome = h.store.request(wish("eve", "p", "s")).await.unwrap();
    assert_eq!(outcome, RequestOutcome::NotOwner);
    assert_eq!(read(&h, "ann", "s").await, Some(mine));
    // One session of two projects, and two sessions of one project.
    taken(&h, wish("eve", "q", "s")).await;
    taken(&h, wish("ann", "p", "t")).await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        sessions.push(claimed(&h).await.key());
    }
    assert_eq!(sessions, [key("p", "s"), key("q", "s")]);
}

/// C3.
pub async fn c03_a_full_queue_fails_at_once_and_keeps_what_was_suggested(h: RecommendHarness) {
    for n in 0..LIMITS.max_waiting {
        let record = taken(&h, wish("ann", "p", &format!("s{n}"))).await;
        assert_eq!(record.phase, Phase::Queued);
    }
    let record = taken(&h, wish("ann", "p", "last")).await;
    assert!(matches!(record.phase, Phase::Failed(_)), "{record:?}");
    assert_eq!(record.request.quick, items(&["qs-seo", "qs-hours"]));
    assert_eq!(read(&h, "ann", "last").await, Some(record));
    claimed(&h).await;
    let record = taken(&h, wish("ann", "p", "next")).await;
    assert_eq!(record.phase, Phase::Queued);
}

/// C4.
pub async fn c04_a_record_is_read_by_its_user_alone(h: RecommendHarness) {
    let (ann, eve) = (UserId::parse("ann").unwrap(), UserId::parse("eve").unwrap());
    let project = key("p", "s").project;
    assert_eq!(h.store.read(&ann, &project, None).await.unwrap(), None);
    let first = taken(&h, wish("ann", "p", "s1")).await;
    let second = taken(&h, wish("ann", "p", "s2")).await;
    assert_eq!(read(&h, "ann", "s1").await.as_ref(), Some(&first));
    assert_eq!(read(&h, "eve", "s1").await, None);
    assert_eq!(read(&h, "ann", "s3").await, None);
    let last = h.store.read(&ann, &project, None).await.unwrap();
    assert_eq!(last, Some(second));
    assert_eq!(h.store.read(&eve, &project, None).await.unwrap(), None);
    // What is written is read: after a claim, a settlement, the build's end, and each step.
    let work = claimed(&h).await;
    assert_eq!(read(&h, "ann", "s1").await.as_ref(), Some(&work));
    let ended = h.store.build_ended(&work.key()).await.unwrap().unwrap();
    assert_eq!(read(&h, "ann", "s1").await.as_ref(), Some(&ended));
    let outcome = h
        .queue
        .settle(&work.key(), work.attempt, Ok(items(&["a", "b"])))
        .await;
    let SettleOutcome::Settled(settled) = outcome.unwrap() else {
        panic!("it was claimed")
    };
    assert_eq!(settled.phase, Phase::Ready(items(&["a", "b"])));
    assert_eq!(read(&h, "ann", "s1").await.as_ref(), Some(&settled));
    // Asked for again later, it is the last one.
    h.advance.by(LIMITS.repeat_within).await;
    let anew = taken(&h, wish("ann", "p", "s1")).await;
    let last = h.store.read(&ann, &project, None).await.unwrap();
    assert_eq!(last, Some(anew));
}
