//! Accounts of which an adapter loaded no more than a step needs.

use sheen_core::id::ReservationId;
use sheen_core::time::Timestamp;

use super::state::{Account, Hold};

impl Account {
    /// Says that `more` holds are open beside those added, and that none of them lapses before
    /// `until`.
    pub const fn put_unlisted(&mut self, more: usize, until: Option<Timestamp>) {
        self.unlisted = more;
        self.unlisted_until = until;
    }

    /// Forgets a hold that has ended; an open one stays. A step that names it must add it again.
    pub fn forget_ended(&mut self, reservation: &ReservationId) {
        let ended = |hold: &Hold| hold.state.expires_at().is_none();
        if self.holds.get(reservation).is_some_and(ended) {
            self.holds.remove(reservation);
        }
    }

    /// Forgets every used operation id. A step that names one must add it again.
    pub fn forget_records(&mut self) {
        self.reserves.clear();
        self.commits.clear();
        self.releases.clear();
        self.refunds.clear();
    }

    /// How many open holds are listed here.
    #[must_use]
    pub fn listed_holds(&self) -> usize {
        self.open.len()
    }

    /// The last expiry that has come by `now`, and the first that has not; that of an unlisted
    /// hold may already have come.
    pub(super) fn deadlines_around(
        &self,
        now: Timestamp,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let mut lapsed = None;
        let mut next = None;
        for (expires_at, _) in &self.open {
            if *expires_at > now {
                next = Some(*expires_at);
                break;
            }
            lapsed = Some(*expires_at);
        }
        let unlisted = self.unlisted_until.filter(|_| self.unlisted > 0);
        (lapsed, [next, unlisted].into_iter().flatten().min())
    }
}
