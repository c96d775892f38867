//! Waits: of streams that are opened again, and of polls. Pure.

use std::time::Duration;

use super::types::FollowConfig;
use crate::feed::next_interval;

/// A sequence of numbers that follows from a seed alone (splitmix64): jitter wants to differ from
/// reader to reader, not to be a secret, and a follower is to be the same again with its seed.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A random part of `whole`.
    pub(super) fn part_of(&mut self, whole: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
        let part = (u128::from(z) * (u128::from(nanos) + 1)) >> 64;
        Duration::from_nanos(u64::try_from(part).unwrap_or(nanos))
    }
}

/// How often in a row a stream was opened again.
#[derive(Debug, Clone, Default)]
pub(super) struct Tries {
    count: u32,
    retry: Option<Duration>,
}

impl Tries {
    /// Takes the server's wish, within reason (F5).
    pub(super) fn set_retry(&mut self, wait: Duration) {
        self.retry = Some(wait.clamp(Duration::from_millis(250), Duration::from_secs(300)));
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn reset(&mut self) {
        self.count = 0;
    }

    /// The wait before the next try: between nothing and the first wait, doubled by every try up
    /// to the longest. The jitter comes after the cap, so that late tries are spread too (F4).
    pub(super) fn next(&mut self, config: &FollowConfig, dice: &mut Dice) -> Duration {
        let first = self.retry.unwrap_or(config.first_wait);
        let longest = config.longest_wait.max(first);
        let cap = first
            .saturating_mul(2_u32.saturating_pow(self.count))
            .min(longest);
        self.count = self.count.saturating_add(1);
        dice.part_of(cap)
    }
}

/// When to poll next: 4 s after news; ×1.5 after none, at least 3 s, at most 15 s (wire.md §7), and
/// a tenth of it less or more, so that readers who began together do not stay together (F12).
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    waited: Option<Duration>,
}

impl Pace {
    /// How long was waited before the poll that is due.
    pub(super) fn waited(&self) -> Duration {
        self.waited.unwrap_or(next_interval(None, true))
    }

    /// The wait after an answer; `hint` is the server's `nextPollMs`.
    pub(super) fn next(&mut self, news: bool, hint: Option<Duration>, dice: &mut Dice) -> Duration {
        const LEAST: Duration = Duration::from_secs(3);
        const MOST: Duration = Duration::from_secs(15);
        let hint = hint.filter(|hint| (LEAST..=MOST).contains(hint));
        let own = next_interval(self.waited, news);
        // News mean «at once», whatever an old page says.
        let wait = hint.filter(|_| !news).unwrap_or(own);
        self.waited = Some(wait);
        let spread = dice.part_of(wait / 5);
        (wait - wait / 10 + spread).clamp(LEAST, MOST)
    }
}
