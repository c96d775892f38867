//! Heartbeats and ends: C7 to C14.

use std::sync::Arc;

use super::{
    BuildHarness, LONG_WAIT, SECOND, SILENCE, crowd, deployed, failed, new_build, user, worker,
};
use crate::build::types::{
    Authority, BeatOutcome, Ending, FailureReason, Finish, FinishOutcome, StartOutcome, Status,
};
use crate::build::{Deadlines, deadline};
use crate::id::BuildId;
use crate::seconds::Seconds;
use crate::token::FencingToken;

/// C7: with another token, before the claim, after the end and for no build it is `Lost`.
pub async fn c07_a_heartbeat_counts_for_the_last_claim_alone(h: BuildHarness) {
    let queued = h.started(new_build(1, "u", "p")).await.build;
    let lost = h.store.beat(&queued.id, queued.token).await.unwrap();
    assert_eq!(lost, BeatOutcome::Lost);
    h.unchanged(&queued).await;

    let build = h.claimed().await.build;
    for token in [FencingToken::ZERO, build.token.next()] {
        let lost = h.store.beat(&build.id, token).await.unwrap();
        assert_eq!(lost, BeatOutcome::Lost);
    }
    h.unchanged(&build).await;

    h.advance.by(SECOND * 10).await;
    let alive = h.store.beat(&build.id, build.token).await.unwrap();
    let after = h.row(&build.id).await;
    assert!(after.updated_at >= build.updated_at.plus(SECOND * 10));
    assert_eq!(after.heartbeat_at, Some(after.updated_at));
    assert_eq!(after.token, build.token);
    let deadline = deadline(&after, &Deadlines::default()).unwrap();
    assert_eq!(alive, BeatOutcome::Alive { deadline });

    let ended = h
        .finished(&build.id, Authority::Claim(build.token), deployed())
        .await;
    for token in [build.token, ended.token] {
        let lost = h.store.beat(&build.id, token).await.unwrap();
        assert_eq!(lost, BeatOutcome::Lost);
    }
    h.unchanged(&ended).await;
    let absent = BuildId::parse("bld_absent").unwrap();
    let lost = h.store.beat(&absent, build.token).await.unwrap();
    assert_eq!(lost, BeatOutcome::Lost);
}

/// C7: until the sweep came, a late heartbeat counts and takes the build out of the sweep's way.
pub async fn c07_an_overdue_build_can_be_kept_alive(h: BuildHarness) {
    let build = h.building(1).await;
    h.advance.by(SILENCE).await;
    assert_eq!(h.reader.overdue(10).await.unwrap().len(), 1);
    let alive = h.store.beat(&build.id, build.token).await.unwrap();
    assert!(matches!(alive, BeatOutcome::Alive { .. }));
    assert_eq!(h.reader.overdue(10).await.unwrap(), []);
    let before = h.row(&build.id).await;
    let swept = h
        .finish(&build.id, Authority::Sweep, failed(FailureReason::TimedOut))
        .await;
    assert_eq!(swept, FinishOutcome::NotOverdue(before.clone()));
    h.unchanged(&before).await;
}

/// C8, B5: a token below or above the last claim's, and any token before the first claim.
pub async fn c08_a_finish_by_claim_needs_the_last_token(h: BuildHarness) {
    let queued = h.started(new_build(1, "u", "p")).await.build;
    let endings = [deployed(), failed(FailureReason::BuildFailed)];
    for ending in endings.clone() {
        let by = Authority::Claim(queued.token);
        let fenced = h.finish(&queued.id, by, ending).await;
        assert_eq!(fenced, FinishOutcome::Fenced(queued.clone()));
    }
    let build = h.claimed().await.build;
    for (token, ending) in [queued.token, build.token.next()].into_iter().zip(endings) {
        let by = Authority::Claim(token);
        let fenced = h.finish(&build.id, by, ending).await;
        assert_eq!(fenced, FinishOutcome::Fenced(build.clone()));
    }
    h.unchanged(&build).await;

    let by = Authority::Claim(build.token);
    let ended = h.finished(&build.id, by.clone(), deployed()).await;
    assert_eq!(ended.status, Status::Deployed);
    assert_eq!(ended.preview_url.as_deref(), Some("/preview/here/"));
    assert_eq!(ended.seconds, Some(Seconds::from_u32(42)));
    assert_eq!((ended.reason, ended.error.clone()), (None, None));
    h.unchanged(&ended).await;
    let absent = BuildId::parse("bld_absent").unwrap();
    let missed = h.finish(&absent, by, deployed()).await;
    assert_eq!(missed, FinishOutcome::NotFound);
}

