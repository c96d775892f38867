//! Delivering: D1 to D8.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{OutboxHarness, broken, observer};
use crate::build::conformance::{
    LONG_WAIT, SECOND, crowd, deployed, failed, new_build, user, worker,
};
use crate::build::settled::types::{
    Hearing, LEASE, Leased, MAX_ATTEMPTS, MAX_LEASED, ResolveOutcome,
};
use crate::build::settled::wait_after;
use crate::build::types::{Authority, Build, FailureReason, Status};
use crate::id::BuildId;

/// D1: deployed, failed, called off and swept in either way; a repeat of an end leaves no second one.
pub async fn d01_every_end_is_there_for_every_observer_once(h: OutboxHarness) {
    let (mail, stats) = (h.registered("mail").await, h.registered("stats").await);
    let mut ended: Vec<Build> = Vec::new();
    for (n, ending) in [(1, deployed()), (2, failed(FailureReason::BuildFailed))] {
        let build = h.builds.building(n).await;
        let by = Authority::Claim(build.token);
        let end = h.builds.finished(&build.id, by.clone(), ending.clone());
        ended.push(end.await);
        h.builds.finish(&build.id, by, ending).await;
    }
    ended.push(h.ended(3).await);
    let late = h.builds.started(new_build(4, "u", "q")).await.build;
    h.builds.started(new_build(5, "u", "r")).await;
    h.builds.advance.by(LONG_WAIT).await;
    let timed_out = failed(FailureReason::TimedOut);
    let swept = h.builds.finished(&late.id, Authority::Sweep, timed_out);
    ended.push(swept.await);
    ended.extend(h.builds.store.reap(10).await.unwrap());
    assert_eq!(ended.len(), 5);
    ended.sort_by(|a, b| a.id.cmp(&b.id));
    for observer in [&mail, &stats] {
        let mut told = h.lease(observer, 100).await;
        told.sort_by(|a, b| a.build.id.cmp(&b.build.id));
        assert!(told.iter().all(|due| due.lease.build == due.build.id));
        assert!(told.iter().all(|due| due.lease.attempt == 1));
        let told: Vec<Build> = told.into_iter().map(|due| due.build).collect();
        assert_eq!(told, ended);
    }
}

/// D1: starts, claims, heartbeats and refused ends.
pub async fn d01_what_ends_nothing_leaves_nothing(h: OutboxHarness) {
    let mail = h.registered("mail").await;
    let build = h.builds.building(1).await;
    h.builds.store.beat(&build.id, build.token).await.unwrap();
    let stranger = Authority::Owner(user("stranger"));
    let cancel = failed(FailureReason::Cancelled);
    h.builds.finish(&build.id, stranger, cancel).await;
    let early = failed(FailureReason::TimedOut);
    h.builds.finish(&build.id, Authority::Sweep, early).await;
    assert_eq!(h.builds.store.reap(10).await.unwrap(), []);
    h.nothing(&mail).await;
    h.nothing(&observer("unknown")).await;
}

/// D2: by when they were due, within both bounds, and not again while the lease lasts.
pub async fn d02_a_lease_takes_the_earliest_due_first(h: OutboxHarness) {
    let mail = h.registered("mail").await;
    let most = MAX_LEASED + 3;
    for n in 0..most {
        h.ended(n).await;
        h.builds.advance.by(Duration::from_millis(1)).await;
    }
    assert_eq!(h.lease(&mail, 0).await, []);
    let mut told = h.lease(&mail, 2).await;
    told.extend(h.lease(&mail, u32::MAX).await);
    assert_eq!(told.len(), MAX_LEASED as usize + 2);
    told.extend(h.lease(&mail, u32::MAX).await);
    let ids: Vec<BuildId> = told.iter().map(|due| due.build.id.clone()).collect();
    let wanted: Vec<BuildId> = (0..most).map(|n| new_build(n, "u", "p").id).collect();
    assert_eq!(ids, wanted);
    h.nothing(&mail).await;
}

