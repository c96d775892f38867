//! One account's turn: its batch, from the queue to its callers.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

use sheen_core::error::{StoreError, StoreErrorKind};

use super::Group;
use super::lanes::{Lane, Member};
use crate::account::store::CreditStore;
use crate::account::types::{CreditCommand, CreditOutcome};

/// A turn that was given. However it ends, the next ones are not held up.
#[derive(Debug)]
pub(super) struct Turn {
    group: Arc<Group>,
    lane: Lane,
    over: bool,
}

impl Turn {
    pub(super) const fn new(group: Arc<Group>, lane: Lane) -> Self {
        Self {
            group,
            lane,
            over: false,
        }
    }

    pub(super) async fn run(mut self) {
        let most = self.group.settings.max_batch.max(1);
        let (members, waiting) = self.group.lanes().take(&self.lane, most);
        wake(waiting);
        if !members.is_empty() {
            run_batch(&*self.group.store, members).await;
        }
        self.over = true;
        let waiting = self.group.lanes().end_turn(&self.lane);
        wake(waiting);
        self.group.start_turns();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // The task was dropped: nothing can be started from here, so those who wait are told.
        let (members, waiting) = self.group.lanes().break_off(&self.lane);
        drop(members);
        wake(waiting);
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
        Some(Ok(outcomes)) if outcomes.len() == members.len() => {
            for (member, outcome) in members.into_iter().zip(outcomes) {
                member.owed.tell(Ok(outcome));
            }
        }
        Some(Err(error)) if error.kind == StoreErrorKind::Unavailable => {
            for member in members {
                member.owed.tell(Err(StoreError::new(error.kind)));
            }
        }
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
