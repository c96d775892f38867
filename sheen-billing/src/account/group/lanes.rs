//! The queues of accounts, and whose turn it is.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use sheen_core::id::{ReservationId, UserId};

use super::promise::{Answer, Owed};
use super::{GroupSettings, promise};
use crate::account::types::CreditCommand;

/// What takes turns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Account(UserId),
    Hold(ReservationId),
}

/// A step and who is owed its outcome.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) command: CreditCommand,
    pub(super) owed: Owed,
}

#[derive(Debug, Default)]
struct Queue {
    members: VecDeque<Member>,
    /// Callers that found it full.
    waiting: Vec<Waker>,
}

/// What came of offering a step.
pub(super) enum Offer {
    Queued(Answer),
    /// There is no room for this account now; the waker is called when there may be.
    Wait(CreditCommand),
    /// There is no room at all.
    Refused,
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// Of every account with a step queued or in flight.
    queues: BTreeMap<Lane, Queue>,
    /// Accounts with steps queued and none in flight, in the order of their turns.
    ready: VecDeque<Lane>,
    in_flight: usize,
    queued: usize,
}

impl Lanes {
    pub(super) fn offer(
        &mut self,
        lane: &Lane,
        command: CreditCommand,
        settings: &GroupSettings,
        waker: &Waker,
    ) -> Offer {
        if self.queued >= settings.capacity.max(1) {
            return Offer::Refused;
        }
        if let Some(queue) = self.queues.get_mut(lane) {
            if queue.members.len() >= settings.depth.max(1) {
                if !queue.waiting.iter().any(|known| known.will_wake(waker)) {
                    queue.waiting.push(waker.clone());
                }
                return Offer::Wait(command);
            }
        } else {
            self.queues.insert(lane.clone(), Queue::default());
            self.ready.push_back(lane.clone());
        }
        let (owed, answer) = promise();
        if let Some(queue) = self.queues.get_mut(lane) {
            queue.members.push_back(Member { command, owed });
            self.queued += 1;
        }
        Offer::Queued(answer)
    }

    /// Whose turn it is, if one more batch may be in flight.
    pub(super) fn next_turn(&mut self, most: usize) -> Option<Lane> {
        if self.in_flight >= most {
            return None;
        }
        let lane = self.ready.pop_front()?;
        self.in_flight += 1;
        Some(lane)
    }

    /// The steps of a turn that someone still waits for, and who may come in now.
    pub(super) fn take(&mut self, lane: &Lane, most: usize) -> (Vec<Member>, Vec<Waker>) {
        let Some(queue) = self.queues.get_mut(lane) else {
            return (Vec::new(), Vec::new());
        };
        let mut members = Vec::new();
        while members.len() < most
            && let Some(member) = queue.members.pop_front()
        {
            self.queued = self.queued.saturating_sub(1);
            if !member.owed.is_moot() {
                members.push(member);
            }
        }
        (members, std::mem::take(&mut queue.waiting))
    }

    /// The turn is over; what queued meanwhile waits for the next.
    pub(super) fn end_turn(&mut self, lane: &Lane) -> Vec<Waker> {
        self.in_flight = self.in_flight.saturating_sub(1);
        match self.queues.get(lane) {
            Some(queue) if !queue.members.is_empty() => {
                self.ready.push_back(lane.clone());
                Vec::new()
            }
            Some(_) => self
                .queues
                .remove(lane)
                .map_or_else(Vec::new, |queue| queue.waiting),
            None => Vec::new(),
        }
    }

    /// The turn broke off. Gives what cannot be done any more: what its account has queued and,
    /// when nothing is in flight that would go on to it, all else that waits for a turn.
    pub(super) fn break_off(&mut self, lane: &Lane) -> (Vec<Member>, Vec<Waker>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let mut lanes = vec![lane.clone()];
        if self.in_flight == 0 {
            lanes.extend(self.ready.drain(..));
        }
        let (mut members, mut waiting) = (Vec::new(), Vec::new());
        for lane in lanes {
            if let Some(queue) = self.queues.remove(&lane) {
                self.queued = self.queued.saturating_sub(queue.members.len());
                members.extend(queue.members);
                waiting.extend(queue.waiting);
            }
        }
        (members, waiting)
    }
}