/// D2: many processes lease at once until nothing is left.
pub async fn d02_of_any_number_of_leases_at_once_each_delivery_is_in_one(h: OutboxHarness) {
    let mail = h.registered("mail").await;
    for n in 0..50 {
        h.ended(n).await;
    }
    let told = crowd(|_| {
        let (outbox, mail) = (Arc::clone(&h.outbox), mail.clone());
        async move { outbox.lease(&mail, &worker(), 3).await.unwrap().deliveries }
    })
    .await;
    let mut told: Vec<_> = told.into_iter().flatten().collect();
    // Who passes by what another holds may have found nothing; what is left is still there.
    told.extend(h.lease(&mail, 100).await);
    let ids: BTreeSet<_> = told.iter().map(|due| due.build.id.clone()).collect();
    assert_eq!((told.len(), ids.len()), (50, 50));
    assert!(told.iter().all(|due| due.lease.attempt == 1));
}

/// D3: for good, however long one waits.
pub async fn d03_what_was_heard_is_gone(h: OutboxHarness) {
    let mail = h.registered("mail").await;
    h.ended(1).await;
    let due = h.one(&mail).await;
    assert_eq!(h.resolve(&due, Hearing::Heard).await, ResolveOutcome::Done);
    h.builds.advance.by(LEASE * 1_000).await;
    h.nothing(&mail).await;
    assert_eq!(h.parked(&mail).await, []);
}

/// D4: not a moment earlier, with a higher token.
pub async fn d04_what_failed_comes_again_after_its_wait(h: OutboxHarness) {
    let mail = h.registered("mail").await;
    let build = h.ended(1).await;
    let first = h.one(&mail).await;
    assert_eq!(first.build, build);
    let wait = wait_after(&mail, &build.id, 1);
    let failed = h.resolve(&first, broken("no route")).await;
    assert_eq!(failed, ResolveOutcome::Again(wait));
    h.nothing(&mail).await;
    h.builds.advance.by(wait).await;
    let second = h.one(&mail).await;
    assert_eq!(second.lease.attempt, 2);
    assert!(second.lease.token > first.lease.token);
    assert_eq!(second.build, build);
    let longer = h.resolve(&second, broken("no route")).await;
    let ResolveOutcome::Again(longer) = longer else {
        panic!("{longer:?}");
    };
    assert!(longer > wait);
}

/// D5: a process that went away between its lease and its answer.
pub async fn d05_a_lease_that_ran_out_is_due_again(h: OutboxHarness) {
    let mail = h.registered("mail").await;
    h.ended(1).await;
    let first = h.one(&mail).await;
    h.builds.advance.by(LEASE / 2).await;
    h.nothing(&mail).await;
    h.builds.advance.by(LEASE / 2).await;
    let second = h.one(&mail).await;
    assert_eq!(second.lease.attempt, 2);
    assert!(second.lease.token > first.lease.token);
    assert!(second.lease.expires_at >= first.lease.expires_at.plus(LEASE));
}

/// D6: the late answer of a lease that was taken over changes nothing, a repeat neither; one that
/// merely ran out still counts.
pub async fn d06_only_the_last_lease_is_resolved_and_once(h: OutboxHarness) {
    let mail = h.registered("mail").await;
    h.ended(1).await;
    let first = h.one(&mail).await;
    h.builds.advance.by(LEASE).await;
    let second = h.one(&mail).await;
    for hearing in [Hearing::Heard, broken("late")] {
        assert_eq!(h.resolve(&first, hearing).await, ResolveOutcome::Lost);
    }
    h.nothing(&mail).await;
    h.builds.advance.by(LEASE).await;
    let again = h.resolve(&second, broken("slow")).await;
    let ResolveOutcome::Again(wait) = again else {
        panic!("{again:?}");
    };
    for hearing in [Hearing::Heard, broken("slow")] {
        assert_eq!(h.resolve(&second, hearing).await, ResolveOutcome::Lost);
    }
    h.builds.advance.by(wait).await;
    let third = h.one(&mail).await;
    assert_eq!(
        h.resolve(&third, Hearing::Heard).await,
        ResolveOutcome::Done
    );
    assert_eq!(
        h.resolve(&third, Hearing::Heard).await,
        ResolveOutcome::Lost
    );
    h.nothing(&mail).await;
}

