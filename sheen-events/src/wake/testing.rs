//! Wake-ups that fail, for tests: nothing may depend on one arriving.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sheen_core::entropy::Entropy;
use sheen_core::id::BuildId;

use super::{Listener, Wake};

/// A wake-up channel that is down: nobody is ever woken.
#[derive(Debug, Clone, Copy)]
pub struct NoWake {
    poll_interval: Duration,
}

impl NoWake {
    /// Readers look by themselves every `poll_interval`, and only so.
    #[must_use]
    pub const fn new(poll_interval: Duration) -> Self {
        Self { poll_interval }
    }
}

impl Wake for NoWake {
    fn ring(&self, _build: &BuildId) {}

    fn listen(&self, _build: &BuildId) -> Box<dyn Listener> {
        Box::new(Deaf)
    }

    fn poll_interval(&self) -> Duration {
        self.poll_interval
    }

    fn is_healthy(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Deaf;

impl Listener for Deaf {
    fn poll_rung(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn rings(&self) -> u64 {
        0
    }
}

/// Loses, doubles or passes on each ring of another channel, as its entropy says.
#[derive(Debug, Clone)]
pub struct LossyWake {
    inner: Arc<dyn Wake>,
    entropy: Arc<dyn Entropy>,
}

impl LossyWake {
    /// A third of the rings through `inner` are lost, a third arrive twice.
    #[must_use]
    pub fn new(inner: Arc<dyn Wake>, entropy: Arc<dyn Entropy>) -> Self {
        Self { inner, entropy }
    }
}

impl Wake for LossyWake {
    fn ring(&self, build: &BuildId) {
        let mut byte = [0];
        self.entropy.fill(&mut byte);
        for _ in 0..byte[0] % 3 {
            self.inner.ring(build);
        }
    }

    fn listen(&self, build: &BuildId) -> Box<dyn Listener> {
        self.inner.listen(build)
    }

    fn poll_interval(&self) -> Duration {
        self.inner.poll_interval()
    }

    fn is_healthy(&self) -> bool {
        false
    }
}
