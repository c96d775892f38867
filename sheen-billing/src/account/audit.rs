//! Whether an account's figures are what its entries and holds give.

use std::collections::BTreeMap;

use sheen_core::id::UserId;
use sheen_core::seconds::Seconds;

use super::decide::{Head, Slices};
use super::ledger::{Place, Totals};
use super::types::Bucket;

/// A figure of an account that its entries or holds do not give.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drift {
    /// Whose account.
    pub user: UserId,
    /// Which figure.
    pub figure: Figure,
    /// What the account says.
    pub stored: u64,
    /// What its entries or holds give.
    pub found: u64,
}

/// A figure of a balance that is kept, though it could be computed. The sums of the caps, which the
/// next day forgets, and what was refunded of a charge or purchase, which the rows themselves bound,
/// are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Figure {
    /// The seconds of a bucket in a place, which the entries give.
    Sum(Bucket, Place),
    /// The seconds of a bucket in holds, which the open holds give.
    Held(Bucket),
    /// How many holds are open.
    OpenHolds,
    /// The number of the last entry, which is how many there are and the greatest of their numbers.
    LastEntry,
}

/// What came of looking at a page of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Audit {
    /// How many accounts were looked at.
    pub accounts: u32,
    /// The last of them, when there may be more: the next page begins after it.
    pub next: Option<UserId>,
    /// What did not agree; nothing when all did.
    pub drifts: Vec<Drift>,
}

/// What an account's entries and holds say, as an adapter summed them up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Books {
    /// How many seconds of a bucket were moved from one place to another in all.
    pub moved: Vec<(Bucket, Place, Place, u64)>,
    /// How many entries there are.
    pub entries: u64,
    /// The greatest of their numbers.
    pub last_number: u64,
    /// The seconds of open holds.
    pub held: Slices,
    /// How many holds are open.
    pub open_holds: u64,
}

impl Books {
    /// Names every figure of the account that these books do not give; an account that is not
    /// there has none, so all that its books give is drift.
    #[must_use]
    pub fn compare(&self, user: &UserId, head: &Head, open_holds: u64) -> Vec<Drift> {
        let mut drifts = Vec::new();
        let mut compare = |figure, stored, found| {
            if stored != found {
                drifts.push(Drift {
                    user: user.clone(),
                    figure,
                    stored,
                    found,
                });
            }
        };
        let sums = self.sums();
        for bucket in Bucket::ALL {
            let stored = head.buckets.of(bucket);
            for (place, stored) in places(stored) {
                let found = sums.get(&(bucket, place as u8)).copied().unwrap_or(0);
                let found = u64::try_from(found).unwrap_or(u64::MAX);
                compare(Figure::Sum(bucket, place), stored.get(), found);
            }
            let held = self.held.of(bucket).get();
            compare(Figure::Held(bucket), stored.held.get(), held);
        }
        compare(Figure::OpenHolds, open_holds, self.open_holds);
        // Where the count is right one may still be missing, and another be past the last.
        let last_entry = match self.entries == head.last_entry {
            true => self.last_number,
            false => self.entries,
        };
        compare(Figure::LastEntry, head.last_entry, last_entry);
        drifts
    }

    /// Seconds by bucket and place. A place that would be below none is not clamped.
    fn sums(&self) -> BTreeMap<(Bucket, u8), i128> {
        let mut sums = BTreeMap::new();
        for (bucket, from, to, seconds) in &self.moved {
            // What was granted counts up: it is what ever came from outside.
            let sign = if *from == Place::Granted { 1 } else { -1 };
            *sums.entry((*bucket, *from as u8)).or_insert(0) += sign * i128::from(*seconds);
            *sums.entry((*bucket, *to as u8)).or_insert(0) += i128::from(*seconds);
        }
        sums
    }
}

const fn places(sums: &Totals) -> [(Place, Seconds); 5] {
    [
        (Place::Granted, sums.granted),
        (Place::Available, sums.available),
        (Place::Held, sums.held),
        (Place::Charged, sums.charged),
        (Place::Breakage, sums.breakage),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIFT: Bucket = Bucket::DailyGift;

    fn books() -> Books {
        let mut books = Books {
            moved: vec![
                (GIFT, Place::Granted, Place::Available, 100),
                (GIFT, Place::Available, Place::Held, 30),
            ],
            entries: 2,
            last_number: 2,
            open_holds: 1,
            ..Books::default()
        };
        books.held.daily_gift = Seconds::from_u32(30);
        books
    }

    fn head() -> Head {
        let mut head = Head::default();
        head.buckets.daily_gift.granted = Seconds::from_u32(100);
        head.buckets.daily_gift.available = Seconds::from_u32(70);
        head.buckets.daily_gift.held = Seconds::from_u32(30);
        head.last_entry = 2;
        head
    }

    #[test]
    fn books_that_agree_have_no_drift_and_each_figure_that_does_not_is_named() {
        let user = UserId::parse("ada").unwrap();
        assert_eq!(books().compare(&user, &head(), 1), []);
        let named = |books: &Books, head: &Head, open| -> Vec<(Figure, u64, u64)> {
            let drifts = books.compare(&user, head, open).into_iter();
            drifts.map(|it| (it.figure, it.stored, it.found)).collect()
        };
        assert_eq!(named(&books(), &head(), 2), [(Figure::OpenHolds, 2, 1)]);
        let mut other = head();
        other.last_entry = 3;
        assert_eq!(named(&books(), &other, 1), [(Figure::LastEntry, 3, 2)]);
        let mut gap = books();
        gap.last_number = 3;
        assert_eq!(named(&gap, &head(), 1), [(Figure::LastEntry, 2, 3)]);
        let mut other = head();
        other.buckets.daily_gift.available = Seconds::from_u32(71);
        let wanted = [(Figure::Sum(GIFT, Place::Available), 71, 70)];
        assert_eq!(named(&books(), &other, 1), wanted);
        let mut fewer = books();
        fewer.held.daily_gift = Seconds::ZERO;
        assert_eq!(named(&fewer, &head(), 1), [(Figure::Held(GIFT), 30, 0)]);
        let mut below = books();
        below.moved.remove(0);
        let found = named(&below, &head(), 1);
        assert_eq!(found[0], (Figure::Sum(GIFT, Place::Granted), 100, 0));
        assert_eq!(
            found[1],
            (Figure::Sum(GIFT, Place::Available), 70, u64::MAX)
        );
    }
}
