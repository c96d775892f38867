//! Asking a store, and what holds when it does not answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sheen_core::error::StoreError;
use sheen_core::runtime::Sleep;

use super::store::LimitStore;
use super::types::{LimitKey, Quotas, Standing, TakeOutcome};
use crate::guard::{Guard, guarded};

/// What holds for calls that the store cannot judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// They pass, unlimited: for what is protected by more than a limit.
    Open,
    /// They are refused: for sign-in routes and what costs money.
    Closed,
}

/// What is to become of a call, in order of precedence.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The store failed and [`OnFailure::Closed`] holds: refuse it as unavailable.
    Unavailable(StoreError),
    /// It costs more than can ever pass.
    TooCostly {
        /// The greatest cost that can pass.
        max_cost: u32,
    },
    /// It must wait.
    Limited(Standing),
    /// It passes.
    Admitted(Standing),
    /// The store failed and [`OnFailure::Open`] holds: it passes, and nothing was counted.
    Unchecked,
}

type Hook = dyn Fn(&StoreError) + Send + Sync;

/// A store of limits and the choice of what holds when it fails.
#[derive(Clone)]
pub struct Limiter {
    store: Arc<dyn LimitStore>,
    on_failure: OnFailure,
    guard: Option<Guard>,
    failures: Arc<AtomicU64>,
    hook: Option<Arc<Hook>>,
}

impl Limiter {
    /// Limits of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn LimitStore>, on_failure: OnFailure) -> Self {
        Self {
            store,
            on_failure,
            guard: None,
            failures: Arc::default(),
            hook: None,
        }
    }

    /// A store that has not answered after `limit` has failed. For stores across a network.
    #[must_use]
    pub fn within(mut self, limit: Duration, sleep: Arc<dyn Sleep>) -> Self {
        self.guard = Some(Guard::new(limit, sleep));
        self
    }

    /// Also tells `hook` of every failure, for a log or a metric.
    #[must_use]
    pub fn on_each_failure(mut self, hook: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        let before = self.hook.take();
        self.hook = Some(Arc::new(move |error: &StoreError| {
            if let Some(before) = &before {
                before(error);
            }
            hook(error);
        }));
        self
    }

    /// How many steps failed, whatever was made of them.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Takes `cost` of every quota of `key`, or of none.
    pub async fn take(&self, key: &LimitKey<'_>, quotas: &Quotas, cost: u32) -> Verdict {
        let taken = guarded(self.guard.as_ref(), self.store.take(key, quotas, cost)).await;
        self.verdict(taken)
    }

    /// What [`Self::take`] would say; nothing is taken.
    pub async fn peek(&self, key: &LimitKey<'_>, quotas: &Quotas, cost: u32) -> Verdict {
        let seen = guarded(self.guard.as_ref(), self.store.peek(key, quotas, cost)).await;
        self.verdict(seen)
    }

    /// Gives back what a call took that came to nothing. `None` when the store failed, which is
    /// counted like any failure.
    pub async fn refund(&self, key: &LimitKey<'_>, quotas: &Quotas, cost: u32) -> Option<Standing> {
        let given = guarded(self.guard.as_ref(), self.store.refund(key, quotas, cost)).await;
        given.inspect_err(|error| self.count(error)).ok()
    }

    fn count(&self, error: &StoreError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if let Some(hook) = &self.hook {
            hook(error);
        }
    }

    fn verdict(&self, outcome: Result<TakeOutcome, StoreError>) -> Verdict {
        match outcome {
            Ok(TakeOutcome::TooCostly { max_cost }) => Verdict::TooCostly { max_cost },
            Ok(TakeOutcome::Limited(standing)) => Verdict::Limited(standing),
            Ok(TakeOutcome::Admitted(standing)) => Verdict::Admitted(standing),
            Err(error) => {
                self.count(&error);
                match self.on_failure {
                    OnFailure::Open => Verdict::Unchecked,
                    OnFailure::Closed => Verdict::Unavailable(error),
                }
            }
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("store", &self.store)
            .field("on_failure", &self.on_failure)
            .field("failures", &self.failures())
            .finish_non_exhaustive()
    }
}