/// C9: queued and building alike, as failed only, and only for the owner.
pub async fn c09_a_finish_by_the_owner_needs_the_owner(h: BuildHarness) {
    let owner = Authority::Owner(user("u"));
    let stranger = Authority::Owner(user("stranger"));
    let cancel = failed(FailureReason::Cancelled);
    for (n, claims) in [(1, false), (2, true)] {
        let mut before = h.started(new_build(n, "u", "p")).await.build;
        if claims {
            before = h.claimed().await.build;
        }
        let missed = h.finish(&before.id, stranger.clone(), cancel.clone()).await;
        assert_eq!(missed, FinishOutcome::NotFound);
        let refused = h.finish(&before.id, owner.clone(), deployed()).await;
        assert_eq!(refused, FinishOutcome::NotAllowed(before.clone()));
        h.unchanged(&before).await;
        let ended = h.finished(&before.id, owner.clone(), cancel.clone()).await;
        assert_eq!(ended.status, Status::Failed);
        assert_eq!(ended.reason, Some(FailureReason::Cancelled));
        assert_eq!(ended.error.as_deref(), Some("it broke"));
        h.unchanged(&ended).await;
        let missed = h.finish(&before.id, stranger.clone(), cancel.clone()).await;
        assert_eq!(missed, FinishOutcome::NotFound);
    }
}

/// C10, B7: a queued build after 10 min, a silent one after 90 s, each once.
pub async fn c10_the_sweep_ends_only_what_is_overdue(h: BuildHarness) {
    let timed_out = || failed(FailureReason::TimedOut);
    let queued = h.started(new_build(1, "u", "p")).await.build;
    h.advance.by(LONG_WAIT - SECOND * 60).await;
    let early = h.finish(&queued.id, Authority::Sweep, timed_out()).await;
    assert_eq!(early, FinishOutcome::NotOverdue(queued.clone()));
    h.advance.by(SECOND * 60).await;
    let refused = h.finish(&queued.id, Authority::Sweep, deployed()).await;
    assert_eq!(refused, FinishOutcome::NotAllowed(queued.clone()));
    h.unchanged(&queued).await;
    let ended = h.finished(&queued.id, Authority::Sweep, timed_out()).await;
    assert_eq!(ended.reason, Some(FailureReason::TimedOut));
    assert_eq!(h.store.claim(&worker()).await.unwrap(), None);

    let build = h.building(2).await;
    h.advance.by(SILENCE - SECOND * 45).await;
    let early = h.finish(&build.id, Authority::Sweep, timed_out()).await;
    assert_eq!(early, FinishOutcome::NotOverdue(build.clone()));
    h.advance.by(SECOND * 45).await;
    let refused = h.finish(&build.id, Authority::Sweep, deployed()).await;
    assert_eq!(refused, FinishOutcome::NotAllowed(build.clone()));
    h.finished(&build.id, Authority::Sweep, timed_out()).await;
    // Its slot is free, and its worker learns that the build is lost.
    h.started(new_build(3, "u", "p")).await;
    let lost = h.store.beat(&build.id, build.token).await.unwrap();
    assert_eq!(lost, BeatOutcome::Lost);
}

/// C11, B4: the repeat is told apart from any other end, and neither writes.
pub async fn c11_nothing_leaves_an_ended_state(h: BuildHarness) {
    let owner = Authority::Owner(user("u"));
    for (n, ending) in [(1, deployed()), (2, failed(FailureReason::BuildFailed))] {
        let build = h.building(n).await;
        let claim = Authority::Claim(build.token);
        let ended = h.finished(&build.id, claim.clone(), ending.clone()).await;
        h.advance.by(LONG_WAIT).await;
        let repeat = h.finish(&build.id, claim.clone(), ending).await;
        assert_eq!(repeat, FinishOutcome::AlreadySo(ended.clone()));
        let elsewhere = Ending::Deployed {
            preview_url: "/preview/elsewhere/".into(),
            seconds: Seconds::from_u32(42),
        };
        let others = [
            (claim.clone(), elsewhere),
            (claim, failed(FailureReason::Cancelled)),
            (Authority::Claim(FencingToken::ZERO), deployed()),
            (Authority::Claim(ended.token), deployed()),
            (owner.clone(), failed(FailureReason::Cancelled)),
            (owner.clone(), deployed()),
            (Authority::Sweep, failed(FailureReason::TimedOut)),
        ];
        for (by, ending) in others {
            let late = h.finish(&build.id, by, ending).await;
            assert_eq!(late, FinishOutcome::AlreadyEnded(ended.clone()));
        }
        h.unchanged(&ended).await;
    }
}

