//! What answers say.

use std::time::Duration;

use proptest::prelude::*;

use crate::limit::{
    self, LimitFigures, LimitState, PolicyField, PolicyName, Quota, Quotas, RateLimitField,
    Standing, TakeOutcome,
};

fn quota(burst: u32, seconds: u64) -> Quota {
    Quota::new(burst, Duration::from_secs(seconds)).unwrap()
}

fn taken(quotas: &Quotas, now: u64, costs: &[u32]) -> Standing {
    let mut state = LimitState::default();
    let mut last = None;
    for &cost in costs {
        match limit::take(&state, now, quotas, cost) {
            TakeOutcome::Admitted(standing) => {
                state = LimitState::of(now, &standing);
                last = Some(standing);
            }
            TakeOutcome::Limited(standing) => last = Some(standing),
            TakeOutcome::TooCostly { .. } => panic!("it could pass"),
        }
    }
    last.unwrap()
}

#[test]
fn figures_are_those_of_the_quota_that_decides() {
    let quotas = Quotas::new(&[quota(10, 10), quota(12, 3600)]).unwrap();
    let figures = LimitFigures::of(&taken(&quotas, 0, &[4]));
    assert_eq!((figures.limit, figures.remaining), (10, 6));
    assert_eq!(
        (figures.reset_seconds, figures.retry_after_seconds),
        (1, None)
    );
    let figures = LimitFigures::of(&taken(&quotas, 0, &[10, 3]));
    assert_eq!((figures.limit, figures.remaining), (12, 2));
    assert_eq!(figures.reset_seconds, 300);
    assert_eq!(figures.retry_after_seconds, Some(300));
}

#[test]
fn fields_are_structured_and_name_every_quota() {
    let quotas = Quotas::new(&[quota(10, 10), quota(12, 3600)]).unwrap();
    let name = PolicyName::new("user").unwrap();
    let policy = PolicyField(name, &quotas).to_string();
    assert_eq!(policy, "\"user\";q=10;w=10, \"user-2\";q=12;w=3600");
    let passed = taken(&quotas, 0, &[4]);
    let field = RateLimitField(name, &passed).to_string();
    assert_eq!(field, "\"user\";r=6;t=1, \"user-2\";r=8;t=300");
    // Refused by the first for one second: the draft wants no `t` after Retry-After.
    let refused = taken(&quotas, 0, &[10, 1]);
    let field = RateLimitField(name, &refused).to_string();
    assert_eq!(field, "\"user\";r=0;t=1, \"user-2\";r=2");
    // Nothing used, nothing to wait for.
    let TakeOutcome::Admitted(whole) = limit::peek(&LimitState::default(), 0, &quotas, 1) else {
        panic!("a new key passes");
    };
    let field = RateLimitField(name, &whole).to_string();
    assert_eq!(field, "\"user\";r=10, \"user-2\";r=12");
    assert_eq!(LimitFigures::of(&whole).reset_seconds, 1, "at least 1");
}

#[test]
fn only_names_that_need_no_escapes_are_taken() {
    for good in ["a", "user-2", "a_b", &"x".repeat(64)] {
        assert!(PolicyName::new(good).is_some(), "{good}");
    }
    for bad in [
        "",
        "A",
        "a\"",
        "a b",
        "a;q=9",
        "é",
        "a\r\n",
        &"x".repeat(65),
    ] {
        assert!(PolicyName::new(bad).is_none(), "{bad}");
    }
}

proptest! {
    /// Whole seconds, rounded up, at least 1; and coming back then is coming back in time.
    #[test]
    fn l09_retry_after_is_never_too_early(
        burst in 1_u32..20,
        micros in 1_u64..5_000_000,
        used in 1_u32..20,
        idle in 0_u64..5_000_000,
        cost in 1_u32..20,
    ) {
        let period = Duration::from_micros(micros * u64::from(burst));
        let quotas = Quotas::from(Quota::new(burst, period).unwrap());
        let (used, cost) = ((used - 1) % burst + 1, (cost - 1) % burst + 1);
        let state = LimitState::of(0, &taken(&quotas, 0, &[used]));
        if let TakeOutcome::Limited(standing) = limit::take(&state, idle, &quotas, cost) {
            let figures = LimitFigures::of(&standing);
            let retry = figures.retry_after_seconds.unwrap();
            let wait = standing.wait();
            prop_assert!(retry >= 1 && figures.reset_seconds == retry);
            prop_assert!(Duration::from_secs(retry) >= wait);
            prop_assert!(Duration::from_secs(retry - 1) < wait, "no more than rounded up");
            let then = idle + retry * 1_000_000;
            let again = limit::take(&state, then, &quotas, cost);
            prop_assert!(matches!(again, TakeOutcome::Admitted(_)));
            prop_assert!(figures.remaining < cost);
            let field = RateLimitField(PolicyName::new("x").unwrap(), &standing).to_string();
            if let Some((_, t)) = field.split_once(";t=") {
                prop_assert!(t.parse::<u64>().unwrap() <= retry);
            }
        }
    }
}
