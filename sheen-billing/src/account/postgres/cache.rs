//! What a process remembers of accounts, so that the usual step is one round trip.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sheen_core::id::{ReservationId, UserId};

use crate::account::decide::Account;

/// How many accounts are remembered. One forgotten costs a statement more.
const ACCOUNTS: usize = 16_384;
/// How many open holds are remembered, over all accounts.
const HOLDS: usize = 262_144;

/// What is known of an account.
#[derive(Debug, Default)]
pub(super) enum Known {
    /// Nothing: assumed absent, so that a new account's first step is one statement.
    #[default]
    Unseen,
    /// It is there, but not as it was remembered.
    Lost,
    /// As it was when this process last saw it.
    As(Box<Account>),
}

/// One account's place. Who works on the account holds it, so the steps of one process queue here
/// and do not miss one another's versions in the database.
pub(super) type Slot = Arc<tokio::sync::Mutex<Known>>;

#[derive(Debug, Default)]
struct Place {
    slot: Slot,
    used: u64,
    holds: usize,
}

#[derive(Debug, Default)]
struct Places {
    accounts: BTreeMap<UserId, Place>,
    /// Accounts by when they were last used.
    order: BTreeMap<u64, UserId>,
    clock: u64,
    holds: usize,
    holders: BTreeMap<ReservationId, UserId>,
    /// Holds in the order in which they came to be known.
    known: VecDeque<ReservationId>,
}

#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Places>);

impl Cache {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of an account, which becomes the one used last.
    pub(super) fn slot(&self, user: &UserId) -> Slot {
        let mut places = self.places();
        places.touch(user);
        let slot = places
            .accounts
            .entry(user.clone())
            .or_default()
            .slot
            .clone();
        places.shrink(user);
        slot
    }

    /// Says how many holds of an account are remembered, and which came with the last step.
    pub(super) fn note<'a>(
        &self,
        user: &UserId,
        holds: usize,
        made: impl Iterator<Item = &'a ReservationId>,
    ) {
        let mut places = self.places();
        let places = &mut *places;
        if let Some(place) = places.accounts.get_mut(user) {
            places.holds = places
                .holds
                .saturating_sub(place.holds)
                .saturating_add(holds);
            place.holds = holds;
        }
        for reservation in made {
            if places
                .holders
                .insert(reservation.clone(), user.clone())
                .is_none()
            {
                places.known.push_back(reservation.clone());
            }
        }
        while places.known.len() > HOLDS {
            if let Some(oldest) = places.known.pop_front() {
                places.holders.remove(&oldest);
            }
        }
        places.shrink(user);
    }

    /// Whose hold this is, where that is remembered.
    pub(super) fn holder(&self, reservation: &ReservationId) -> Option<UserId> {
        self.places().holders.get(reservation).cloned()
    }
}

impl Places {
    fn touch(&mut self, user: &UserId) {
        self.clock += 1;
        let used = self.clock;
        let place = self.accounts.entry(user.clone()).or_default();
        let before = std::mem::replace(&mut place.used, used);
        self.order.remove(&before);
        self.order.insert(used, user.clone());
    }

    /// Forgets the accounts used longest ago, never `but`, until the rest fits.
    fn shrink(&mut self, but: &UserId) {
        while self.accounts.len() > ACCOUNTS || self.holds > HOLDS {
            let Some((used, user)) = self.order.pop_first() else {
                return;
            };
            if user == *but {
                self.order.insert(used, user);
                return;
            }
            if let Some(place) = self.accounts.remove(&user) {
                self.holds = self.holds.saturating_sub(place.holds);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: usize) -> UserId {
        UserId::parse(&format!("u{n}")).unwrap()
    }

    #[test]
    fn accounts_used_longest_ago_are_forgotten_first() {
        let cache = Cache::default();
        let first = cache.slot(&user(0));
        for n in 1..ACCOUNTS {
            cache.slot(&user(n));
        }
        assert!(Arc::ptr_eq(&first, &cache.slot(&user(0))), "used again");
        cache.slot(&user(ACCOUNTS));
        assert!(Arc::ptr_eq(&first, &cache.slot(&user(0))));
        let places = cache.places();
        assert_eq!(places.accounts.len(), ACCOUNTS);
        assert_eq!(places.order.len(), ACCOUNTS);
        assert!(!places.accounts.contains_key(&user(1)));
    }

    #[test]
    fn holds_are_bounded_over_all_accounts() {
        let cache = Cache::default();
        let hold = |n: usize| ReservationId::parse(&format!("res_{n}")).unwrap();
        for n in 0..3 {
            cache.slot(&user(n));
            cache.note(&user(n), HOLDS / 2, std::iter::empty());
        }
        assert_eq!(cache.places().holds, HOLDS / 2 * 2);
        assert!(!cache.places().accounts.contains_key(&user(0)));
        for n in 0..=HOLDS {
            cache.note(&user(2), 1, std::iter::once(&hold(n)));
        }
        assert_eq!(cache.holder(&hold(0)), None);
        assert_eq!(cache.holder(&hold(1)), Some(user(2)));
        assert_eq!(cache.places().holders.len(), HOLDS);
    }
}
