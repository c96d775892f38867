//! Runs of retention in memory, and the contract there.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use sheen_core::entropy::SeededEntropy;
use sheen_core::error::StoreErrorKind;
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::time::{Advance, Day, ManualClock, Timestamp};
use sheen_core::token::FencingToken;

use super::conformance::RetentionHarness;
use super::decide::{Plan, first_kept};
use super::*;
use crate::log::{Append, EventLog, EventType, MemoryEventLog, NewEvent, NewStream};

const DAY: Duration = Duration::from_secs(86_400);

struct Rig {
    log: Arc<MemoryEventLog>,
    clock: Arc<ManualClock>,
    store: Arc<MemoryRetention>,
}

impl Rig {
    fn new() -> Self {
        // Half past ten: days begin elsewhere than the log does.
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)));
        let entropy = Arc::new(SeededEntropy::new(3));
        let log = MemoryEventLog::new(clock.clone(), entropy, Default::default());
        let log = Arc::new(log);
        let store = Arc::new(MemoryRetention::new(log.clone(), clock.clone()));
        Self { log, clock, store }
    }

    /// `events` on each of `days` days from now on.
    async fn write(&self, days: u32, events: usize) {
        let build = BuildId::parse("b").unwrap();
        let (user, session) = (UserId::parse("ann"), BuildSessionId::parse("bs"));
        let stream = NewStream::new(build.clone(), user.unwrap(), session.unwrap());
        self.log.open(stream).await.unwrap();
        let data = json!({"message": "x"});
        let event = NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap()).unwrap();
        for _ in 0..days {
            let append = Append::new(
                build.clone(),
                FencingToken::ZERO,
                vec![event.clone(); events],
            );
            self.log.append(append).await.unwrap();
            self.clock.advance(DAY);
        }
    }

    fn retention(&self, change: impl FnOnce(&mut RetentionConfig)) -> Retention {
        let mut config = RetentionConfig::default();
        change(&mut config);
        Retention::new(self.store.clone(), config)
    }
}

async fn harness() -> RetentionHarness {
    let rig = Rig::new();
    RetentionHarness::new(rig.log, rig.store, Advance::manual(rig.clock))
}

crate::retention_conformance!(harness());

#[tokio::test]
async fn a_run_goes_day_by_day_in_batches_and_tells_how_far_it_is() {
    let rig = Rig::new();
    let first = Day::from_number(20_412);
    rig.write(60, 10).await;
    let mut told = Vec::new();
    let run = rig.retention(|config| config.batch = 4);
    let outcome = run.run(|progress| {
        told.push((
            progress.day.number() - first.number(),
            progress.removed,
            progress.due,
        ));
    });
    // The clock is a day past the sixtieth: days 0 to 14 are older than 45 days.
    assert_eq!(
        outcome.await.unwrap(),
        RetentionOutcome::Done { removed: 150 }
    );
    assert_eq!(
        told[..5],
        [
            (0, 0, 150),
            (0, 4, 150),
            (0, 8, 150),
            (0, 10, 150),
            (1, 14, 150)
        ]
    );
    assert_eq!(told.last(), Some(&(14, 150, 150)));
    let again = rig
        .retention(|_| ())
        .run(|_| panic!("there is nothing to tell"))
        .await;
    assert_eq!(again.unwrap(), RetentionOutcome::Done { removed: 0 });
}

#[tokio::test]
async fn over_half_of_all_is_refused_unless_it_is_allowed() {
    let rig = Rig::new();
    rig.write(1, 11).await;
    rig.clock.advance(RETENTION + DAY);
    rig.write(1, 10).await;
    let refused = rig
        .retention(|_| ())
        .run(|_| panic!("nothing may go"))
        .await;
    let over = RetentionOutcome::OverHalf { due: 11, total: 21 };
    assert_eq!(refused.unwrap(), over);
    assert_eq!(rig.log.lock().days().values().sum::<u64>(), 21);
    rig.write(1, 1).await;
    let half = rig.retention(|_| ()).run(|_| ()).await;
    assert_eq!(half.unwrap(), RetentionOutcome::Done { removed: 11 });
    rig.clock.advance(RETENTION + DAY * 5);
    let all = rig
        .retention(|config| config.allow_over_half = true)
        .run(|_| ())
        .await;
    assert_eq!(all.unwrap(), RetentionOutcome::Done { removed: 11 });
}

#[tokio::test]
async fn a_short_age_counts_as_a_day_and_a_batch_of_none_as_one() {
    let rig = Rig::new();
    rig.write(3, 2).await;
    let eager = rig.retention(|config| {
        (config.age, config.batch, config.allow_over_half) = (Duration::ZERO, 0, true);
    });
    assert_eq!(
        eager.run(|_| ()).await.unwrap(),
        RetentionOutcome::Done { removed: 4 }
    );
}

/// A clock that steps back between survey and removal ends the run; nothing young goes.
#[tokio::test]
async fn a_clock_that_steps_back_takes_nothing_young() {
    let rig = Rig::new();
    rig.write(2, 2).await;
    rig.clock.advance(RETENTION);
    let clock = rig.clock.clone();
    let run = rig.retention(|config| config.allow_over_half = true);
    let outcome = run.run(move |_| clock.set_wall(Timestamp::from_millis(1_763_634_600_000)));
    assert_eq!(
        outcome.await.unwrap(),
        RetentionOutcome::Done { removed: 0 }
    );
    assert_eq!(rig.log.lock().days().values().sum::<u64>(), 4);
}

#[tokio::test]
async fn full_counts_refuse_and_remove_nothing() {
    let rig = Rig::new();
    rig.write(1, 2).await;
    rig.clock.advance(RETENTION + DAY);
    rig.store.fill_up();
    let refused = rig
        .retention(|config| config.allow_over_half = true)
        .run(|_| ())
        .await;
    assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Full);
    assert_eq!(rig.log.lock().days().values().sum::<u64>(), 2);
}

proptest! {
    #[test]
    fn no_day_goes_whose_last_instant_is_young(now in -1_000_000_000_000_i64..4_000_000_000_000, days in 1_u32..400) {
        let (now, age) = (Timestamp::from_millis(now), DAY * days);
        let kept = first_kept(now, age);
        prop_assert!(kept.start() <= now.minus(age));
        prop_assert!(kept.end() > now.minus(age));
    }

    #[test]
    fn a_plan_takes_at_most_half_or_says_so(counts in prop::collection::vec(0_u64..1000, 0..80), allow: bool) {
        let today = Day::from_number(20_000);
        let first = today.number() - i64::try_from(counts.len()).unwrap();
        let days: Vec<_> = (first..).zip(&counts).map(|(day, n)| DayCount::new(Day::from_number(day), *n)).collect();
        let config = RetentionConfig { allow_over_half: allow, ..RetentionConfig::default() };
        let total: u64 = counts.iter().sum();
        match config.plan(&Survey::new(today.start(), days)) {
            Plan::OverHalf { due, total: told } => prop_assert!(!allow && told == total && due * 2 > total),
            Plan::Remove { days, due } => {
                prop_assert!(allow || due * 2 <= total);
                prop_assert!(days.iter().all(|day| day.day.number() < today.number() - 45));
                prop_assert_eq!(due, days.iter().map(|day| day.events).sum::<u64>());
            }
        }
    }
}
