//! Spawning and sleeping as traits, so that a whole worker can run under simulated time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Starts a task that runs beside its caller.
pub trait Spawn: fmt::Debug + Send + Sync + 'static {
    /// Starts `task`. It runs to its end whatever happens to the caller.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}

/// Waits.
pub trait Sleep: fmt::Debug + Send + Sync + 'static {
    /// Completes once `duration` has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Spawning and sleeping on the tokio runtime of the calling task.
#[cfg(feature = "tokio")]
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to add to it")]
pub struct TokioRuntime;

#[cfg(feature = "tokio")]
impl Spawn for TokioRuntime {
    #[expect(clippy::disallowed_methods, reason = "the adapter behind Spawn")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

#[cfg(feature = "tokio")]
impl Sleep for TokioRuntime {
    #[expect(clippy::disallowed_methods, reason = "the adapter behind Sleep")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Sleeps that end when a test moves the clock.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use sheen_core::runtime::{ManualSleep, Sleep};
/// use sheen_core::time::{ManualClock, Timestamp};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let sleep = ManualSleep::new(Arc::new(ManualClock::at(Timestamp::EPOCH)));
/// let nap = sleep.sleep(Duration::from_secs(15));
/// assert_eq!(sleep.sleepers(), 0); // It is not waited on yet.
/// sleep.advance(Duration::from_secs(15));
/// nap.await;
/// # }
/// ```
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub struct ManualSleep {
    clock: std::sync::Arc<crate::time::ManualClock>,
    sleepers: std::sync::Arc<Sleepers>,
}

#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Default)]
struct Sleepers {
    /// By number, so that tasks wake in the order in which they fell asleep.
    wakers: std::sync::Mutex<std::collections::BTreeMap<u64, std::task::Waker>>,
    numbers: std::sync::atomic::AtomicU64,
}

#[cfg(any(test, feature = "testing"))]
impl Sleepers {
    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<u64, std::task::Waker>> {
        self.wakers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(any(test, feature = "testing"))]
impl ManualSleep {
    /// Sleeps by `clock`. Move it through [`advance`](Self::advance), or nobody wakes.
    #[must_use]
    pub fn new(clock: std::sync::Arc<crate::time::ManualClock>) -> Self {
        Self {
            clock,
            sleepers: std::sync::Arc::default(),
        }
    }

    /// Moves the clock and wakes who has slept enough.
    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
        let wakers = std::mem::take(&mut *self.sleepers.lock());
        for waker in wakers.into_values() {
            waker.wake();
        }
    }

    /// How many tasks wait.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.sleepers.lock().len()
    }
}

#[cfg(any(test, feature = "testing"))]
impl Sleep for ManualSleep {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        use crate::time::Clock;
        use std::sync::atomic::Ordering;
        Box::pin(Nap {
            until: self.clock.monotonic().saturating_add(duration),
            number: self.sleepers.numbers.fetch_add(1, Ordering::SeqCst),
            clock: std::sync::Arc::clone(&self.clock),
            sleepers: std::sync::Arc::clone(&self.sleepers),
        })
    }
}

#[cfg(any(test, feature = "testing"))]
struct Nap {
    until: Duration,
    number: u64,
    clock: std::sync::Arc<crate::time::ManualClock>,
    sleepers: std::sync::Arc<Sleepers>,
}

#[cfg(any(test, feature = "testing"))]
impl Future for Nap {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        use crate::time::Clock;
        // Under the lock, so that an advance between the look and the note wakes it.
        let mut wakers = self.sleepers.lock();
        if self.clock.monotonic() >= self.until {
            wakers.remove(&self.number);
            return std::task::Poll::Ready(());
        }
        wakers.insert(self.number, cx.waker().clone());
        std::task::Poll::Pending
    }
}

#[cfg(any(test, feature = "testing"))]
impl Drop for Nap {
    fn drop(&mut self) {
        self.sleepers.lock().remove(&self.number);
    }
}
