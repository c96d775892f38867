//! A keyed limit in memory (docs/performance.md, row 4): the synchronous core with one quota of a
//! key and with three at once, all or nothing, beside governor keyed, which knows one quota for
//! all of its keys and is asked three times for three. Both are told their keys as texts and read
//! no clock.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota as Peer, RateLimiter};
use sheen_auth::limit::{LimitKey, MemoryLimitStore, Quota, Quotas, Subject, TakeOutcome};
use sheen_core::time::{ManualClock, Timestamp};

/// High enough that every call passes, which is the dearer way: it writes.
const BURST: u32 = u32::MAX;
const PERIOD: Duration = Duration::from_secs(5000);

fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("user_{number:016}"))
        .collect()
}

fn quotas(count: u32) -> Quotas {
    let all: Vec<_> = (0..count)
        .map(|place| Quota::new(BURST - place, PERIOD).expect("a quota"))
        .collect();
    Quotas::new(&all).expect("one to four")
}

type Governor =
    RateLimiter<String, DashMapStateStore<String>, FakeRelativeClock, NoOpMiddleware<Nanos>>;

fn governor(names: &[String]) -> Governor {
    let burst = NonZeroU32::new(BURST).expect("above zero");
    let peer = Peer::with_period(Duration::from_micros(1))
        .expect("above zero")
        .allow_burst(burst);
    let limiter = Governor::new(
        peer,
        DashMapStateStore::default(),
        FakeRelativeClock::default(),
    );
    for name in names {
        assert!(limiter.check_key(name).is_ok());
    }
    limiter
}

fn ours(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, names: &[String], quotas: &Quotas) {
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let store = MemoryLimitStore::new(clock, 1 << 20);
    let take = |name: &str| {
        let key = LimitKey::new("user", Subject::Other(name));
        let taken = store.take_at(black_box(7), &key, quotas, 1);
        matches!(taken, Ok(TakeOutcome::Admitted(_)))
    };
    for name in names {
        assert!(take(name));
    }
    let mut next = 0;
    group.bench_function(name, |b| {
        b.iter(|| {
            next = (next + 1) % names.len();
            take(black_box(&names[next]))
        });
    });
}

fn limits(c: &mut Criterion) {
    for count in [1, 10_000] {
        let names = names(count);
        let mut group = c.benchmark_group(format!("limit, {count} keys"));
        ours(&mut group, "one quota", &names, &quotas(1));
        ours(&mut group, "three quotas at once", &names, &quotas(3));
        let peers = [(); 3].map(|()| governor(&names));
        let mut next = 0;
        group.bench_function("peer: governor, one quota", |b| {
            b.iter(|| {
                next = (next + 1) % names.len();
                peers[0].check_key(black_box(&names[next])).is_ok()
            });
        });
        group.bench_function("peer: governor, three quotas one after the other", |b| {
            b.iter(|| {
                next = (next + 1) % names.len();
                peers
                    .iter()
                    .all(|peer| peer.check_key(black_box(&names[next])).is_ok())
            });
        });
        group.finish();
    }
}

criterion_group!(benches, limits);
criterion_main!(benches);
