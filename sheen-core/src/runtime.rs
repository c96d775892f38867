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
#[non_exhaustive]
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
