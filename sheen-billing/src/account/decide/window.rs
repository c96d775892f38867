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
