//! Laws of the rule, for any quota, any cost and any clock.

use std::time::Duration;

use proptest::prelude::*;

use crate::limit::{self, LimitState, Quota, QuotaError, Quotas, TakeOutcome};

fn quota() -> impl Strategy<Value = Quota> {
    (1_u32..50, 1_u64..100_000).prop_map(|(burst, micros)| {
        let period = Duration::from_micros(u64::from(burst) * micros);
        Quota::new(burst, period).unwrap()
    })
}

/// Any that can be made, from a microsecond to ten years.
fn any_quota() -> impl Strategy<Value = Quota> {
    let period = prop_oneof![
        0..2_000_000_u64,
        0..Quota::MAX_PERIOD.as_secs() * 1_000_000_000
    ];
    (any::<u32>(), period).prop_filter_map("a quota", |(burst, nanos)| {
        let burst = burst.checked_shr(u32::try_from(nanos % 32).ok()?)?;
        Quota::new(burst.max(1), Duration::from_nanos(nanos)).ok()
    })
}

fn quotas() -> impl Strategy<Value = Quotas> {
    prop::collection::vec(quota(), 1..=Quotas::MAX).prop_map(|all| Quotas::new(&all).unwrap())
}

/// Idle times, many of them at the very edge of an interval, and costs.
fn calls() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let pause = prop_oneof![Just(0), Just(1), 0_u64..1000, 0_u64..10_000_000];
    prop::collection::vec((pause, 0_u32..60), 1..120)
}

fn run(quotas: &Quotas, calls: &[(u64, u32)]) -> Vec<(u64, u32, TakeOutcome)> {
    let (mut state, mut now) = (LimitState::default(), 0);
    let mut done = Vec::new();
    for &(pause, cost) in calls {
        now += pause;
        let outcome = limit::take(&state, now, quotas, cost);
        if let TakeOutcome::Admitted(standing) = &outcome {
            state = LimitState::of(now, standing);
        }
        done.push((now, cost, outcome));
    }
    done
}

proptest! {
    /// In any window what was admitted is at most the burst and what came back in it.
    #[test]
    fn l01_no_window_admits_more_than_its_share(quotas in quotas(), calls in calls()) {
        let done = run(&quotas, &calls);
        let admitted: Vec<_> = done
            .iter()
            .filter(|(_, _, outcome)| matches!(outcome, TakeOutcome::Admitted(_)))
            .collect();
        for quota in quotas.as_slice() {
            for (start, (from, _, _)) in admitted.iter().enumerate() {
                let mut sum = 0;
                for (to, cost, _) in &admitted[start..] {
                    sum += u64::from(*cost);
                    let back = (to - from) / quota.interval_micros();
                    prop_assert!(sum <= u64::from(quota.burst()) + back, "{quota:?} {from}..{to}");
                }
            }
        }
    }

    /// A bucket that is filled drop by drop admits exactly the same calls: none too few either.
    #[test]
    fn l01_a_naive_bucket_admits_the_same(quotas in quotas(), calls in calls()) {
        let mut levels: Vec<u64> = quotas
            .as_slice()
            .iter()
            .map(|quota| u64::from(quota.burst()) * quota.interval_micros())
            .collect();
        let full = levels.clone();
        let mut last = 0;
        for (now, cost, outcome) in run(&quotas, &calls) {
            for (level, full) in levels.iter_mut().zip(&full) {
                *level = full.min(&(*level + (now - last))).to_owned();
            }
            last = now;
            let prices = quotas.as_slice().iter().map(|q| u64::from(cost) * q.interval_micros());
            let prices: Vec<_> = prices.collect();
            let passes = levels.iter().zip(&prices).all(|(level, price)| level >= price);
            prop_assert_eq!(matches!(outcome, TakeOutcome::Admitted(_)), passes);
            if passes {
                levels.iter_mut().zip(prices).for_each(|(level, price)| *level -= price);
            }
        }
    }

    /// Whatever the numbers and wherever the clock jumps: no overflow, and never over the burst.
    #[test]
    fn l02_the_ends_of_u64_are_borne(
        first in any_quota(),
        second in any_quota(),
        calls in prop::collection::vec((any::<u64>(), any::<u32>(), any::<bool>(), 0..3), 1..40),
    ) {
        let sets = [
            Quotas::from(first),
            Quotas::from(second),
            Quotas::new(&[first, second, second, first]).unwrap(),
        ];
        let mut state = LimitState::default();
        for (bits, cost, is_edge, set) in calls {
            let now = if is_edge { u64::MAX - bits % 8 } else { bits };
            let set = &sets[usize::try_from(set).unwrap()];
            let cost = if is_edge { cost % set.max_cost() } else { cost };
            let seen = limit::peek(&state, now, set, cost);
            let outcome = limit::take(&state, now, set, cost);
            match (&outcome, &seen) {
                (TakeOutcome::Admitted(after), TakeOutcome::Admitted(before)) => {
                    for (after, before) in after.meters().zip(before.meters()) {
                        prop_assert!(before.remaining() <= before.quota.burst());
                        let used = before.remaining() - after.remaining();
                        prop_assert!(used == cost || used == cost + 1, "{before:?} {after:?}");
                    }
                    state = LimitState::of(now, after);
                }
                (TakeOutcome::Limited(standing), same) => {
                    prop_assert_eq!(&outcome, same);
                    prop_assert!(!standing.wait().is_zero());
                    prop_assert!(standing.wait() <= standing.tightest().quota.period());
                }
                (TakeOutcome::TooCostly { max_cost }, _) => prop_assert!(cost > *max_cost),
                other => panic!("they differ: {other:?}"),
            }
            let given = limit::refund(&state, now, set, cost);
            prop_assert!(given.meters().all(|m| m.full_in() <= m.quota.period()));
        }
    }

    /// A refused call leaves every quota as it was: the next cheaper one passes as if it had never
    /// been.
    #[test]
    fn l03_a_refused_call_takes_nothing(quotas in quotas(), calls in calls()) {
        let done = run(&quotas, &calls);
        let mut pause = 0;
        let mut passed = Vec::new();
        let mut last = 0;
        for (now, cost, outcome) in &done {
            pause += now - last;
            last = *now;
            if matches!(outcome, TakeOutcome::Admitted(_)) {
                passed.push((pause, *cost));
                pause = 0;
            }
        }
        let again = run(&quotas, &passed);
        let admitted = done.iter().filter(|(_, _, o)| matches!(o, TakeOutcome::Admitted(_)));
        prop_assert!(again.iter().eq(admitted));
    }

    /// What remains passes, one more does not; and it does when `more_in` or `wait` says.
    #[test]
    fn l04_remaining_and_reset_agree(quota in quota(), calls in calls()) {
        let quotas = Quotas::from(quota);
        let (mut state, mut now) = (LimitState::default(), 0);
        for (pause, cost) in calls {
            now += pause;
            if let TakeOutcome::Admitted(standing) = limit::take(&state, now, &quotas, cost) {
                state = LimitState::of(now, &standing);
                let meter = standing.tightest();
                let remaining = meter.remaining();
                let passes = |at, cost| {
                    matches!(limit::take(&state, at, &quotas, cost), TakeOutcome::Admitted(_))
                };
                prop_assert!(passes(now, remaining) && !passes(now, remaining + 1));
                let more = u64::try_from(meter.more_in().as_micros()).unwrap();
                if more > 0 {
                    prop_assert!(passes(now + more, remaining + 1));
                    prop_assert!(!passes(now + more - 1, remaining + 1));
                } else {
                    prop_assert_eq!(remaining, quota.burst());
                }
            }
        }
    }
}

