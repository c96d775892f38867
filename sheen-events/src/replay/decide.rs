//! Which events a replay has, and whether a page goes on from the one before. Pure.

use super::types::{ReplayError, ReplayHead, ReplayRequest};
use crate::log::{AuditPage, AuditPlace, Event, StreamHead, Visibility};

impl ReplayHead {
    /// What `request` gets of a log that stands as `stream`.
    pub(super) fn decide(request: &ReplayRequest, stream: &StreamHead) -> Self {
        let from = request.from.max(1).max(stream.floor.saturating_add(1));
        let to = request.to.unwrap_or(u64::MAX).min(stream.head);
        Self {
            session: stream.session.clone(),
            epoch: stream.epoch,
            floor: stream.floor,
            head: stream.head,
            closed: stream.closed,
            from,
            to,
        }
    }
}

/// How far a replay has come and how far it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) epoch: u64,
    pub(super) place: AuditPlace,
    pub(super) until: AuditPlace,
    /// Whether a hidden event was told: from then on they too follow one another.
    pub(super) any_hidden: bool,
}

impl Span {
    pub(super) const fn is_over(&self) -> bool {
        self.place.seq >= self.until.seq && self.place.hidden >= self.until.hidden
    }

    /// What `page`, read after this place and full when it has `most`, tells; moves the place past
    /// it.
    pub(super) fn take(&mut self, page: AuditPage, most: usize) -> Result<Vec<Event>, ReplayError> {
        if page.stream.epoch != self.epoch {
            return Err(ReplayError::Gone);
        }
        let is_last = page.events.len() < most;
        let mut told = Vec::with_capacity(page.events.len());
        for event in page.events {
            let (last, until) = match event.visibility {
                Visibility::User => (Some(self.place.seq), self.until.seq),
                Visibility::Operator => (
                    self.any_hidden.then_some(self.place.hidden),
                    self.until.hidden,
                ),
            };
            if event.seq > until {
                continue;
            }
            if last.is_some_and(|last| event.seq != last + 1) {
                return Err(ReplayError::Gone);
            }
            self.any_hidden |= event.visibility == Visibility::Operator;
            self.place = self.place.after(&event);
            told.push(event);
        }
        if is_last {
            if self.place.seq < self.until.seq {
                return Err(ReplayError::Gone);
            }
            // Retention keeps no floor of hidden events: those that are not there were taken.
            self.until.hidden = self.place.hidden;
        }
        Ok(told)
    }
}
