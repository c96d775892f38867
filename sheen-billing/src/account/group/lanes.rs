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

/// An account's part of a turn.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) lane: Lane,
    pub(super) members: Vec<Member>,
}

#[derive(Debug, Default)]
struct Queue {
    members: VecDeque<Member>,
    /// Callers that found it full.
    waiting: Vec<Waker>,
    /// Its account was busy: its next turn is one of its own, and waits for it.
    alone: bool,
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
    /// Turns that were given and are not over.
    turns: usize,
    /// Whether one of them has not taken its accounts yet: it will see to what is ready.
    beginning: bool,
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

    /// Gives a turn, if accounts wait for one, no other turn is about to take them, and one more
    /// may be in flight.
    pub(super) fn give_turn(&mut self, most: usize) -> bool {
        let given = !self.beginning && !self.ready.is_empty() && self.turns < most;
        if given {
            self.turns += 1;
            self.beginning = true;
        }
        given
    }

    /// How many steps are queued.
    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    /// Takes the accounts of a turn, at most so many, and of each its steps that someone still
    /// waits for; `most` steps in all, shared out evenly. With them come those who may come in.
    pub(super) fn take(&mut self, accounts: usize, most: usize) -> (Vec<Batch>, Vec<Waker>) {
        self.beginning = false;
        let mut lanes = Vec::new();
        while lanes.len() < accounts.max(1)
            && let Some(lane) = self.ready.pop_front()
        {
            let alone = matches!(lane, Lane::Hold(_))
                || self.queues.get(&lane).is_some_and(|queue| queue.alone);
            if alone && !lanes.is_empty() {
                self.ready.push_front(lane);
                break;
            }
            lanes.push(lane);
            if alone {
                break;
            }
        }
        let share = (most / lanes.len().max(1)).max(1);
        let mut waiting = Vec::new();
        let batches = lanes.into_iter().map(|lane| {
            let mut members = Vec::new();
            if let Some(queue) = self.queues.get_mut(&lane) {
                while members.len() < share
                    && let Some(member) = queue.members.pop_front()
                {
                    self.queued = self.queued.saturating_sub(1);
                    if !member.owed.is_moot() {
                        members.push(member);
                    }
                }
                queue.alone = false;
                waiting.append(&mut queue.waiting);
            }
            Batch { lane, members }
        });
        let batches = batches.collect();
        (batches, waiting)
    }

    /// The steps of an account that was busy go back to where they were, and wait for a turn of
    /// their own.
    pub(super) fn put_back(&mut self, batch: Batch) {
        let Some(queue) = self.queues.get_mut(&batch.lane) else {
            return;
        };
        self.queued = self.queued.saturating_add(batch.members.len());
        for member in batch.members.into_iter().rev() {
            queue.members.push_front(member);
        }
        queue.alone = true;
    }

    /// The turn of these accounts is over; what queued meanwhile waits for the next.
    pub(super) fn end_turn(&mut self, lanes: &[Lane]) -> Vec<Waker> {
        self.turns = self.turns.saturating_sub(1);
        let mut waiting = Vec::new();
        for lane in lanes {
            match self.queues.get(lane) {
                Some(queue) if !queue.members.is_empty() => self.ready.push_back(lane.clone()),
                Some(_) => {
                    if let Some(queue) = self.queues.remove(lane) {
                        waiting.extend(queue.waiting);
                    }
                }
                None => {}
            }
        }
        waiting
    }

    /// The turn broke off. Gives what cannot be done any more: what its accounts have queued and,
    /// when no turn is left that would go on to it, all else that waits for one.
    pub(super) fn break_off(&mut self, taken: Option<&[Lane]>) -> (Vec<Member>, Vec<Waker>) {
        self.turns = self.turns.saturating_sub(1);
        let mut lanes = match taken {
            Some(lanes) => lanes.to_vec(),
            None => {
                self.beginning = false;
                Vec::new()
            }
        };
        if self.turns == 0 {
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