#[test]
fn l02_what_is_no_quota_is_refused_where_it_is_made() {
    let year = Duration::from_secs(365 * 86_400);
    for (burst, period, wrong) in [
        (0, year, QuotaError::NoBurst),
        (1, Duration::ZERO, QuotaError::TooFast),
        (1, Duration::from_nanos(1), QuotaError::TooFast),
        (1, Duration::from_nanos(999), QuotaError::TooFast),
        (2, Duration::from_nanos(1999), QuotaError::TooFast),
        (u32::MAX, Duration::from_nanos(1), QuotaError::TooFast),
        (u32::MAX, Duration::from_secs(4294), QuotaError::TooFast),
        (1, 10 * year + Duration::from_nanos(1), QuotaError::TooSlow),
        (u32::MAX, Duration::MAX, QuotaError::TooSlow),
    ] {
        assert_eq!(
            Quota::new(burst, period),
            Err(wrong),
            "{burst} in {period:?}"
        );
    }
    for (burst, period) in [
        (1, Duration::from_micros(1)),
        (u32::MAX, Duration::from_secs(4295)),
        (u32::MAX, 10 * year),
        (1, 10 * year),
    ] {
        let quota = Quota::new(burst, period).unwrap();
        assert!(quota.period() >= period, "never more than was asked for");
    }
    assert_eq!(Quotas::new(&[]), Err(QuotaError::Empty));
    let five = [Quota::per_minute(1).unwrap(); 5];
    assert_eq!(Quotas::new(&five), Err(QuotaError::TooMany));
}

#[test]
fn t04_a_clock_that_steps_back_gives_nothing_and_takes_no_more_than_the_burst() {
    let quotas = Quotas::from(Quota::per_minute(6).unwrap());
    let later = 1_000_000_000_000;
    let TakeOutcome::Admitted(standing) = limit::take(&LimitState::default(), later, &quotas, 6)
    else {
        panic!("a new key has all of its burst");
    };
    let state = LimitState::of(later, &standing);
    let TakeOutcome::Limited(standing) = limit::take(&state, 0, &quotas, 1) else {
        panic!("nothing has come back");
    };
    assert_eq!(standing.wait(), Duration::from_secs(10));
}
