//! A turn: the batches of some accounts, from their queues to their callers.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

use sheen_core::error::{StoreError, StoreErrorKind};

use super::Group;
use super::lanes::{Batch, Lane, Member};
use crate::account::store::CreditStore;
use crate::account::types::{CreditCommand, CreditOutcome};

/// How often a turn stands back for callers that are about to queue.
const LOOKS: u32 = 16;

/// A turn that was given. However it ends, the next ones are not held up.
#[derive(Debug)]
pub(super) struct Turn {
    group: Arc<Group>,
    /// The accounts whose turn it is, once they are taken.
    taken: Option<Vec<Lane>>,
    over: bool,
}

impl Turn {
    pub(super) const fn new(group: Arc<Group>) -> Self {
        Self {
            group,
            taken: None,
            over: false,
        }
    }

    pub(super) async fn run(mut self) {
        self.gather().await;
        let settings = &self.group.settings;
        let (accounts, most) = (settings.accounts.max(1), settings.max_batch.max(1));
        let (batches, waiting) = self.group.lanes().take(accounts, most);
        self.taken = Some(batches.iter().map(|batch| batch.lane.clone()).collect());
        wake(waiting);
        // There may be more than one turn can take.
        self.group.start_turns();
        let mut batches: Vec<Batch> = batches
            .into_iter()
            .filter(|batch| !batch.members.is_empty())
            .collect();
        if batches.len() > 1 {
            self.run_several(batches).await;
        } else if let Some(batch) = batches.pop() {
            run_batch(&*self.group.store, batch.members).await;
        }
        self.over = true;
        let taken = self.taken.take().unwrap_or_default();
        let waiting = self.group.lanes().end_turn(&taken);
        wake(waiting);
        self.group.start_turns();
    }

    /// Lets the tasks run that are about to queue a step, as those do that the last turn answered:
    /// as long as the queue grows, and without waiting for anyone.
    async fn gather(&self) {
        let mut queued = self.group.lanes().queued();
        for _ in 0..LOOKS {
            stand_back().await;
            let now = self.group.lanes().queued();
            if now <= queued {
                return;
            }
            queued = now;
        }
    }

    async fn run_several(&self, batches: Vec<Batch>) {
        let store = &*self.group.store;
        let commands = batches
            .iter()
            .map(|batch| {
                let members = batch.members.iter();
                members.map(|member| member.command.clone()).collect()
            })
            .collect();
        match caught(store.several(commands)).await {
            Some(Ok(told)) if told.len() == batches.len() => {
                for (batch, outcomes) in batches.into_iter().zip(told) {
                    match outcomes {
                        Some(outcomes) if outcomes.len() == batch.members.len() => {
                            tell(batch.members, outcomes);
                        }
                        _ => self.group.lanes().put_back(batch),
                    }
                }
            }
            Some(Err(error)) if error.kind == StoreErrorKind::Unavailable => {
                for batch in batches {
                    fail(batch.members, error.kind);
                }
            }
            // One of them failed all; every step may be repeated.
            Some(_) => {
                for batch in batches {
                    run_batch(store, batch.members).await;
                }
            }
            // Dropped unanswered, the members leave their outcomes unknown.
            None => {}
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // The task was dropped: nothing can be started from here, so those who wait are told.
        let (members, waiting) = self.group.lanes().break_off(self.taken.as_deref());
        drop(members);
        wake(waiting);
    }
}

/// Lets other tasks run once.
async fn stand_back() {
    let mut stood = false;
    poll_fn(|context| {
        if std::mem::replace(&mut stood, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn tell(members: Vec<Member>, outcomes: Vec<CreditOutcome>) {
    for (member, outcome) in members.into_iter().zip(outcomes) {
        member.owed.tell(Ok(outcome));
    }
}

fn fail(members: Vec<Member>, kind: StoreErrorKind) {
    for member in members {
        member.owed.tell(Err(StoreError::new(kind)));
    }
}

fn wake(waiting: Vec<Waker>) {
    for waker in waiting {
        waker.wake();
    }
}

async fn run_batch(store: &dyn CreditStore, members: Vec<Member>) {
    if members.len() == 1 {
        return singly(store, members).await;
    }
    let commands = members
        .iter()
        .map(|member| member.command.clone())
        .collect();
    match caught(store.batch(commands)).await {
        Some(Ok(outcomes)) if outcomes.len() == members.len() => tell(members, outcomes),
        Some(Err(error)) if error.kind == StoreErrorKind::Unavailable => fail(members, error.kind),
        // Every step may be repeated, so what of the batch was done is found done.
        Some(_) => singly(store, members).await,
        // Dropped unanswered, the members leave their outcomes unknown.
        None => {}
    }
}

async fn singly(store: &dyn CreditStore, members: Vec<Member>) {
    for Member { command, owed } in members {
        if let Some(told) = caught(one(store, command)).await {
            owed.tell(told);
        }
    }
}

async fn one(store: &dyn CreditStore, command: CreditCommand) -> Result<CreditOutcome, StoreError> {
    Ok(match command {
        CreditCommand::Reserve(it) => CreditOutcome::Reserve(store.reserve(it).await?),
        CreditCommand::Commit(it) => CreditOutcome::Commit(store.commit(it).await?),
        CreditCommand::Release(it) => CreditOutcome::Release(store.release(it).await?),
        CreditCommand::Extend(it) => CreditOutcome::Extend(store.extend(it).await?),
    })
}

/// What a step gives, or nothing when it panics.
async fn caught<T>(step: impl Future<Output = T>) -> Option<T> {
    let mut step = pin!(step);
    poll_fn(|context| {
        // It is not polled again after a panic.
        let polled = catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(context)));
        match polled {
            Ok(Poll::Ready(given)) => Poll::Ready(Some(given)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}
