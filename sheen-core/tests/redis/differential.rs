//! The scripts repeat the rules of decide.rs. Here both run the same random operations at the same
//! instants, and every outcome, instant, answer and order of tokens is the same.

use std::sync::Arc;
use std::time::Duration;

use sheen_core::idempotency::{
    BeginOutcome, ExtendOutcome, IdempotencyStore, Lease, Lifetimes, MemoryIdempotencyStore,
};
use sheen_core::time::ManualClock;

use super::{Store, answer, key, print, scope_of, still};

const SEEDS: u64 = 24;
const STEPS: u32 = 250;

struct Pair {
    redis: Store,
    memory: MemoryIdempotencyStore,
    clock: Arc<ManualClock>,
    /// The leases that both gave, pair by pair.
    leases: Vec<(Lease, Lease)>,
}

impl Pair {
    async fn begin(&mut self, user: &str, name: &str, call: u8) -> bool {
        let (scope, key) = (scope_of(user), key(name));
        let got = self.redis.begin(&scope, &key, print(call)).await.unwrap();
        let wanted = self.memory.begin(&scope, &key, print(call)).await.unwrap();
        match (got, wanted) {
            (BeginOutcome::Started(got), BeginOutcome::Started(wanted)) => {
                assert_eq!((&got.scope, &got.key), (&wanted.scope, &wanted.key));
                assert_eq!(got.expires_at, wanted.expires_at);
                // No two leases of a scope share a token, and later ones have higher ones.
                let before = self.leases.iter().map(|(lease, _)| lease);
                let last = before
                    .filter(|lease| lease.scope == scope)
                    .map(|l| l.token)
                    .max();
                assert!(last.is_none_or(|last| last < got.token));
                self.leases.push((got, wanted));
                true
            }
            (got, wanted) => {
                assert_eq!(got, wanted);
                false
            }
        }
    }

    async fn step(&mut self, rng: &mut fastrand::Rng) -> bool {
        let user = ["ada", "eve"][rng.usize(..2)];
        let name = ["a", "b", "{c}", "d"][rng.usize(..4)];
        let call = rng.u8(0..8) / 7;
        // Mostly a recent lease: those are the ones that may still be held.
        let recent = rng.usize(self.leases.len().saturating_sub(5)..=self.leases.len());
        let lease = self.leases.get(recent).cloned();
        match (rng.u8(0..20), lease) {
            (0..=6, _) => return self.begin(user, name, call).await,
            (7..=8, _) => {
                let (scope, key) = (scope_of(user), key(name));
                let got = self.redis.look(&scope, &key, print(call)).await.unwrap();
                let wanted = self.memory.look(&scope, &key, print(call)).await.unwrap();
                assert_eq!(got, wanted);
            }
            (9..=10, Some((got, wanted))) => {
                let got = self.redis.extend(&got).await.unwrap();
                let wanted = self.memory.extend(&wanted).await.unwrap();
                let end = |outcome: &ExtendOutcome| match outcome {
                    ExtendOutcome::Extended(lease) => Some(lease.expires_at),
                    _ => None,
                };
                assert_eq!(end(&got), end(&wanted));
            }
            (11..=13, Some((got, wanted))) => {
                let text = ["one", "two"][rng.usize(..2)];
                let got = self.redis.complete(&got, answer(text)).await.unwrap();
                let wanted = self.memory.complete(&wanted, answer(text)).await.unwrap();
                assert_eq!(got, wanted);
            }
            (14..=15, Some((got, wanted))) => {
                let got = self.redis.abandon(&got).await.unwrap();
                assert_eq!(got, self.memory.abandon(&wanted).await.unwrap());
            }
            (16, _) => {
                // All of it: which of many go first is the store's own affair.
                let got = self.redis.reap(1_000).await.unwrap();
                assert_eq!(got, self.memory.reap(1_000).await.unwrap());
            }
            _ => {
                let millis = [1, 59_999, 60_000, 60_001, 43_200_000, 86_400_000];
                let millis = millis[rng.usize(..millis.len())];
                self.clock.advance(Duration::from_millis(millis));
            }
        }
        false
    }
}

#[tokio::test]
async fn the_scripts_decide_as_the_rules_do() {
    let mut started = 0;
    for seed in 0..SEEDS {
        let (redis, clock, _) = still().await;
        let lifetimes = Lifetimes::default();
        let memory = MemoryIdempotencyStore::new(clock.clone(), lifetimes, 1_000);
        let leases = Vec::new();
        let mut pair = Pair {
            redis,
            memory,
            clock,
            leases,
        };
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..STEPS {
            started += u32::from(pair.step(&mut rng).await);
        }
    }
    // The runs were worth their name.
    assert!(started > 500, "{started} calls started");
}
