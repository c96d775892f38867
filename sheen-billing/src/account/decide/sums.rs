//! Seconds and sums by bucket.

use sheen_core::seconds::Seconds;

use super::super::ledger::Totals;
use super::super::types::Bucket;

/// Seconds by bucket, in the order of [`Bucket::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Slices {
    /// Of a day's gift.
    pub daily_gift: Seconds,
    /// Of the welcome bonus.
    pub welcome_bonus: Seconds,
    /// Of what was bought.
    pub paid: Seconds,
}

impl Slices {
    /// The seconds of one bucket.
    #[must_use]
    pub const fn of(&self, bucket: Bucket) -> Seconds {
        match bucket {
            Bucket::DailyGift => self.daily_gift,
            Bucket::WelcomeBonus => self.welcome_bonus,
            Bucket::Paid => self.paid,
        }
    }

    pub(crate) const fn of_mut(&mut self, bucket: Bucket) -> &mut Seconds {
        match bucket {
            Bucket::DailyGift => &mut self.daily_gift,
            Bucket::WelcomeBonus => &mut self.welcome_bonus,
            Bucket::Paid => &mut self.paid,
        }
    }

    /// What is left without `other`, unless that has more of a bucket.
    #[must_use]
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        Some(Self {
            daily_gift: self.daily_gift.checked_sub(other.daily_gift)?,
            welcome_bonus: self.welcome_bonus.checked_sub(other.welcome_bonus)?,
            paid: self.paid.checked_sub(other.paid)?,
        })
    }

    /// The sum, unless it is out of range.
    #[must_use]
    pub fn sum(&self) -> Option<Seconds> {
        self.daily_gift
            .checked_add(self.welcome_bonus)?
            .checked_add(self.paid)
    }
}

/// Sums per bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Buckets {
    /// The day's gift.
    pub daily_gift: Totals,
    /// The welcome bonus.
    pub welcome_bonus: Totals,
    /// What was bought.
    pub paid: Totals,
}

impl Buckets {
    /// The sums of one bucket.
    #[must_use]
    pub const fn of(&self, bucket: Bucket) -> &Totals {
        match bucket {
            Bucket::DailyGift => &self.daily_gift,
            Bucket::WelcomeBonus => &self.welcome_bonus,
            Bucket::Paid => &self.paid,
        }
    }

    pub(crate) const fn of_mut(&mut self, bucket: Bucket) -> &mut Totals {
        match bucket {
            Bucket::DailyGift => &mut self.daily_gift,
            Bucket::WelcomeBonus => &mut self.welcome_bonus,
            Bucket::Paid => &mut self.paid,
        }
    }

    /// The sums of all three, unless one is out of range.
    #[must_use]
    pub fn sum(&self) -> Option<Totals> {
        self.daily_gift
            .checked_add(&self.welcome_bonus)?
            .checked_add(&self.paid)
    }
}
