//! What decisions are made from, and what they change.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sheen_core::id::{OperationId, PaymentId, ProjectId, ReservationId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::{Day, Timestamp};

use super::super::ledger::{Entry, Totals};
use super::super::refund::{RefundOf, Refunded};
use super::super::types::{Committed, Overage, Released, Reserved, Terms};
use super::credit::Payment;
use super::sums::{Buckets, Slices};

/// The fixed-size part of an account: one row of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Head {
    /// Whether the first touch was.
    pub welcomed: bool,
    /// The last day whose gift was given. It never goes back, so a clock that does gives nothing.
    pub gift_day: Option<Day>,
    /// The day that `used_today` and the reserved sums are of. It never goes back.
    pub day: Option<Day>,
    /// Charged on `day`.
    pub used_today: Seconds,
    /// Held and charged by holds reserved on `day`.
    pub reserved_today: Seconds,
    /// The sums per bucket.
    pub buckets: Buckets,
    /// The number of the last entry.
    pub last_entry: u64,
}

/// A hold and which slices fund it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hold {
    /// Its id.
    pub reservation: ReservationId,
    /// For which project.
    pub project: Option<ProjectId>,
    /// What was reserved.
    pub seconds: Seconds,
    /// The day it was reserved on, whose gift its gift slice is of.
    pub day: Day,
    /// What a commit of more than it holds does.
    pub overage: Overage,
    /// The tables it was quoted by.
    pub terms: Option<Terms>,
    /// What its commit took beyond it of the gift of a later day than its own.
    pub late_gift: Option<LateGift>,
    /// Where it stands.
    pub state: HoldState,
}

/// Seconds of the gift of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to add to it")]
pub struct LateGift {
    /// Whose gift.
    pub day: Day,
    /// How many of it.
    pub seconds: Seconds,
}

impl Hold {
    /// A hold of `seconds` for no project, topped up by a commit of more.
    #[must_use]
    pub const fn new(
        reservation: ReservationId,
        seconds: Seconds,
        day: Day,
        state: HoldState,
    ) -> Self {
        Self {
            reservation,
            project: None,
            seconds,
            day,
            overage: Overage::TopUp,
            terms: None,
            late_gift: None,
            state,
        }
    }

    /// What of a refund of `part` gift seconds, after `refunded` of them, is of a gift that is not
    /// over on `today`. What a commit took late is refunded first: it lasts longer.
    pub(super) fn living_gift(&self, refunded: Seconds, part: Seconds, today: Day) -> Seconds {
        let (late_day, late) = match self.late_gift {
            Some(late) => (late.day, late.seconds.saturating_sub(refunded).min(part)),
            None => (self.day, Seconds::ZERO),
        };
        let held = part.saturating_sub(late);
        let void = |day: Day, seconds| if day == today { Seconds::ZERO } else { seconds };
        part.saturating_sub(void(late_day, late))
            .saturating_sub(void(self.day, held))
    }
}

/// Where a hold stands. Only an open one has seconds and an expiry: an ended one keeps nothing
/// that could be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoldState {
    /// It holds seconds.
    Open {
        /// Which.
        slices: Slices,
        /// From when on it is expired.
        expires_at: Timestamp,
    },
    /// It was charged.
    Committed {
        /// From which buckets.
        charged: Slices,
        /// What of that was refunded.
        refunded: Slices,
    },
    /// It was given back.
    Released,
    /// It lapsed.
    Expired,
}

/// What a reserve asked, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReserveRecord {
    /// How many seconds were asked for.
    pub seconds: Seconds,
    /// For which project.
    pub project: Option<ProjectId>,
    /// For how long, clamped.
    pub ttl: Duration,
    /// What a commit of more does.
    pub overage: Overage,
    /// The tables it was quoted by.
    pub terms: Option<Terms>,
    /// The answer as it was given.
    pub answer: Reserved,
}

impl ReserveRecord {
    /// A reserve of `seconds` for no project, and its answer.
    #[must_use]
    pub const fn new(seconds: Seconds, ttl: Duration, answer: Reserved) -> Self {
        Self {
            seconds,
            project: None,
            ttl,
            overage: Overage::TopUp,
            terms: None,
            answer,
        }
    }
}

