//! Which days go, and whether they may. Pure.

use std::time::Duration;

use sheen_core::time::{Day, Timestamp};

use super::types::{DayCount, MIN_AGE, RetentionConfig, Survey};

/// The first day that is kept: events of the days before are older than `age`, whenever in their
/// day they happened.
pub(super) fn first_kept(now: Timestamp, age: Duration) -> Day {
    now.minus(age).day()
}

/// What a run does. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// It would take over half of all events and is not told to.
    OverHalf { due: u64, total: u64 },
    /// These days go, in order, with so many events.
    Remove { days: Vec<DayCount>, due: u64 },
}

impl RetentionConfig {
    /// The age that counts.
    pub(super) fn age(&self) -> Duration {
        self.age.max(MIN_AGE)
    }

    pub(super) fn plan(&self, survey: &Survey) -> Plan {
        let kept = first_kept(survey.now, self.age());
        let events = |days: &[DayCount]| days.iter().map(|day| day.events).sum::<u64>();
        let days: Vec<_> = survey
            .days
            .iter()
            .filter(|day| day.day < kept)
            .copied()
            .collect();
        let (due, total) = (events(&days), events(&survey.days));
        if due > total / 2 && !self.allow_over_half {
            return Plan::OverHalf { due, total };
        }
        Plan::Remove { days, due }
    }
}
