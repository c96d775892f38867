//! Telling an observer what its outbox holds: a service over any [`SettledOutbox`].

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;

use super::store::SettledOutbox;
use super::types::{Delivery, Hearing, ResolveOutcome};
use crate::error::StoreError;
use crate::id::{ObserverId, WorkerId};
use crate::runtime::Sleep;

/// How long an observer may take for one try; half of [`LEASE`](super::LEASE), so that who took all
/// of it can still say so.
pub const TRY_LIMIT: Duration = Duration::from_secs(30);

/// Hears of every build that ends, at least once, whichever process ended it.
#[async_trait]
pub trait BuildObserver: fmt::Debug + Send + Sync + 'static {
    /// Takes note of a build that ended. The same build may come more than once: tell repeats by
    /// its id.
    ///
    /// # Errors
    /// When it should be tried again. A panic, or taking longer than [`TRY_LIMIT`], counts as a
    /// failed try.
    async fn settled(&self, delivery: &Delivery) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// What one round of deliveries came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Round {
    /// Tries that were heard.
    pub heard: u32,
    /// Tries that failed and are made again.
    pub failed: u32,
    /// Tries that failed, or ended in silence, for the last time: worth an alarm.
    pub parked: u32,
    /// Tries whose lease another process took over meanwhile.
    pub lost: u32,
}

/// Tells one observer. Give every observer a courier and a task of its own, so that a slow one
/// holds up no other; any number of processes may have couriers for the same observer.
///
/// Dropped in the middle of a try, it leaves a lease that runs out.
///
/// ```
/// # use std::time::Duration;
/// # use sheen_core::build::settled::{Courier, Round};
/// # use sheen_core::error::StoreError;
/// # use sheen_core::runtime::Sleep;
/// async fn forever(courier: Courier, sleep: &dyn Sleep) -> Result<(), StoreError> {
///     loop {
///         if courier.deliver(100).await? == Round::default() {
///             sleep.sleep(Duration::from_secs(1)).await;
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Courier {
    outbox: Arc<dyn SettledOutbox>,
    name: ObserverId,
    observer: Arc<dyn BuildObserver>,
    worker: WorkerId,
    sleep: Arc<dyn Sleep>,
}

impl Courier {
    /// Tells `observer` what `outbox` has for `name`, as `worker`. The name must be
    /// [registered](super::ObserverRegistry::register).
    #[must_use]
    pub fn new(
        outbox: Arc<dyn SettledOutbox>,
        name: ObserverId,
        observer: Arc<dyn BuildObserver>,
        worker: WorkerId,
        sleep: Arc<dyn Sleep>,
    ) -> Self {
        Self {
            outbox,
            name,
            observer,
            worker,
            sleep,
        }
    }

    /// Tells what is due, until nothing is or `most` were tried.
    ///
    /// Leases are taken one at a time: none runs out while another delivery is told.
    ///
    /// # Errors
    /// When the outbox fails; call again. What was heard and could not be said is told again.
    pub async fn deliver(&self, most: u32) -> Result<Round, StoreError> {
        let mut round = Round::default();
        for _ in 0..most {
            let leased = self.outbox.lease(&self.name, &self.worker, 1).await?;
            round.parked += leased.parked;
            let Some(delivery) = leased.deliveries.into_iter().next() else {
                if leased.parked == 0 {
                    break;
                }
                continue;
            };
            let hearing = self.tell(&delivery).await;
            let count = match self.outbox.resolve(&delivery.lease, hearing).await? {
                ResolveOutcome::Done => &mut round.heard,
                ResolveOutcome::Again(_) => &mut round.failed,
                ResolveOutcome::Parked => &mut round.parked,
                ResolveOutcome::Lost => &mut round.lost,
            };
            *count += 1;
        }
        Ok(round)
    }

    async fn tell(&self, delivery: &Delivery) -> Hearing {
        let mut hearing = self.observer.settled(delivery);
        let mut limit = self.sleep.sleep(TRY_LIMIT);
        poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| hearing.as_mut().poll(context)));
            match polled {
                Ok(Poll::Ready(Ok(()))) => Poll::Ready(Hearing::Heard),
                Ok(Poll::Ready(Err(error))) => {
                    Poll::Ready(Hearing::Failed(error.to_string().into()))
                }
                Err(_) => Poll::Ready(Hearing::Failed("it panicked".into())),
                Ok(Poll::Pending) => limit
                    .as_mut()
                    .poll(context)
                    .map(|()| Hearing::Failed("it took too long".into())),
            }
        })
        .await
    }
}
