//! The places of a service: how many streams may be open, and each for how long at most.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So long after its end a stream's place is another's. A stream whose reader takes nothing is not
/// polled and cannot end itself.
const OVERDUE: Duration = Duration::from_secs(60);

/// When a stream ends, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    /// When it is too old, if all it has was sent.
    pub(super) aged_at: Duration,
    /// When it ends whatever it has, and its place may be given to another.
    pub(super) ends_by: Duration,
}

/// One of the places, until it is [left](Places::leave) or overdue.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) term: Term,
    number: u64,
}

#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    max_age: Duration,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// By when each ends.
    places: BTreeSet<(Duration, u64)>,
    opened: u64,
}

impl Places {
    pub(super) fn new(most: usize, max_age: Duration) -> Self {
        Self {
            most,
            max_age,
            taken: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place from `now` on, if there is one, for a stream whose token lasts for `token_left`.
    pub(super) fn take(&self, now: Duration, token_left: Option<Duration>) -> Option<Place> {
        let mut taken = self.lock();
        if taken.places.len() >= self.most {
            let overdue = taken.places.first().filter(|(by, _)| *by <= now).copied()?;
            taken.places.remove(&overdue);
        }
        let number = taken.opened;
        taken.opened += 1;
        let aged_at = now.saturating_add(self.age(number));
        let ends_at = token_left.map_or(aged_at, |left| aged_at.min(now.saturating_add(left)));
        let term = Term {
            aged_at,
            ends_by: ends_at.saturating_add(OVERDUE),
        };
        taken.places.insert((term.ends_by, number));
        Some(Place { term, number })
    }

    pub(super) fn leave(&self, place: &Place) {
        self.lock()
            .places
            .remove(&(place.term.ends_by, place.number));
    }

    pub(super) fn taken(&self) -> usize {
        self.lock().places.len()
    }

    /// How old a stream may become: spread over 20 % of the maximum to either side, evenly and
    /// without chance, by the golden ratio's multiples (D12).
    fn age(&self, number: u64) -> Duration {
        const GOLDEN: u32 = 2_654_435_769;
        let part = u32::try_from(number & 0xffff_ffff)
            .unwrap_or(0)
            .wrapping_mul(GOLDEN);
        let spread = self
            .max_age
            .mul_f64(0.4 * f64::from(part) / f64::from(u32::MAX));
        self.max_age.mul_f64(0.8).saturating_add(spread)
    }
}
