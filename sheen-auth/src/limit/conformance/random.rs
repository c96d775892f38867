//! Random steps against the rule itself, to the microsecond.

use std::collections::BTreeMap;
use std::time::Duration;

use sheen_core::entropy::{Entropy as _, SeededEntropy};

use super::{Harness, key, user};
use crate::limit::{self, LimitState, Quota, Quotas, Subject, TakeOutcome};

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, end: u32) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes) % end
    }

    fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        let end = u32::try_from(of.len()).expect("a few");
        let at = usize::try_from(self.below(end)).expect("a few");
        &of[at]
    }
}

/// Sets with intervals of every length that are no round numbers.
fn sets() -> Vec<Quotas> {
    let quota = |burst, seconds| Quota::new(burst, Duration::from_secs(seconds)).expect("a quota");
    let year = 365 * 86_400;
    [
        &[quota(7, 5000)][..],
        &[quota(10, 5000)],
        &[quota(7, 50_000), quota(3, 100_001)],
        &[quota(1, 10 * year), quota(9, 7777), quota(31, 31_313)],
        &[quota(4_000_000_000, 10 * year), quota(2, 3600)],
        &[
            quota(13, 9 * year),
            quota(5, 40_000),
            quota(5, 4000),
            quota(900, 90_000),
        ],
    ]
    .map(|set| Quotas::new(set).expect("one to four"))
    .to_vec()
}

/// Every outcome of 2,000 steps is the one that the rule gives.
pub async fn c11_random_steps_agree_with_the_rule(h: Harness) {
    let dice = Dice(SeededEntropy::new(11));
    let names = ["ann", "bob", "cyd"].map(user);
    let sets = sets();
    let mut states: BTreeMap<(String, u64), LimitState> = BTreeMap::new();
    let mut now = 1_000_000_u64;
    for number in 0..2000 {
        let name = dice.pick(&names);
        let key = key(Subject::User(name));
        // Mostly the same set, so that keys are used up too.
        let set = if dice.below(8) > 0 {
            &sets[0]
        } else {
            dice.pick(&sets)
        };
        let cost = match dice.below(10) {
            0 => 0,
            1 => dice.below(u32::MAX),
            cost => cost % 4,
        };
        let state = states.entry((name.to_string(), set.id())).or_default();
        let told = format!("step {number}: {cost} of {set:?} for {name}");
        match dice.below(10) {
            0..5 => {
                let expected = limit::take(state, now, set, cost);
                assert_eq!(h.take(&key, set, cost).await, expected, "take, {told}");
                if let TakeOutcome::Admitted(standing) = &expected {
                    *state = LimitState::of(now, standing);
                }
            }
            5..7 => {
                let expected = limit::peek(state, now, set, cost);
                assert_eq!(h.peek(&key, set, cost).await, expected, "peek, {told}");
            }
            7 => {
                let expected = limit::refund(state, now, set, cost);
                assert_eq!(h.refund(&key, set, cost).await, expected, "refund, {told}");
                *state = LimitState::of(now, &expected);
            }
            _ => {
                let far = if dice.below(20) == 0 {
                    u32::MAX
                } else {
                    2_000_000
                };
                let millis = u64::from(dice.below(far));
                h.advance.by(Duration::from_millis(millis)).await;
                now += millis * 1000;
            }
        }
    }
}