/// D6: heard and failed at once are one or the other.
pub async fn d06_of_any_number_of_resolutions_at_once_one_counts(h: OutboxHarness) {
    let mail = h.registered("mail").await;
    h.ended(1).await;
    let due = h.one(&mail).await;
    let outcomes = crowd(|n| {
        let (outbox, lease) = (Arc::clone(&h.outbox), due.lease.clone());
        let hearing = if n % 2 == 0 {
            Hearing::Heard
        } else {
            broken("no")
        };
        async move { outbox.resolve(&lease, hearing).await.unwrap() }
    })
    .await;
    let counted: Vec<_> = outcomes
        .into_iter()
        .filter(|outcome| *outcome != ResolveOutcome::Lost)
        .collect();
    assert_eq!(counted.len(), 1, "{counted:?}");
    h.builds.advance.by(LONG_WAIT).await;
    let left = h.lease(&mail, 10).await.len();
    assert_eq!(left == 0, counted[0] == ResolveOutcome::Done);
}

/// D7: after ten tries and not before, and from then on only listed.
pub async fn d07_the_tenth_failure_parks(h: OutboxHarness) {
    let mail = h.registered("mail").await;
    let build = h.ended(1).await;
    let last = h.park(&mail).await;
    assert_eq!(last.lease.attempt, MAX_ATTEMPTS);
    h.builds.advance.by(LONG_WAIT * 100).await;
    h.nothing(&mail).await;
    let again = h.resolve(&last, Hearing::Heard).await;
    assert_eq!(again, ResolveOutcome::Lost);
    let parked = h.parked(&mail).await;
    assert_eq!(parked.len(), 1);
    assert_eq!(
        (&parked[0].build, parked[0].attempts),
        (&build, MAX_ATTEMPTS)
    );
    assert_eq!(&*parked[0].error, "it broke");
    assert!(parked[0].parked_at > build.updated_at);
}

/// D7: a build that takes down every process that tells of it.
pub async fn d07_ten_silent_tries_park(h: OutboxHarness) {
    let mail = h.registered("mail").await;
    let build = h.ended(1).await;
    for attempt in 1..=MAX_ATTEMPTS {
        assert_eq!(h.one(&mail).await.lease.attempt, attempt);
        h.builds.advance.by(LEASE).await;
    }
    h.ended(2).await;
    // The earliest due is parked: the limit is spent on it, and the lease says so.
    let leased = h.outbox.lease(&mail, &worker(), 1).await;
    assert_eq!(leased.unwrap(), Leased::new(Vec::new(), 1));
    assert_eq!(h.one(&mail).await.lease.build, new_build(2, "u", "p").id);
    let parked = h.parked(&mail).await;
    assert_eq!(parked.len(), 1);
    assert_eq!(
        (&parked[0].build.id, parked[0].attempts),
        (&build.id, MAX_ATTEMPTS)
    );
    assert!(parked[0].error.contains("went away"));
    h.builds.advance.by(SECOND).await;
    h.nothing(&mail).await;
}

/// D8.
pub async fn d08_observers_do_not_meet(h: OutboxHarness) {
    let (mail, stats) = (h.registered("mail").await, h.registered("stats").await);
    let build = h.ended(1).await;
    h.park(&mail).await;
    let due = h.one(&stats).await;
    assert_eq!((&due.build, due.lease.attempt), (&build, 1));
    assert_eq!(h.parked(&stats).await, []);
    assert_eq!(h.resolve(&due, Hearing::Heard).await, ResolveOutcome::Done);
    assert_eq!(h.parked(&mail).await.len(), 1);
    assert_eq!(h.builds.row(&build.id).await.status, Status::Failed);
}
