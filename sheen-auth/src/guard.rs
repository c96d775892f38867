//! A store that says nothing has failed.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::runtime::Sleep;

/// How long a step may take.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    limit: Duration,
    sleep: Arc<dyn Sleep>,
}

/// The store took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct Stalled(Duration);

impl Guard {
    pub(crate) const fn new(limit: Duration, sleep: Arc<dyn Sleep>) -> Self {
        Self { limit, sleep }
    }
}

/// The step's outcome; that it is not known, when it takes longer than `guard` says.
pub(crate) async fn guarded<T>(
    guard: Option<&Guard>,
    step: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let Some(Guard { limit, sleep }) = guard else {
        return step.await;
    };
    let mut step = pin!(step);
    let mut nap = sleep.sleep(*limit);
    poll_fn(|cx| {
        if let Poll::Ready(done) = step.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        nap.as_mut().poll(cx).map(|()| {
            let stalled = Stalled(*limit);
            Err(StoreError::with_source(
                StoreErrorKind::OutcomeUnknown,
                stalled,
            ))
        })
    })
    .await
}
