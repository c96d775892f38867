//! For how long a decision would come out the same.

use std::time::Duration;

use sheen_core::time::Timestamp;

use super::state::Account;

/// The instants, `[from, until)`, at which the same steps over the same account are decided the
/// same way, but for instants that count from now. No day begins within it and no hold lapses.
///
/// An adapter that decides by an estimate of its store's clock compares the clock itself, under
/// the lock, with this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
}

impl Window {
    /// Around `now`. It does not contain `now` when a hold that is not listed may have lapsed.
    #[must_use]
    pub fn around(account: &Account, now: Timestamp) -> Self {
        let day = now.day();
        let (lapsed, next) = account.deadlines_around(now);
        let until = next.map_or(day.end(), |next| next.min(day.end()));
        Self {
            from: lapsed.map_or(day.start(), |lapsed| lapsed.max(day.start())),
            until,
        }
    }

    /// The same, for an extension by `ttl` of a hold that would lapse at `expires_at`, decided at
    /// `now`: whether the new expiry counts from now must come out the same too. Tells whether it
    /// does.
    pub fn extend(&mut self, expires_at: Timestamp, now: Timestamp, ttl: Duration) -> bool {
        let turns = expires_at.minus(ttl);
        let counts_from_now = now >= turns;
        if counts_from_now {
            self.from = self.from.max(turns);
        } else {
            self.until = self.until.min(turns);
        }
        counts_from_now
    }

    /// Whether `now` is in it.
    #[must_use]
    pub fn contains(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

#[cfg(test)]
mod tests {
    use sheen_core::id::{ReservationId, UserId};
    use sheen_core::seconds::Seconds;
    use sheen_core::time::Day;

    use super::super::{Hold, HoldState, Slices};
    use super::*;

    const DAY: Day = Day::from_number(10);

    fn at(seconds: u64) -> Timestamp {
        DAY.start().plus(Duration::from_secs(seconds))
    }

    /// Holds that lapse at 100 and 200 s of the day.
    fn account() -> Account {
        let mut account = Account::untouched(UserId::parse("ada").unwrap());
        for seconds in [100, 200] {
            let id = ReservationId::parse(&format!("res_{seconds}")).unwrap();
            let (slices, expires_at) = (Slices::default(), at(seconds));
            let open = HoldState::Open { slices, expires_at };
            account.put_hold(Hold::new(id, Seconds::ZERO, DAY, open));
        }
        account
    }

    #[test]
    fn a_window_ends_where_a_hold_lapses_or_a_day_begins() {
        let window = |now| {
            let window = Window::around(&account(), now);
            assert!(window.contains(now) && !window.contains(window.until));
            (window.from, window.until)
        };
        assert_eq!(window(at(0)), (at(0), at(100)));
        assert_eq!(window(at(100)), (at(100), at(200)));
        assert_eq!(window(at(199)), (at(100), at(200)));
        assert_eq!(window(at(200)), (at(200), DAY.end()));
        assert_eq!(window(DAY.end()), (DAY.end(), DAY.end().day().end()));
    }

    #[test]
    fn a_hold_that_is_not_listed_may_have_lapsed() {
        let mut account = account();
        account.put_unlisted(1, Some(at(50)));
        assert_eq!(Window::around(&account, at(10)).until, at(50));
        assert!(!Window::around(&account, at(50)).contains(at(50)));
        account.put_unlisted(0, Some(at(50)));
        assert!(Window::around(&account, at(50)).contains(at(50)));
    }

    #[test]
    fn an_extension_counts_from_now_or_leaves_the_expiry_as_it_is() {
        let now = at(30);
        let extended = |ttl| {
            let mut window = Window::around(&account(), now);
            let counts = window.extend(at(100), now, Duration::from_secs(ttl));
            (counts, window.from, window.until)
        };
        assert_eq!(extended(70), (true, at(30), at(100)));
        assert_eq!(extended(90), (true, at(10), at(100)));
        assert_eq!(extended(69), (false, at(0), at(31)));
    }
}
