//! Claiming a nonce in memory (docs/performance.md, row 3), with as many live as stated: each claim
//! moves the clock, so that as many run out as come in.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sheen_auth::replay::{Claim, ClaimOutcome, MemoryReplayStore, Once, ReplayStore};
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::PrincipalId;
use sheen_core::time::{Clock, ManualClock, SystemClock, Timestamp};

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
    live: u64,
}

/// How many numbers one thread takes at a time: the clock moves once for them.
const ROUND: u64 = 1024;

impl Filled {
    fn with(live: u64) -> (Self, u64) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(START)));
        let entropy = SeededEntropy::new(1);
        let filled = Self {
            store: MemoryReplayStore::with_entropy(clock.clone(), 100_000_000, &entropy),
            clock,
            web: PrincipalId::parse("web").expect("an id"),
            live,
        };
        // Twice, so that what runs out has been running out.
        for number in 0..live * 2 {
            let claimed = filled.claim(number, |claim| filled.store.claim_now(claim).ok());
            assert!(claimed);
        }
        (filled, live * 2)
    }

    /// The instant at which this number comes, so that as many are alive as stated.
    fn instant(&self, number: u64) -> Timestamp {
        let micros = u128::from(number) * u128::from(LIFE) / u128::from(self.live);
        Timestamp::from_millis(START + i64::try_from(micros / 1000).expect("small"))
    }

    fn claim(&self, number: u64, claim: impl FnOnce(&Claim<'_>) -> Option<ClaimOutcome>) -> bool {
        let now = self.instant(number / ROUND * ROUND);
        if number.is_multiple_of(ROUND) {
            self.clock.set_wall(now);
        }
        let mut text = [0; 32];
        let once = Once::Nonce(nonce(number, &mut text));
        claim(&Claim::new(&self.web, once, now)) == Some(ClaimOutcome::Claimed)
    }
}

fn claims(c: &mut Criterion) {
    for live in [1_000_000, 5_000_000] {
        let mut group = c.benchmark_group(format!("claim a nonce, {live} live"));
        group.measurement_time(Duration::from_secs(4));
        let (filled, mut next) = Filled::with(live);
        let mut number = || {
            next += 1;
            next
        };
        group.bench_function("making the nonce alone", |b| {
            b.iter(|| {
                filled.claim(number(), |claim| {
                    black_box(claim);
                    None
                })
            });
        });
        let memory = vec![1_u64; usize::try_from(live * 3).expect("it fits")];
        group.bench_function(
            "floor: one read somewhere in 24 bytes for each, after the last",
            |b| {
                let mut last = 0_u64;
                b.iter(|| {
                    let at = (number() + last).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let at = (u128::from(at) * u128::from(live * 3)) >> 64;
                    last = memory[usize::try_from(at).expect("it fits")];
                    last
                });
            },
        );
        drop(memory);
        group.bench_function("sheen, under a held lock", |b| {
            let mut state = filled.store.lock();
            b.iter(|| filled.claim(number(), |claim| state.claim(claim.signed_at, claim).ok()));
        });
        group.bench_function("sheen", |b| {
            b.iter(|| filled.claim(number(), |claim| filled.store.claim_now(claim).ok()));
        });
        group.bench_function("sheen, the trait's boxed future", |b| {
            let store: &dyn ReplayStore = &filled.store;
            b.iter(|| {
                filled.claim(number(), |claim| {
                    let mut context = Context::from_waker(Waker::noop());
                    match store.claim(claim).as_mut().poll(&mut context) {
                        Poll::Ready(outcome) => outcome.ok(),
                        Poll::Pending => None,
                    }
                })
            });
        });
        group.bench_function("sheen, two threads (elapsed for each claim)", |b| {
            b.iter_custom(|iterations| {
                let first = next.next_multiple_of(ROUND);
                next = first + iterations;
                two_threads(&filled, first..next)
            });
        });
        drop(filled);
        peers(&mut group, live);
        group.finish();
    }
}

/// Two threads take rounds of numbers in turn.
fn two_threads(filled: &Filled, numbers: std::ops::Range<u64>) -> Duration {
    let clock = SystemClock::new();
    let round = AtomicU64::new(numbers.start);
    let claimed = AtomicU64::new(0);
    let work = || {
        loop {
            let first = round.fetch_add(ROUND, Ordering::Relaxed);
            let last = (first + ROUND).min(numbers.end);
            if first >= last {
                return;
            }
            let claim = |number: &u64| filled.claim(*number, |c| filled.store.claim_now(c).ok());
            let won = (first..last).filter(claim).count();
            claimed.fetch_add(won as u64, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    black_box(claimed.load(Ordering::Relaxed));
    clock.monotonic()
}

/// Neither is sound: a DashMap forgets nothing of itself, moka forgets to stay small.
fn peers(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>, live: u64) {
    let mut next = 0;
    let map: dashmap::DashMap<Box<str>, i64> = dashmap::DashMap::new();
    let mut insert = || {
        let number: u64 = next;
        next += 1;
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
    group.bench_function("dashmap, one removed by hand for each", |b| {
        b.iter(&mut insert);
    });
    drop(map);

    let cache: moka::sync::Cache<Box<str>, ()> = moka::sync::Cache::builder()
        .max_capacity(live)
        .time_to_live(Duration::from_secs(720))
        .build();
    let mut next = 0;
    let mut insert = || {
        let number: u64 = next;
        next += 1;
        let mut text = [0; 32];
        let key: Box<str> = nonce(number, &mut text).into();
        cache.entry(key).or_insert(()).is_fresh()
    };
    for _ in 0..live {
        assert!(insert());
    }
    group.bench_function("moka, which evicts what is live", |b| b.iter(&mut insert));
}

criterion_group!(benches, claims);
criterion_main!(benches);