/// What a commit asked, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitRecord {
    /// How many seconds were used.
    pub seconds: Seconds,
    /// The answer as it was given; it names the hold that was asked for.
    pub answer: Committed,
}

impl CommitRecord {
    /// A commit of `seconds`, and its answer.
    #[must_use]
    pub const fn new(seconds: Seconds, answer: Committed) -> Self {
        Self { seconds, answer }
    }
}

/// What a refund asked, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefundRecord {
    /// What it undid.
    pub of: RefundOf,
    /// The answer as it was given; it says how many seconds were asked for.
    pub answer: Refunded,
}

impl RefundRecord {
    /// A refund of `of`, and its answer.
    #[must_use]
    pub const fn new(of: RefundOf, answer: Refunded) -> Self {
        Self { of, answer }
    }
}

/// An operation id that was used, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// By a reserve.
    Reserve(OperationId, ReserveRecord),
    /// By a commit.
    Commit(OperationId, CommitRecord),
    /// By a release. The answer names the hold that was asked for.
    Release(OperationId, Released),
    /// By a refund.
    Refund(OperationId, RefundRecord),
}

/// What a step writes, as data: an adapter inserts `entries` and the record, replaces the holds
/// and project sums named, replaces the head, and moves the version on, if the version still is
/// `version`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The version of the account that this was decided from.
    pub version: u64,
    /// The head as it becomes.
    pub head: Head,
    /// Entries to insert, their numbers following the last one without a gap.
    pub entries: Vec<Entry>,
    /// Holds as they become, new ones among them. One may stand here twice; the last counts.
    pub holds: Vec<Hold>,
    /// What projects' holds of `head.day` hold or charged, as it becomes. Sums of an earlier day
    /// are void.
    pub projects: BTreeMap<ProjectId, Seconds>,
    /// The operation id used up by the step.
    pub record: Option<Record>,
    /// A payment as it becomes, a new one among them.
    pub payment: Option<(PaymentId, Payment)>,
}

/// A change that was decided from another version of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the account moved on from version {decided} to {found}")]
#[non_exhaustive]
pub struct StaleChange {
    /// The version it was decided from.
    pub decided: u64,
    /// The version there is.
    pub found: u64,
}

/// An account as decisions see it: its head, its holds, and the operations done.
///
/// An adapter need not load all: the lapsed holds, the hold and the record that the command names,
/// the sums of the projects concerned, and [how many more](Self::put_unlisted) holds are open, are
/// enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    user: UserId,
    version: u64,
    head: Head,
    pub(super) holds: BTreeMap<ReservationId, Hold>,
    pub(super) open: BTreeSet<(Timestamp, ReservationId)>,
    pub(super) unlisted: usize,
    pub(super) unlisted_until: Option<Timestamp>,
    projects: BTreeMap<ProjectId, Seconds>,
    pub(super) reserves: BTreeMap<OperationId, ReserveRecord>,
    pub(super) commits: BTreeMap<OperationId, CommitRecord>,
    pub(super) releases: BTreeMap<OperationId, Released>,
    pub(super) refunds: BTreeMap<OperationId, RefundRecord>,
}

impl Account {
    /// The most holds that may be open at once, whatever
    /// [the policy](crate::account::CreditPolicy::max_open_holds) allows.
    pub const MAX_OPEN_HOLDS: usize = 10_000;

    /// An account that nobody touched yet.
    #[must_use]
    pub const fn untouched(user: UserId) -> Self {
        Self::load(
            user,
            0,
            Head {
                welcomed: false,
                gift_day: None,
                day: None,
                used_today: Seconds::ZERO,
                reserved_today: Seconds::ZERO,
                buckets: Buckets {
                    daily_gift: Totals::NONE,
                    welcome_bonus: Totals::NONE,
                    paid: Totals::NONE,
                },
                last_entry: 0,
            },
        )
    }

    /// An account as an adapter stored it; holds, records and project sums are added after.
    #[must_use]
    pub const fn load(user: UserId, version: u64, head: Head) -> Self {
        Self {
            user,
            version,
            head,
            holds: BTreeMap::new(),
            open: BTreeSet::new(),
            unlisted: 0,
            unlisted_until: None,
            projects: BTreeMap::new(),
            reserves: BTreeMap::new(),
            commits: BTreeMap::new(),
            releases: BTreeMap::new(),
            refunds: BTreeMap::new(),
        }
    }

