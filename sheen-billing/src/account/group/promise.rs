//! An answer that one task owes another.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use sheen_core::error::{StoreError, StoreErrorKind};

use crate::account::types::CreditOutcome;

type Told = Result<CreditOutcome, StoreError>;

#[derive(Debug, Default)]
struct Cell {
    told: Option<Told>,
    waker: Option<Waker>,
    /// Nobody waits any more.
    gone: bool,
}

#[derive(Debug, Default)]
struct Shared(Mutex<Cell>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Cell> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who owes the answer. Dropped without one, it leaves the outcome unknown.
#[derive(Debug)]
pub(super) struct Owed(Arc<Shared>);

/// Who waits for it.
#[derive(Debug)]
pub(super) struct Answer(Arc<Shared>);

pub(super) fn promise() -> (Owed, Answer) {
    let shared = Arc::new(Shared::default());
    (Owed(shared.clone()), Answer(shared))
}

impl Owed {
    /// Whether whoever asked has gone away.
    pub(super) fn is_moot(&self) -> bool {
        self.0.lock().gone
    }

    pub(super) fn tell(self, told: Told) {
        self.settle(told);
    }

    fn settle(&self, told: Told) {
        let mut cell = self.0.lock();
        if cell.told.is_none() {
            cell.told = Some(told);
        }
        let waker = cell.waker.take();
        drop(cell);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.settle(Err(StoreError::new(StoreErrorKind::OutcomeUnknown)));
    }
}

impl Future for Answer {
    type Output = Told;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Told> {
        let mut cell = self.0.lock();
        if let Some(told) = cell.told.take() {
            return Poll::Ready(told);
        }
        cell.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.lock().gone = true;
    }
}
