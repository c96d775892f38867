//! Reaping: C16.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{BuildHarness, LONG_WAIT, SECOND, SILENCE, crowd, new_build, worker};
use crate::build::types::{Authority, BeatOutcome, Ending, FailureReason, FinishOutcome, Status};
use crate::id::BuildId;

/// C16, B7: queued too long and silent too long, as the sweep would, each once; the slots are free.
pub async fn c16_reaping_ends_what_is_overdue_and_nothing_else(h: BuildHarness) {
    assert_eq!(h.store.reap(10).await.unwrap(), []);
    let silent = h.building(1).await;
    let waiting = h.started(new_build(2, "u", "q")).await.build;
    h.advance.by(SILENCE).await;
    let reaped = h.store.reap(10).await.unwrap();
    assert_eq!(reaped.len(), 1);
    assert_eq!(reaped[0], h.row(&silent.id).await);
    let ended = &reaped[0];
    assert_eq!(
        (ended.status, ended.reason),
        (Status::Failed, Some(FailureReason::TimedOut))
    );
    assert_eq!(ended.token, silent.token.next());
    let Ending::Failed { error, .. } = Ending::timed_out() else {
        panic!("a sweep deploys");
    };
    assert_eq!(ended.error, Some(error));
    assert_eq!(h.store.reap(10).await.unwrap(), []);
    h.unchanged(&waiting).await;
    // Its worker is told, its late end counts for nothing, and the project goes on.
    let lost = h.store.beat(&silent.id, silent.token).await.unwrap();
    assert_eq!(lost, BeatOutcome::Lost);
    let by = Authority::Claim(silent.token);
    let late = h.finish(&silent.id, by, super::deployed()).await;
    assert_eq!(late, FinishOutcome::AlreadyEnded(ended.clone()));
    let next = h.started(new_build(3, "u", "p")).await.build;
    h.advance.by(LONG_WAIT - SILENCE).await;
    let reaped = h.store.reap(10).await.unwrap();
    assert_eq!(reaped.len(), 1);
    assert_eq!(reaped[0].id, waiting.id);
    assert_eq!(reaped[0].reason, Some(FailureReason::TimedOut));
    h.unchanged(&next).await;
    let repeat = h.finish(&waiting.id, Authority::Sweep, Ending::timed_out());
    assert_eq!(repeat.await, FinishOutcome::AlreadySo(reaped[0].clone()));
    assert_eq!(h.claimed().await.build.id, next.id);
}

/// C16: the longest overdue first, at most so many.
pub async fn c16_reaping_goes_by_deadlines_and_keeps_its_limit(h: BuildHarness) {
    // Deadlines at 602, 600 and 691 s: one claimed late, and one heard of.
    h.started(new_build(1, "u", "p")).await;
    for n in [2, 3] {
        h.advance.by(SECOND).await;
        h.started(new_build(n, "u", &format!("p{n}"))).await;
    }
    h.advance.by(SECOND * 599).await;
    let claimed = h.claimed().await.build;
    assert_eq!(claimed.id, new_build(1, "u", "p").id);
    h.advance.by(SECOND * 1000).await;
    let ids = |builds: Vec<crate::build::types::Build>| -> Vec<BuildId> {
        builds.into_iter().map(|build| build.id).collect()
    };
    assert_eq!(h.store.reap(0).await.unwrap(), []);
    let first = ids(h.store.reap(2).await.unwrap());
    assert_eq!(first, [2, 3].map(|n| new_build(n, "u", "p").id));
    assert_eq!(ids(h.store.reap(2).await.unwrap()), [claimed.id]);
    assert_eq!(h.store.reap(2).await.unwrap(), []);
}

/// C16, B7: many sweeps at once end each build once, beside heartbeats that come too late or just
/// in time.
pub async fn c16_of_any_number_of_reapers_at_once_one_ends_each(h: BuildHarness) {
    let mut kept = Vec::new();
    for n in 0..40 {
        h.started(new_build(n, "u", &format!("p{n}"))).await;
        kept.push(h.claimed().await.build);
    }
    h.advance.by(SILENCE).await;
    let outcomes = crowd(|n| {
        let store = Arc::clone(&h.store);
        let beats = kept[n as usize % 40].clone();
        async move {
            if n % 4 == 0 {
                let alive = store.beat(&beats.id, beats.token).await.unwrap();
                (Vec::new(), (alive != BeatOutcome::Lost).then_some(beats.id))
            } else {
                (store.reap(10).await.unwrap(), None)
            }
        }
    })
    .await;
    let alive: BTreeSet<BuildId> = outcomes.iter().filter_map(|(_, id)| id.clone()).collect();
    let mut reaped: Vec<BuildId> = outcomes
        .into_iter()
        .flat_map(|(reaped, _)| reaped)
        .map(|build| build.id)
        .collect();
    // What was passed by is still overdue.
    while let rest @ [_, ..] = &*h.store.reap(10).await.unwrap() {
        reaped.extend(rest.iter().map(|build| build.id.clone()));
    }
    let once: BTreeSet<BuildId> = reaped.iter().cloned().collect();
    assert_eq!(once.len(), reaped.len(), "each is ended once");
    assert_eq!(once.len() + alive.len(), 40);
    for build in &kept {
        let row = h.row(&build.id).await;
        assert_eq!(row.status == Status::Failed, once.contains(&build.id));
        assert_eq!(row.status == Status::Building, alive.contains(&build.id));
    }
    assert_eq!(h.store.claim(&worker()).await.unwrap(), None);
}
