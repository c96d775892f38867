//! The ledger's words: places, entries, sums, and the policy that feeds accounts.

use serde::{Deserialize, Serialize};
use sheen_core::id::{EntryId, ReservationId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

use super::types::Bucket;

/// Where seconds stand. An entry moves them from one place to another, so that every change is a
/// balanced double entry by its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "conservation is stated over these five"
)]
pub enum Place {
    /// Outside: what was ever granted came from here.
    Granted,
    /// In a bucket, free to be reserved.
    Available,
    /// In a hold.
    Held,
    /// Used.
    Charged,
    /// Void: a gift that nobody used in its day, a purchase whose money went back.
    Breakage,
}

/// What an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryKind {
    /// The gift of a day.
    DailyGift,
    /// The welcome bonus.
    WelcomeBonus,
    /// A purchase.
    Purchase,
    /// Seconds put into a hold.
    Reserve,
    /// Seconds of a hold that were used, or charged beyond it.
    Commit,
    /// Seconds of a hold that went back.
    Release,
    /// Seconds of a hold that went back because it lapsed.
    Expire,
    /// Seconds of a gift that became void.
    Breakage,
    /// Seconds given back of what was charged.
    Refund,
    /// Seconds taken back of what was bought.
    Reversal,
}

/// One double entry: `seconds` of `bucket` moved `from` one place `to` another. Entries are never
/// changed and never removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its id, derived from the account and its number there.
    pub id: EntryId,
    /// Its number in the account, from 1, without gaps.
    pub number: u64,
    /// What it records.
    pub kind: EntryKind,
    /// Which bucket's seconds.
    pub bucket: Bucket,
    /// Where they were.
    pub from: Place,
    /// Where they are.
    pub to: Place,
    /// How many, at least one.
    pub seconds: Seconds,
    /// The hold, where one is concerned.
    pub reservation: Option<ReservationId>,
    /// The operation or payment that caused it, where one did.
    pub operation: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

impl Entry {
    /// An entry that no hold and no operation caused; its id is derived from the account and its
    /// number.
    #[must_use]
    pub fn new(
        user: &UserId,
        number: u64,
        kind: EntryKind,
        bucket: Bucket,
        (from, to): (Place, Place),
        seconds: Seconds,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id: Self::id_of(user, number),
            number,
            kind,
            bucket,
            from,
            to,
            seconds,
            reservation: None,
            operation: None,
            created_at,
        }
    }

    /// The id of the entry `number` of an account, there or not.
    #[must_use]
    pub fn id_of(user: &UserId, number: u64) -> EntryId {
        EntryId::derive(&["entry", user.as_str(), &number.to_string()])
    }
}

/// How accounts are fed and bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreditPolicy {
    /// The gift of each day; none when zero.
    pub daily_gift: Seconds,
    /// The welcome bonus of each account; none when zero.
    pub welcome_bonus: Seconds,
    /// The most that a user may reserve in a UTC day; no cap when `None`.
    pub user_daily_cap: Option<Seconds>,
    /// The most that may be reserved for a project in a UTC day; no cap when `None`.
    pub project_daily_cap: Option<Seconds>,
    /// The most holds that an account may have open at once; more than
    /// [`Account::MAX_OPEN_HOLDS`](super::decide::Account::MAX_OPEN_HOLDS) is that. All of them may
    /// lapse at once, and the account's next step ends them all.
    pub max_open_holds: u32,
}

impl Default for CreditPolicy {
    /// 15 minutes a day, half an hour to begin with, no caps, 1,000 open holds.
    fn default() -> Self {
        Self {
            daily_gift: Seconds::from_u32(900),
            welcome_bonus: Seconds::from_u32(1800),
            user_daily_cap: None,
            project_daily_cap: None,
            max_open_holds: 1_000,
        }
    }
}

/// The sums of an account or a bucket: `granted = available + held + charged + breakage`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Totals {
    /// What ever came in: gifts, the bonus, purchases, and what refunds of charges gave back. Such
    /// a refund is a grant of its own, so after it this is more than was given and bought; what was
    /// refunded net of it is the sum of the entries of [`EntryKind::Refund`].
    pub granted: Seconds,
    /// What can be reserved.
    pub available: Seconds,
    /// What is in holds.
    pub held: Seconds,
    /// What was ever used. A refund leaves it as it is.
    pub charged: Seconds,
    /// What became void: gifts of which the day is over, and purchases that were refunded.
    pub breakage: Seconds,
}

/// The sums over all accounts, each of which may have [`Seconds::MAX`] of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LedgerTotals {
    /// The sum of [`Totals::granted`], in seconds.
    pub granted: u128,
    /// The sum of [`Totals::available`], in seconds.
    pub available: u128,
    /// The sum of [`Totals::held`], in seconds.
    pub held: u128,
    /// The sum of [`Totals::charged`], in seconds.
    pub charged: u128,
    /// The sum of [`Totals::breakage`], in seconds.
    pub breakage: u128,
}

impl LedgerTotals {
    /// Whether nothing was lost and nothing made: granted = available + held + charged + breakage.
    #[must_use]
    pub const fn is_conserved(&self) -> bool {
        let known = self.available.saturating_add(self.held);
        let spent = self.charged.saturating_add(self.breakage);
        self.granted == known.saturating_add(spent)
    }
}

impl std::ops::AddAssign<&Totals> for LedgerTotals {
    /// Adds an account. 2^75 of them would be needed to leave the range, which would be told as
    /// the most there can be.
    fn add_assign(&mut self, account: &Totals) {
        for (sum, seconds) in [
            (&mut self.granted, account.granted),
            (&mut self.available, account.available),
            (&mut self.held, account.held),
            (&mut self.charged, account.charged),
            (&mut self.breakage, account.breakage),
        ] {
            *sum = sum.saturating_add(u128::from(seconds.get()));
        }
    }
}

impl Totals {
    pub(crate) const NONE: Self = Self {
        granted: Seconds::ZERO,
        available: Seconds::ZERO,
        held: Seconds::ZERO,
        charged: Seconds::ZERO,
        breakage: Seconds::ZERO,
    };

    /// The sums of both, unless one is out of range.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        Some(Self {
            granted: self.granted.checked_add(other.granted)?,
            available: self.available.checked_add(other.available)?,
            held: self.held.checked_add(other.held)?,
            charged: self.charged.checked_add(other.charged)?,
            breakage: self.breakage.checked_add(other.breakage)?,
        })
    }

    /// Whether nothing was lost and nothing made: granted = available + held + charged + breakage.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        self.available
            .checked_add(self.held)
            .and_then(|sum| sum.checked_add(self.charged))
            .and_then(|sum| sum.checked_add(self.breakage))
            == Some(self.granted)
    }
}

impl Totals {
    const fn at(&mut self, place: Place) -> &mut Seconds {
        match place {
            Place::Granted => &mut self.granted,
            Place::Available => &mut self.available,
            Place::Held => &mut self.held,
            Place::Charged => &mut self.charged,
            Place::Breakage => &mut self.breakage,
        }
    }

    /// Moves seconds as an entry does; `None`, and nothing moved, when a figure would leave its
    /// range. What comes from [`Place::Granted`] raises it: it counts what was ever given.
    pub(crate) fn shift(&mut self, from: Place, to: Place, seconds: Seconds) -> Option<()> {
        let mut moved = *self;
        let source = moved.at(from);
        *source = match from {
            Place::Granted => source.checked_add(seconds)?,
            _ => source.checked_sub(seconds)?,
        };
        let target = moved.at(to);
        *target = target.checked_add(seconds)?;
        *self = moved;
        Some(())
    }
}
