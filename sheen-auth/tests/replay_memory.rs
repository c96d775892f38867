//! What a live nonce costs, exactly. Alone in its file: the counter is the process's.

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use sheen_auth::replay::{Claim, ClaimOutcome, MemoryReplayStore, Once};
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::PrincipalId;
use sheen_core::time::{Clock, ManualClock, Timestamp};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const LIVE: usize = 1_000_000;

/// Claims as they come in twelve minutes: over three generations.
#[test]
fn a_live_nonce_costs_at_most_24_bytes_at_every_size_and_nothing_once_forgotten() {
    let start = Timestamp::from_millis(1_800_000_000_000);
    let clock = Arc::new(ManualClock::at(start));
    let store = MemoryReplayStore::with_entropy(clock.clone(), LIVE * 2, &SeededEntropy::new(1));
    let web = PrincipalId::parse("web").unwrap();
    let region = Region::new(COUNTED);
    let held = |region: &Region<'_, System>| {
        let change = region.change();
        let allocated = i128::try_from(change.bytes_allocated).unwrap();
        allocated - i128::try_from(change.bytes_deallocated).unwrap()
    };
    let mut nonce = [b'-'; 24];
    let mut claim = |number: usize| {
        nonce[..16].copy_from_slice(format!("{number:016}").as_bytes());
        let nonce = std::str::from_utf8(&nonce).unwrap();
        let claim = Claim::new(&web, Once::Nonce(nonce), clock.now());
        assert_eq!(store.claim_now(&claim).unwrap(), ClaimOutcome::Claimed);
    };
    let mut worst = 0.0_f64;
    let mut sizes = 0;
    for number in 0..LIVE {
        if number % (LIVE / 720) == 0 {
            clock.advance(Duration::from_secs(1));
        }
        claim(number);
        let live = number + 1;
        if live >= 1000 && live % (live.ilog2() as usize * 500) == 0 {
            let bytes = held(&region) as f64 / live as f64;
            worst = worst.max(bytes);
            sizes += 1;
            assert!(bytes <= 24.0, "{bytes:.1} bytes each at {live}");
        }
    }
    assert!(sizes > 50);
    let bytes = held(&region) as f64 / LIVE as f64;
    println!("{bytes:.2} bytes a live nonce at 1 M, {worst:.2} at worst from 1000 on");
    assert!(bytes > 16.0, "it holds them at all: {bytes}");

    // What has run out is freed by the claims that follow, a few pages each.
    clock.advance(Duration::from_secs(3600));
    for number in LIVE..LIVE + LIVE / 16 {
        claim(number);
    }
    let live = LIVE / 16;
    let bytes = held(&region) as f64 / live as f64;
    assert!(bytes <= 24.0, "{bytes:.1} bytes each at {live}");
}
