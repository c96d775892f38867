//! The rules of deliveries: how long until the next try, and when to give up.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::types::{DeliveryLease, MAX_ATTEMPTS, MAX_ERROR};
use crate::id::{BuildId, ObserverId};

/// The whole wait before the second try; each further one is three times as long.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait. Together the waits are some three hours.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What follows a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is tried again or given up")]
pub enum Retry {
    /// The next try, after this long.
    After(Duration),
    /// None: it is parked.
    Park,
}

/// Decides what follows the failure of the try that `lease` was for.
#[must_use]
pub fn decide_failed(lease: &DeliveryLease) -> Retry {
    if may_be_tried(lease.attempt) {
        Retry::After(wait_after(&lease.observer, &lease.build, lease.attempt))
    } else {
        Retry::Park
    }
}

/// Whether another try may follow so many, however they ended.
#[must_use]
pub const fn may_be_tried(attempts: u32) -> bool {
    attempts < MAX_ATTEMPTS
}

/// How long to wait after failed try `attempt`, counted from 1: 5 s, 15 s, 45 s … at most an hour,
/// of which a part between half and all, the same one each time it is asked.
#[must_use]
pub fn wait_after(observer: &ObserverId, build: &BuildId, attempt: u32) -> Duration {
    let factor = 3u32.saturating_pow(attempt.saturating_sub(1));
    let whole = FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT);
    let mut hash = Sha256::new();
    for part in [observer.as_str(), build.as_str()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(attempt.to_be_bytes());
    let [high, low, ..] = <[u8; 32]>::from(hash.finalize());
    whole / 2 + (whole / 2) * u32::from(u16::from_be_bytes([high, low])) / u32::from(u16::MAX)
}

/// The part of an error that is kept, cut between two characters.
pub(super) fn kept(error: &Arc<str>) -> &str {
    &error[..error.floor_char_boundary(MAX_ERROR)]
}

/// What is kept of a try whose process never said how it ended.
pub(super) const LAPSED: &str = "the process that tried it went away";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::token::FencingToken;

    fn lease(attempt: u32) -> DeliveryLease {
        DeliveryLease::new(
            ObserverId::parse("mail").unwrap(),
            BuildId::parse("bld_1").unwrap(),
            FencingToken::ZERO,
            attempt,
            Timestamp::EPOCH,
        )
    }

    #[test]
    fn waits_grow_to_an_hour_and_the_tenth_failure_parks() {
        let mut sum = Duration::ZERO;
        for (attempt, whole) in (1..).zip([5, 15, 45, 135, 405, 1215, 3600, 3600, 3600]) {
            let Retry::After(wait) = decide_failed(&lease(attempt)) else {
                panic!("{attempt} parks");
            };
            let whole = Duration::from_secs(whole);
            assert!(wait >= whole / 2 && wait <= whole, "{attempt}: {wait:?}");
            sum += wait;
        }
        assert!(sum > Duration::from_secs(3600));
        for attempt in [10, 11, u32::MAX] {
            assert_eq!(decide_failed(&lease(attempt)), Retry::Park);
        }
    }

    #[test]
    fn jitter_is_the_same_each_time_and_spreads_builds() {
        let mail = ObserverId::parse("mail").unwrap();
        let waits: std::collections::BTreeSet<Duration> = (0..100)
            .map(|n| {
                let build = BuildId::parse(&format!("bld_{n}")).unwrap();
                let wait = wait_after(&mail, &build, 7);
                assert_eq!(wait, wait_after(&mail, &build, 7));
                wait
            })
            .collect();
        assert!(waits.len() > 90, "{}", waits.len());
        let spread = *waits.last().unwrap() - *waits.first().unwrap();
        assert!(spread > Duration::from_secs(1200), "{spread:?}");
    }

    #[test]
    fn a_long_error_is_cut_between_two_characters() {
        let long: Arc<str> = "é".repeat(MAX_ERROR).into();
        assert_eq!(kept(&long).len(), MAX_ERROR);
        let odd: Arc<str> = format!("x{long}").into();
        assert_eq!(kept(&odd).len(), MAX_ERROR - 1);
    }
}
