//! Claiming a nonce in memory (docs/performance.md, row 3), with as many live as stated: each claim
//! moves the clock, so that as many run out as come in.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sheen_auth::replay::{Claim, ClaimOutcome, MemoryReplayStore, Once, ReplayStore};
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::PrincipalId;
use sheen_core::time::{Clock, ManualClock, Timestamp};

/// How long a nonce lives after it was signed, in microseconds.
const LIFE: u64 = 720_000_000;
const START: i64 = 1_800_000_000_000;

/// The text of the nonce with this number, 32 characters.
fn nonce(number: u64, out: &mut [u8; 32]) -> &str {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&mixed);
    let written = const_hex::encode_to_slice(bytes, out);
    written.expect("it fits");
    std::str::from_utf8(out).expect("hex is text")
}

struct Filled {
    store: MemoryReplayStore,
    clock: Arc<ManualClock>,
    web: PrincipalId,
    next: AtomicU64,
    live: u64,
}

impl Filled {
    fn with(live: u64) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(START)));
        let entropy = SeededEntropy::new(1);
        let filled = Self {
            store: MemoryReplayStore::with_entropy(clock.clone(), 100_000_000, &entropy),
            clock,
            web: PrincipalId::parse("web").expect("an id"),
            next: AtomicU64::new(0),
            live,
        };
        // Twice, so that what runs out has been running out.
        for _ in 0..live * 2 {
            assert!(filled.claim(|claim| filled.store.claim_now(claim).ok()));
        }
        filled
    }

    fn claim(&self, claim: impl FnOnce(&Claim<'_>) -> Option<ClaimOutcome>) -> bool {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let micros = u128::from(number) * u128::from(LIFE) / u128::from(self.live);
        let millis = START + i64::try_from(micros / 1000).expect("small");
        let now = Timestamp::from_millis(millis);
        self.clock.set_wall(now);
        let mut text = [0; 32];
        let once = Once::Nonce(nonce(number, &mut text));
        claim(&Claim::new(&self.web, once, now)) == Some(ClaimOutcome::Claimed)
    }
}

fn claims(c: &mut Criterion) {
    for live in [1_000_000, 5_000_000] {
        let mut group = c.benchmark_group(format!("claim a nonce, {live} live"));
        group.measurement_time(Duration::from_secs(4));
        let filled = Filled::with(live);
        group.bench_function("making the nonce and moving the clock alone", |b| {
            b.iter(|| {
                filled.claim(|claim| {
                    black_box(claim);
                    None
                })
            });
        });
        group.bench_function("sheen, under a held lock", |b| {
            let mut state = filled.store.lock();
            b.iter(|| filled.claim(|claim| state.claim(claim.signed_at, claim).ok()));
        });
        group.bench_function("sheen", |b| {
            b.iter(|| filled.claim(|claim| filled.store.claim_now(claim).ok()));
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        group.bench_function("sheen, the trait's boxed future", |b| {
            let store: &dyn ReplayStore = &filled.store;
            let _entered = runtime.enter();
            b.iter(|| {
                filled.claim(|claim| {
                    let waker = std::task::Waker::noop();
                    let mut future = store.claim(claim);
                    let mut context = std::task::Context::from_waker(waker);
                    match future.as_mut().poll(&mut context) {
                        std::task::Poll::Ready(outcome) => outcome.ok(),
                        std::task::Poll::Pending => None,
                    }
                })
            });
        });
        group.bench_function("sheen, two threads (time of a claim of both)", |b| {
            b.iter_custom(|iterations| {
                let half = iterations.div_ceil(2);
                let begun = filled.clock_of_the_machine();
                std::thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            for _ in 0..half {
                                filled.claim(|claim| filled.store.claim_now(claim).ok());
                            }
                        });
                    }
                });
                filled.clock_of_the_machine() - begun
            });
        });
        drop(filled);
        peers(&mut group, live);
        group.finish();
    }
}

impl Filled {
    fn clock_of_the_machine(&self) -> Duration {
        static CLOCK: std::sync::OnceLock<sheen_core::time::SystemClock> =
            std::sync::OnceLock::new();
        CLOCK
            .get_or_init(sheen_core::time::SystemClock::new)
            .monotonic()
    }
}

/// Neither is sound: a DashMap forgets nothing of itself, moka forgets to stay small.
fn peers(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>, live: u64) {
    let next = AtomicU64::new(0);
    let map: dashmap::DashMap<Box<str>, i64> = dashmap::DashMap::new();
    let insert = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 32];
        let key: Box<str> = nonce(number, &mut text).into();
        // As many go as come.
        if let Some(old) = number.checked_sub(live) {
            let mut text = [0; 32];
            map.remove(nonce(old, &mut text));
        }
        map.insert(key, START).is_none()
    };
    for _ in 0..live {
        assert!(insert());
    }
    group.bench_function("dashmap, one removed by hand for each", |b| b.iter(insert));
    drop(map);

    let cache: moka::sync::Cache<Box<str>, ()> = moka::sync::Cache::builder()
        .max_capacity(live)
        .time_to_live(Duration::from_secs(720))
        .build();
    let insert = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 32];
        let key: Box<str> = nonce(number, &mut text).into();
        cache.entry(key).or_insert(()).is_fresh()
    };
    for _ in 0..live {
        assert!(insert());
    }
    group.bench_function("moka, which evicts what is live", |b| b.iter(insert));
}

criterion_group!(benches, claims);
criterion_main!(benches);
