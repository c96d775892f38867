//! What is removed, counted and reported.

use std::time::Duration;

use sheen_core::time::{Day, Timestamp};

use crate::log::{EventStatus, EventType, Visibility};

/// How long an event is kept at least: 45 days (wire.md §7).
pub const RETENTION: Duration = Duration::from_secs(45 * 86_400);

/// No event younger than a day is removed, whatever a configuration says: builds still write.
pub const MIN_AGE: Duration = Duration::from_secs(86_400);

/// How a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionConfig {
    /// How long an event is kept at least: [`RETENTION`]. Shorter than [`MIN_AGE`] counts as that.
    pub age: Duration,
    /// The most events removed in one step, 10,000.
    pub batch: u32,
    /// Whether a run may take over half of all events.
    pub allow_over_half: bool,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            age: RETENTION,
            batch: 10_000,
            allow_over_half: false,
        }
    }
}

/// How many events a day has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DayCount {
    /// The day.
    pub day: Day,
    /// Its events, visible and hidden.
    pub events: u64,
}

impl DayCount {
    /// `events` of `day`.
    #[must_use]
    pub const fn new(day: Day, events: u64) -> Self {
        Self { day, events }
    }
}

/// What a store has, day by day.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// The store's clock.
    pub now: Timestamp,
    /// The days that have events, in order.
    pub days: Vec<DayCount>,
}

impl Survey {
    /// `days` at `now`.
    #[must_use]
    pub const fn new(now: Timestamp, days: Vec<DayCount>) -> Self {
        Self { now, days }
    }
}

/// What came of one step of removal. The variants stand in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removal {
    /// The day is not past its age by the store's clock. Nothing was removed.
    TooYoung,
    /// So many events were counted and removed; fewer than the limit means that none is left.
    Removed(u64),
}

/// How many events of a day, a type, a status and an audience were removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct DailyCount {
    /// When they happened.
    pub day: Day,
    /// What happened.
    pub kind: EventType,
    /// What an event of that type says of its build.
    pub status: &'static str,
    /// Who saw them.
    pub user_visible: bool,
    /// How many.
    pub events: u64,
}

impl DailyCount {
    /// `events` events of one day, type and audience.
    #[must_use]
    pub fn new(day: Day, kind: EventType, visibility: Visibility, events: u64) -> Self {
        Self {
            day,
            status: status_of(&kind).as_str(),
            kind,
            user_visible: visibility == Visibility::User,
            events,
        }
    }
}

/// The status that an event of this type tells (wire.md §7).
pub(super) fn status_of(kind: &EventType) -> EventStatus {
    EventStatus::decided_by(kind).unwrap_or(EventStatus::Building)
}

/// How far a run is. It is told before the first step and after each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The day that is being removed; the last one once all is done.
    pub day: Day,
    /// The events removed by this run.
    pub removed: u64,
    /// How many there were to remove when it began. Another run at the same time takes of them too.
    pub due: u64,
}

/// What came of a run. The variants stand in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetentionOutcome {
    /// It would have taken over half of all events and was not told to. Nothing was removed.
    OverHalf {
        /// How many are past their age.
        due: u64,
        /// How many there are.
        total: u64,
    },
    /// All that was past its age is gone.
    Done {
        /// The events removed by this run.
        removed: u64,
    },
}