    /// Adds a hold, or replaces it.
    pub fn put_hold(&mut self, hold: Hold) {
        let id = hold.reservation.clone();
        if let HoldState::Open { expires_at, .. } = hold.state {
            self.open.insert((expires_at, id.clone()));
        }
        let new_expiry = hold.state.expires_at();
        let old = self.holds.insert(id.clone(), hold);
        if let Some(expires_at) = old.and_then(|old| old.state.expires_at())
            && Some(expires_at) != new_expiry
        {
            self.open.remove(&(expires_at, id));
        }
    }

    /// Adds a used operation id.
    pub fn put_record(&mut self, record: Record) {
        match record {
            Record::Reserve(operation, record) => {
                self.reserves.insert(operation, record);
            }
            Record::Commit(operation, record) => {
                self.commits.insert(operation, record);
            }
            Record::Release(operation, answer) => {
                self.releases.insert(operation, answer);
            }
            Record::Refund(operation, record) => {
                self.refunds.insert(operation, record);
            }
        }
    }

    /// Sets what a project's holds of the head's day hold or charged.
    pub fn put_project(&mut self, project: ProjectId, reserved: Seconds) {
        self.projects.insert(project, reserved);
    }

    /// Applies a change that was decided from this account, and moves its version on. The entries
    /// are the adapter's to keep.
    ///
    /// # Errors
    /// When it was decided from another version; nothing is written then.
    pub fn apply(&mut self, change: &Change) -> Result<(), StaleChange> {
        if change.version != self.version {
            return Err(StaleChange {
                decided: change.version,
                found: self.version,
            });
        }
        if change.head.day != self.head.day {
            self.projects.clear();
        }
        for hold in &change.holds {
            self.put_hold(hold.clone());
        }
        for (project, reserved) in &change.projects {
            self.projects.insert(project.clone(), *reserved);
        }
        if let Some(record) = &change.record {
            self.put_record(record.clone());
        }
        self.head = change.head;
        self.version += 1;
        Ok(())
    }

    /// Whose it is.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// How often it was changed.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Its fixed-size part, as written.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// One of its holds, as written: it may have lapsed since.
    #[must_use]
    pub fn hold(&self, reservation: &ReservationId) -> Option<&Hold> {
        self.holds.get(reservation)
    }

    /// Its holds, ended ones among them, as written.
    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values()
    }

    /// How many holds are open, lapsed but unswept ones and unlisted ones counted.
    #[must_use]
    pub fn open_holds(&self) -> usize {
        self.open.len().saturating_add(self.unlisted)
    }

    /// Open holds whose expiry is not after `now`, oldest expiry first.
    pub(super) fn lapsed(&self, now: Timestamp) -> impl Iterator<Item = &Hold> {
        self.open
            .iter()
            .take_while(move |(expires_at, _)| *expires_at <= now)
            .filter_map(|(_, id)| self.holds.get(id))
    }

    /// What a project's holds of the head's day hold or charged.
    #[must_use]
    pub fn project(&self, project: &ProjectId) -> Seconds {
        self.projects.get(project).copied().unwrap_or_default()
    }

    /// The reserve that used this operation id.
    #[must_use]
    pub fn reserved(&self, operation: &OperationId) -> Option<&ReserveRecord> {
        self.reserves.get(operation)
    }

    /// The commit that used this operation id.
    #[must_use]
    pub fn committed(&self, operation: &OperationId) -> Option<&CommitRecord> {
        self.commits.get(operation)
    }

    /// The answer of the release that used this operation id.
    #[must_use]
    pub fn released(&self, operation: &OperationId) -> Option<&Released> {
        self.releases.get(operation)
    }

    /// The refund that used this operation id.
    #[must_use]
    pub fn refunded(&self, operation: &OperationId) -> Option<&RefundRecord> {
        self.refunds.get(operation)
    }
}

impl HoldState {
    /// From when on it is expired, while it is open.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Open { expires_at, .. } => Some(*expires_at),
            Self::Committed { .. } | Self::Released | Self::Expired => None,
        }
    }
}
