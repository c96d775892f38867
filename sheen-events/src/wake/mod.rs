//! Wake-ups: «look again». The log is the truth; a wake-up may be lost, doubled or late, and
//! nothing is lost with it, because a reader also looks by itself.

use std::fmt::Debug;
use std::time::Duration;

use sheen_core::id::BuildId;
use sheen_core::runtime::BoxFuture;

/// Tells readers of a build that its stream moved.
pub trait Wake: Debug + Send + Sync + 'static {
    /// Wakes whoever listens to `build`. Never blocks, never fails.
    fn ring(&self, build: &BuildId);

    /// Begins to listen to `build`. What rings from now on wakes the listener, even before it
    /// waits: take it, then read the log, then wait.
    fn listen(&self, build: &BuildId) -> Box<dyn Listener>;

    /// How long a reader may go without looking by itself.
    fn poll_interval(&self) -> Duration;
}

/// One reader's ear.
pub trait Listener: Debug + Send + 'static {
    /// Completes once the stream was rung since this listener was made or last completed.
    fn rung(&mut self) -> BoxFuture<'_, ()>;
}
