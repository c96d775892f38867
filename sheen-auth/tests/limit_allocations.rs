//! A check of a known key allocates nothing, nor does reading who called. Alone in its file: the
//! counter is the process's.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use sheen_auth::address::ForwardedFor;
use sheen_auth::limit::{
    LimitFigures, LimitTable, MemoryLimitStore, Quota, Quotas, RouteClass, TakeOutcome, Who,
};
use sheen_core::id::UserId;
use sheen_core::time::{ManualClock, Timestamp};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_check_of_a_known_key_allocates_nothing() {
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let store = MemoryLimitStore::new(clock, 1000);
    let quota = |burst, seconds| Quota::new(burst, Duration::from_secs(seconds)).unwrap();
    let three = Quotas::new(&[quota(10, 1), quota(100, 60), quota(1000, 3600)]).unwrap();
    let table = LimitTable::wire().with(RouteClass::Billing, three);
    let user = UserId::parse("u_1").unwrap();
    let forwarded = ForwardedFor::new(2).unwrap();
    let lines = [&b"6.6.6.6, [2001:db8::1]:4711"[..], b"10.0.0.1"];
    let check = |now| {
        let network = forwarded.client(lines);
        assert!(network.is_some());
        let who = Who::new().user(Some(&user)).network(network);
        let limit = table.limit(RouteClass::Billing, &who);
        let taken = store.take_at(now, &limit.key, &limit.quotas, 1).unwrap();
        let seen = store.peek_at(now, &limit.key, &limit.quotas, 1);
        if let TakeOutcome::Admitted(standing) | TakeOutcome::Limited(standing) = &seen {
            assert!(LimitFigures::of(standing).reset_seconds >= 1);
        }
        let given = store.refund_at(now, &limit.key, &limit.quotas, 0);
        assert!(given.tightest().remaining() <= 10);
        matches!(taken, TakeOutcome::Admitted(_))
    };
    assert!(check(0), "the key is known from here on");

    // The counter is the process's, and the harness's own thread may allocate meanwhile: what
    // checking allocates is the least that any round saw.
    let rounds = (1..=20).map(|round| {
        let now = round * 10_000_000;
        let region = Region::new(COUNTED);
        let admitted = (0..100).filter(|_| check(now)).count();
        let change = region.change();
        assert_eq!(admitted, 10, "both ways of a check were gone");
        change.allocations + change.reallocations
    });
    assert_eq!(rounds.min(), Some(0));

    let region = Region::new(COUNTED);
    drop(std::hint::black_box(Box::new(1)));
    assert!(region.change().allocations >= 1, "the counter counts");
}