/// C11, B4: success, failure, cancel and sweep of one overdue build race; one counts, and every
/// other is told how it ended.
pub async fn c11_of_any_number_of_ends_at_once_one_counts(h: BuildHarness) {
    let build = h.building(1).await;
    h.advance.by(SILENCE).await;
    let outcomes = crowd(|n| {
        let store = Arc::clone(&h.store);
        let claim = Authority::Claim(build.token);
        let (by, ending) = match n % 4 {
            0 => (claim, deployed()),
            1 => (claim, failed(FailureReason::BuildFailed)),
            2 => (
                Authority::Owner(user("u")),
                failed(FailureReason::Cancelled),
            ),
            _ => (Authority::Sweep, failed(FailureReason::TimedOut)),
        };
        let finish = Finish::new(build.id.clone(), by, ending);
        async move { store.finish(finish).await }
    })
    .await;
    let ended = h.row(&build.id).await;
    let mut finished = 0;
    for outcome in outcomes {
        match outcome.unwrap() {
            FinishOutcome::Finished(shown) => {
                finished += 1;
                assert_eq!(shown, ended);
            }
            FinishOutcome::AlreadySo(shown) | FinishOutcome::AlreadyEnded(shown) => {
                assert_eq!(shown, ended);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(finished, 1);
}

/// C12: by whatever right, a queued build is not deployed.
pub async fn c12_a_queued_build_cannot_be_deployed(h: BuildHarness) {
    let queued = h.started(new_build(1, "u", "p")).await.build;
    h.advance.by(LONG_WAIT).await;
    for by in [Authority::Owner(user("u")), Authority::Sweep] {
        let refused = h.finish(&queued.id, by, deployed()).await;
        assert_eq!(refused, FinishOutcome::NotAllowed(queued.clone()));
    }
    h.unchanged(&queued).await;
    // It is still there to be claimed.
    assert_eq!(h.claimed().await.build.id, queued.id);
}

/// C13, B3: a worker whose build was cancelled can neither keep it alive nor end it.
pub async fn c13_a_finish_frees_the_slot_and_ends_the_claim(h: BuildHarness) {
    let build = h.building(1).await;
    let owner = Authority::Owner(user("u"));
    let ended = h
        .finished(&build.id, owner, failed(FailureReason::Cancelled))
        .await;
    assert!(ended.token > build.token);
    let next = h.started(new_build(2, "u", "p")).await.build;

    let lost = h.store.beat(&build.id, build.token).await.unwrap();
    assert_eq!(lost, BeatOutcome::Lost);
    let claim = Authority::Claim(build.token);
    let late = h.finish(&build.id, claim, deployed()).await;
    assert_eq!(late, FinishOutcome::AlreadyEnded(ended.clone()));
    h.unchanged(&ended).await;
    h.unchanged(&next).await;
    let busy = h.store.start(new_build(3, "u", "p")).await.unwrap();
    let active = next.id.clone();
    assert_eq!(busy, StartOutcome::ProjectBusy { active });
}

/// C13, B3: a cancel before the claim leaves no orphan in the queue and moves up who waits.
pub async fn c13_a_cancel_of_a_queued_build_leaves_nothing_to_claim(h: BuildHarness) {
    let first = h.started(new_build(1, "u", "p")).await.build;
    let second = h.started(new_build(2, "u", "q")).await;
    assert_eq!(second.position, 2);
    let owner = Authority::Owner(user("u"));
    h.finished(&first.id, owner, failed(FailureReason::Cancelled))
        .await;
    let moved = h.reader.get(&second.build.id).await.unwrap().unwrap();
    assert_eq!(moved.position, 1);
    assert_eq!(h.claimed().await.build.id, second.build.id);
    assert_eq!(h.store.claim(&worker()).await.unwrap(), None);
}

/// C14: as a caller would who lost each answer.
pub async fn c14_repeating_a_step_changes_nothing(h: BuildHarness) {
    let new = new_build(1, "u", "p");
    let queued = h.started(new.clone()).await;
    for _ in 0..2 {
        h.advance.by(SECOND).await;
        let known = StartOutcome::SessionKnown(queued.clone());
        assert_eq!(h.store.start(new.clone()).await.unwrap(), known);
    }
    let build = h.claimed().await.build;
    assert_eq!(h.store.claim(&worker()).await.unwrap(), None);
    h.unchanged(&build).await;
    let claim = Authority::Claim(build.token);
    let ended = h.finished(&build.id, claim.clone(), deployed()).await;
    for _ in 0..2 {
        h.advance.by(SECOND).await;
        let repeat = h.finish(&build.id, claim.clone(), deployed()).await;
        assert_eq!(repeat, FinishOutcome::AlreadySo(ended.clone()));
    }
    h.unchanged(&ended).await;
    let latest = h.reader.latest(&[new.project]).await.unwrap();
    assert_eq!(latest[0].build, Some(ended));
}
