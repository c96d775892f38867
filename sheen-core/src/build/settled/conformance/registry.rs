//! Registering and operating: O1 to O4.

use std::sync::Arc;

use super::{OutboxHarness, observer};
use crate::build::conformance::{crowd, new_build};
use crate::build::settled::types::{
    Hearing, MAX_OBSERVERS, PutBackOutcome, RegisterOutcome, ResolveOutcome, RetireOutcome,
};
use crate::id::BuildId;

/// O1: what ended before is not told of; the bound holds.
pub async fn o01_a_name_is_registered_once_and_hears_from_then_on(h: OutboxHarness) {
    h.ended(1).await;
    let mail = h.registered("mail").await;
    let again = h.registry.register(&mail).await.unwrap();
    assert_eq!(again, RegisterOutcome::AlreadyRegistered);
    h.nothing(&mail).await;
    let later = h.ended(2).await;
    assert_eq!(h.one(&mail).await.build, later);
    for n in 1..MAX_OBSERVERS {
        h.registered(&format!("observer{n}")).await;
    }
    let over = h.registry.register(&observer("over")).await.unwrap();
    assert_eq!(over, RegisterOutcome::TooMany);
    let known = h.registry.register(&mail).await.unwrap();
    assert_eq!(known, RegisterOutcome::AlreadyRegistered);
    h.registry.retire(&mail).await.unwrap();
    h.registered("over").await;
}

/// O1: every process registers its observers as it starts.
pub async fn o01_of_any_number_of_registrations_at_once_one_counts(h: OutboxHarness) {
    let outcomes = crowd(|n| {
        let registry = Arc::clone(&h.registry);
        let name = observer(&format!("observer{}", n % 20));
        async move { registry.register(&name).await.unwrap() }
    })
    .await;
    let count = |outcome| outcomes.iter().filter(|o| **o == outcome).count();
    assert_eq!(count(RegisterOutcome::Registered), MAX_OBSERVERS as usize);
    assert!(count(RegisterOutcome::TooMany) >= 4);
    h.ended(1).await;
    let mut told = 0;
    for n in 0..20 {
        told += h.lease(&observer(&format!("observer{n}")), 10).await.len();
    }
    assert_eq!(told, MAX_OBSERVERS as usize);
}

/// O2: due, leased and parked alike.
pub async fn o02_who_is_retired_hears_nothing_more(h: OutboxHarness) {
    let absent = h.registry.retire(&observer("mail")).await.unwrap();
    assert_eq!(absent, RetireOutcome::NotRegistered);
    let (mail, stats) = (h.registered("mail").await, h.registered("stats").await);
    h.ended(1).await;
    h.park(&mail).await;
    for n in 2..4 {
        h.ended(n).await;
    }
    let leased = h.lease(&mail, 1).await.remove(0);
    let retired = h.registry.retire(&mail).await.unwrap();
    assert_eq!(retired, RetireOutcome::Retired { dropped: 3 });
    let late = h.resolve(&leased, Hearing::Heard).await;
    assert_eq!(late, ResolveOutcome::Lost);
    h.ended(4).await;
    h.nothing(&mail).await;
    assert_eq!(h.parked(&mail).await, []);
    let gone = h.registry.retire(&mail).await.unwrap();
    assert_eq!(gone, RetireOutcome::NotRegistered);
    h.registered("mail").await;
    h.nothing(&mail).await;
    assert_eq!(h.lease(&stats, 10).await.len(), 4);
}

/// O3: a page at a time.
pub async fn o03_parked_deliveries_are_listed_in_order(h: OutboxHarness) {
    let (mail, _) = (h.registered("mail").await, h.registered("stats").await);
    for n in [3, 1, 2] {
        h.ended(n).await;
        h.park(&mail).await;
    }
    let all = h.parked(&mail).await;
    let ids: Vec<BuildId> = all.iter().map(|parked| parked.build.id.clone()).collect();
    assert_eq!(ids, [3, 1, 2].map(|n| new_build(n, "u", "p").id));
    assert!(all.is_sorted_by(|a, b| a.position < b.position));
    let page = |after, limit| h.registry.parked(&mail, after, limit);
    assert_eq!(page(0, 2).await.unwrap(), all[..2]);
    assert_eq!(page(all[1].position, 2).await.unwrap(), all[2..]);
    assert_eq!(page(all[2].position, 2).await.unwrap(), []);
    assert_eq!(page(0, 0).await.unwrap(), []);
}

/// O4: at once, from the first attempt on, and once.
pub async fn o04_what_is_put_back_is_tried_anew(h: OutboxHarness) {
    let mail = h.registered("mail").await;
    let build = h.ended(1).await;
    let absent = new_build(9, "u", "p").id;
    assert_eq!(h.put_back(&mail, &absent).await, PutBackOutcome::NotFound);
    let unknown = observer("unknown");
    let none = h.put_back(&unknown, &build.id).await;
    assert_eq!(none, PutBackOutcome::NotFound);
    assert_eq!(
        h.put_back(&mail, &build.id).await,
        PutBackOutcome::NotParked
    );
    let last = h.park(&mail).await;
    assert_eq!(h.put_back(&mail, &build.id).await, PutBackOutcome::PutBack);
    assert_eq!(
        h.put_back(&mail, &build.id).await,
        PutBackOutcome::NotParked
    );
    assert_eq!(h.parked(&mail).await, []);
    let first = h.one(&mail).await;
    assert_eq!((&first.build, first.lease.attempt), (&build, 1));
    assert!(first.lease.token > last.lease.token);
    // All ten again.
    h.resolve(&first, super::broken("again")).await;
    h.builds.advance.by(std::time::Duration::from_secs(5)).await;
    let again = h.park(&mail).await;
    assert_eq!(again.lease.attempt, 10);
    h.put_back(&mail, &build.id).await;
    let due = h.one(&mail).await;
    assert_eq!(h.resolve(&due, Hearing::Heard).await, ResolveOutcome::Done);
    assert_eq!(h.put_back(&mail, &build.id).await, PutBackOutcome::NotFound);
}
