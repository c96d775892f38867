//! The outbox of a memory store of builds. It holds at most one entry a build and observer, so the
//! bounds of builds and observers are its own. Each step costs O(log n) a delivery.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::{LAPSED, Retry, decide_failed, kept, may_be_tried};
use super::types::{
    DeliveryLease, Hearing, LEASE, MAX_LEASED, MAX_OBSERVERS, PutBackOutcome, RegisterOutcome,
    ResolveOutcome, RetireOutcome,
};
use crate::id::{BuildId, ObserverId};
use crate::time::Timestamp;
use crate::token::FencingToken;

/// Who is to hear of what.
#[derive(Debug, Default)]
pub(in crate::build) struct OutboxState {
    observers: BTreeMap<ObserverId, Inbox>,
    /// Of the last delivery that was made.
    position: u64,
}

/// What one observer has yet to hear.
#[derive(Debug, Default)]
struct Inbox {
    deliveries: BTreeMap<BuildId, Entry>,
    due: BTreeMap<(Timestamp, u64), BuildId>,
    parked: BTreeMap<u64, BuildId>,
}

#[derive(Debug)]
struct Entry {
    position: u64,
    attempts: u32,
    token: FencingToken,
    /// When it may be leased; when it was parked.
    due: Timestamp,
    leased: bool,
    parked: bool,
    error: Option<Arc<str>>,
}

/// A parked delivery, but for its build's row.
pub(in crate::build) struct ParkedEntry {
    pub(in crate::build) position: u64,
    pub(in crate::build) build: BuildId,
    pub(in crate::build) attempts: u32,
    pub(in crate::build) error: Arc<str>,
    pub(in crate::build) parked_at: Timestamp,
}

impl Inbox {
    fn rest(&mut self, build: &BuildId, due: Timestamp) {
        if let Some(entry) = self.deliveries.get_mut(build) {
            self.due.remove(&(entry.due, entry.position));
            entry.due = due;
            self.due.insert((due, entry.position), build.clone());
        }
    }

    fn park(&mut self, build: &BuildId, now: Timestamp, error: &str) {
        if let Some(entry) = self.deliveries.get_mut(build) {
            self.due.remove(&(entry.due, entry.position));
            self.parked.insert(entry.position, build.clone());
            (entry.due, entry.leased, entry.parked) = (now, false, true);
            entry.error = Some(error.into());
        }
    }
}

impl OutboxState {
    /// Notes that a build ended: part of the step that ends it.
    pub(in crate::build) fn settled(&mut self, build: &BuildId, now: Timestamp) {
        for inbox in self.observers.values_mut() {
            self.position += 1;
            inbox.due.insert((now, self.position), build.clone());
            inbox.deliveries.insert(
                build.clone(),
                Entry {
                    position: self.position,
                    attempts: 0,
                    token: FencingToken::ZERO,
                    due: now,
                    leased: false,
                    parked: false,
                    error: None,
                },
            );
        }
    }

    pub(in crate::build) fn lease(
        &mut self,
        now: Timestamp,
        observer: &ObserverId,
        limit: u32,
    ) -> (Vec<DeliveryLease>, u32) {
        let Some(inbox) = self.observers.get_mut(observer) else {
            return (Vec::new(), 0);
        };
        let limit = usize::try_from(limit.min(MAX_LEASED)).unwrap_or(usize::MAX);
        let due: Vec<BuildId> = inbox
            .due
            .range(..=(now, u64::MAX))
            .take(limit)
            .map(|(_, build)| build.clone())
            .collect();
        let (mut leases, mut parked) = (Vec::with_capacity(due.len()), 0);
        let expires_at = now.plus(LEASE);
        for build in due {
            let Some(entry) = inbox.deliveries.get_mut(&build) else {
                continue;
            };
            if !may_be_tried(entry.attempts) {
                inbox.park(&build, now, LAPSED);
                parked += 1;
                continue;
            }
            entry.attempts += 1;
            entry.token = entry.token.next();
            entry.leased = true;
            let (token, attempt) = (entry.token, entry.attempts);
            inbox.rest(&build, expires_at);
            leases.push(DeliveryLease::new(
                observer.clone(),
                build,
                token,
                attempt,
                expires_at,
            ));
        }
        (leases, parked)
    }

    pub(in crate::build) fn resolve(
        &mut self,
        now: Timestamp,
        lease: &DeliveryLease,
        hearing: &Hearing,
    ) -> ResolveOutcome {
        let Some(inbox) = self.observers.get_mut(&lease.observer) else {
            return ResolveOutcome::Lost;
        };
        let entry = inbox.deliveries.get_mut(&lease.build);
        let Some(entry) = entry.filter(|entry| entry.leased && entry.token == lease.token) else {
            return ResolveOutcome::Lost;
        };
        let error = match hearing {
            Hearing::Heard => {
                inbox.due.remove(&(entry.due, entry.position));
                inbox.deliveries.remove(&lease.build);
                return ResolveOutcome::Done;
            }
            Hearing::Failed(error) => kept(error),
        };
        match decide_failed(lease) {
            Retry::Park => {
                inbox.park(&lease.build, now, error);
                ResolveOutcome::Parked
            }
            Retry::After(wait) => {
                entry.leased = false;
                entry.error = Some(error.into());
                inbox.rest(&lease.build, now.plus(wait));
                ResolveOutcome::Again(wait)
            }
        }
    }

    pub(in crate::build) fn register(&mut self, observer: &ObserverId) -> RegisterOutcome {
        if self.observers.contains_key(observer) {
            return RegisterOutcome::AlreadyRegistered;
        }
        if self.observers.len() >= MAX_OBSERVERS as usize {
            return RegisterOutcome::TooMany;
        }
        self.observers.insert(observer.clone(), Inbox::default());
        RegisterOutcome::Registered
    }

    pub(in crate::build) fn retire(&mut self, observer: &ObserverId) -> RetireOutcome {
        match self.observers.remove(observer) {
            None => RetireOutcome::NotRegistered,
            Some(inbox) => RetireOutcome::Retired {
                dropped: inbox.deliveries.len() as u64,
            },
        }
    }

    pub(in crate::build) fn parked(
        &self,
        observer: &ObserverId,
        after: u64,
        limit: u32,
    ) -> Vec<ParkedEntry> {
        let Some(inbox) = self.observers.get(observer) else {
            return Vec::new();
        };
        inbox
            .parked
            .range(after.saturating_add(1)..)
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .filter_map(|(position, build)| {
                let entry = inbox.deliveries.get(build)?;
                Some(ParkedEntry {
                    position: *position,
                    build: build.clone(),
                    attempts: entry.attempts,
                    error: entry.error.clone()?,
                    parked_at: entry.due,
                })
            })
            .collect()
    }

    pub(in crate::build) fn put_back(
        &mut self,
        now: Timestamp,
        observer: &ObserverId,
        build: &BuildId,
    ) -> PutBackOutcome {
        let Some(inbox) = self.observers.get_mut(observer) else {
            return PutBackOutcome::NotFound;
        };
        let Some(entry) = inbox.deliveries.get_mut(build) else {
            return PutBackOutcome::NotFound;
        };
        if !entry.parked {
            return PutBackOutcome::NotParked;
        }
        (entry.parked, entry.attempts) = (false, 0);
        inbox.parked.remove(&entry.position);
        inbox.rest(build, now);
        PutBackOutcome::PutBack
    }
}
