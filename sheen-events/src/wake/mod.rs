//! Wake-ups: «look again». The log is the truth; a wake-up may be lost, doubled or late, and
//! nothing is lost with it, because a reader also looks by itself.
//!
//! 1. Listen first, then read the log, then wait: what is committed in between rings.
//! 2. Ring after the commit, never before.
//! 3. Any number of rings between two waits wake once.
//! 4. Between processes rings go over PostgreSQL (`PgWake`, feature `postgres`) or Redis
//!    (`RedisWake`, feature `redis`). What such a channel may have lost is looked for.
//!
//! ```
//! use sheen_core::id::BuildId;
//! use sheen_events::wake::{MemoryWake, Wake};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let wake = MemoryWake::new();
//! let build = BuildId::parse("bld_1")?;
//! let mut listener = wake.listen(&build);
//! // Read the log here. A ring that comes before the wait is not lost:
//! wake.ring(&build);
//! listener.rung().await;
//! # Ok(())
//! # }
//! ```

#[cfg(any(feature = "postgres", feature = "redis"))]
mod bus;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
pub(crate) mod race;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(test, feature = "testing"))]
mod testing;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use sheen_core::id::BuildId;

#[cfg(any(feature = "postgres", feature = "redis"))]
pub use bus::{WakeConfig, WakeParts};
pub use memory::MemoryWake;
#[cfg(feature = "postgres")]
pub use postgres::PgWake;
#[cfg(feature = "redis")]
pub use redis::RedisWake;
#[cfg(any(test, feature = "testing"))]
pub use testing::{LossyWake, NoWake};

/// Tells readers of a build that its stream moved.
pub trait Wake: Debug + Send + Sync + 'static {
    /// Wakes whoever listens to `build`. Never blocks, never fails.
    fn ring(&self, build: &BuildId);

    /// Begins to listen to `build`. What rings from now on wakes the listener, even before it
    /// waits: take it, then read the log, then wait.
    fn listen(&self, build: &BuildId) -> Box<dyn Listener>;

    /// How long a reader may go without looking by itself.
    fn poll_interval(&self) -> Duration;

    /// Whether rings are known to arrive: what nobody rang for since has not changed. A channel that
    /// does not know says no.
    fn is_healthy(&self) -> bool;
}

/// One reader's ear.
pub trait Listener: Debug + Send + 'static {
    /// Ready once the stream was rung since this listener was made or was last ready; until then
    /// the task is woken when it is.
    fn poll_rung(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// How often the build was rung in this process since someone has listened to it without a break.
    /// All listeners to one build count alike, so that one can look for all.
    fn rings(&self) -> u64;
}

impl dyn Listener {
    /// Completes as [`poll_rung`](Listener::poll_rung) does. Given up half-way, no ring is lost.
    pub async fn rung(&mut self) {
        poll_fn(|cx| self.poll_rung(cx)).await;
    }
}
