//! A store in memory that stops at a gate, fails or panics when told.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sheen_billing::account::{
    Commit, CommitOutcome, CreditCommand, CreditOutcome, CreditPolicy, CreditStore, Extend,
    ExtendOutcome, MemoryCreditStore, Release, ReleaseOutcome, Reserve, ReserveOutcome,
};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::UserId;
use sheen_core::time::{ManualClock, Timestamp};
use tokio::sync::Semaphore;

/// A memory store behind a gate: each call takes a permit.
#[derive(Debug)]
pub(super) struct Gated {
    pub(super) inner: MemoryCreditStore,
    pub(super) gate: Semaphore,
    /// Users whose calls wait for ever while the gate is otherwise open.
    pub(super) stuck: Mutex<Option<UserId>>,
    /// Whose batch the next call of several leaves.
    pub(super) busy: Mutex<Option<UserId>>,
    /// The users and sizes of the calls, in order.
    pub(super) calls: Mutex<Vec<(Option<UserId>, usize)>>,
    started: AtomicUsize,
    fault: Mutex<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    /// A batch with this many seconds in it fails, and so does that step alone.
    Poison(u32),
    /// Batches fail after they were done.
    AnswerLost,
    Unavailable,
    Panic,
}

impl Gated {
    pub(super) fn new(permits: usize) -> Arc<Self> {
        let noon = Timestamp::parse_rfc3339("2026-11-20T12:00:00Z").unwrap();
        let clock = Arc::new(ManualClock::at(noon));
        Arc::new(Self {
            inner: MemoryCreditStore::new(clock, CreditPolicy::default(), 1_000),
            gate: Semaphore::new(permits),
            stuck: Mutex::new(None),
            busy: Mutex::new(None),
            calls: Mutex::default(),
            started: AtomicUsize::new(0),
            fault: Mutex::new(Fault::None),
        })
    }

    pub(super) async fn pass(&self, commands: &[CreditCommand]) -> Result<(), StoreError> {
        self.started.fetch_add(1, SeqCst);
        let user = user_of(commands);
        self.calls
            .lock()
            .unwrap()
            .push((user.clone(), commands.len()));
        if user.is_some() && *self.stuck.lock().unwrap() == user {
            std::future::pending::<()>().await;
        }
        self.gate.acquire().await.unwrap().forget();
        let fault = *self.fault.lock().unwrap();
        match fault {
            Fault::Panic => panic!("as the test wants"),
            Fault::Unavailable => Err(StoreError::new(StoreErrorKind::Unavailable)),
            Fault::Poison(bad) if commands.iter().any(|it| seconds_of(it) == bad) => {
                Err(StoreError::new(StoreErrorKind::Rejected))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn open(&self) {
        self.gate.add_permits(100_000);
    }

    pub(super) fn sizes(&self) -> Vec<usize> {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .map(|(_, size)| *size)
            .collect()
    }

    pub(super) fn fail(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    pub(super) async fn until_started(&self, calls: usize) {
        while self.started.load(SeqCst) < calls {
            tokio::task::yield_now().await;
        }
    }
}

fn seconds_of(command: &CreditCommand) -> u32 {
    match command {
        CreditCommand::Reserve(wish) => u32::try_from(wish.seconds.get()).unwrap(),
        _ => 0,
    }
}

#[async_trait]
impl CreditStore for Gated {
    async fn reserve(&self, it: Reserve) -> Result<ReserveOutcome, StoreError> {
        self.pass(&[CreditCommand::Reserve(it.clone())]).await?;
        self.inner.reserve(it).await
    }
    async fn commit(&self, it: Commit) -> Result<CommitOutcome, StoreError> {
        self.pass(&[CreditCommand::Commit(it.clone())]).await?;
        self.inner.commit(it).await
    }
    async fn release(&self, it: Release) -> Result<ReleaseOutcome, StoreError> {
        self.pass(&[CreditCommand::Release(it.clone())]).await?;
        self.inner.release(it).await
    }
    async fn extend(&self, it: Extend) -> Result<ExtendOutcome, StoreError> {
        self.pass(&[CreditCommand::Extend(it.clone())]).await?;
        self.inner.extend(it).await
    }
    async fn batch(&self, it: Vec<CreditCommand>) -> Result<Vec<CreditOutcome>, StoreError> {
        self.pass(&it).await?;
        let outcomes = self.inner.batch(it).await;
        if *self.fault.lock().unwrap() == Fault::AnswerLost {
            return Err(StoreError::new(StoreErrorKind::OutcomeUnknown));
        }
        outcomes
    }
    /// One call whatever the accounts; a busy one's batch is left, once.
    async fn several(
        &self,
        it: Vec<Vec<CreditCommand>>,
    ) -> Result<Vec<Option<Vec<CreditOutcome>>>, StoreError> {
        self.pass(&it.concat()).await?;
        let busy = self.busy.lock().unwrap().take();
        let mut told = Vec::new();
        for batch in it {
            let user = user_of(&batch);
            if busy.is_some() && busy == user {
                told.push(None);
            } else {
                told.push(Some(self.inner.batch(batch).await?));
            }
        }
        if *self.fault.lock().unwrap() == Fault::AnswerLost {
            return Err(StoreError::new(StoreErrorKind::OutcomeUnknown));
        }
        Ok(told)
    }
}

fn user_of(commands: &[CreditCommand]) -> Option<UserId> {
    commands.iter().find_map(|command| match command {
        CreditCommand::Reserve(wish) => Some(wish.user.clone()),
        _ => None,
    })
}
