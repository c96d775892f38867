//! How streams stand, as they were last read: a poll with nothing new then asks no store.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sheen_core::id::BuildId;
use sheen_core::time::Clock;

use crate::log::StreamHead;
use crate::wake::{Listener, Wake};

/// How long what a feed read is believed, and how much of it is kept.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FeedConfig {
    /// While wake-ups may be lost: 2 s.
    pub fresh: Duration,
    /// While the channel of wake-ups is healthy and nobody rang: 15 s, as long as a poller waits at
    /// most. A writer may die between its commit and its ring.
    pub trusted: Duration,
    /// The most builds whose heads are kept, 4,096; then one that was not asked for lately goes.
    pub max_heads: usize,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(2),
            trusted: Duration::from_secs(15),
            max_heads: 4096,
        }
    }
}

/// The heads of the builds that were polled last. A wake-up of a build makes its own old.
pub(super) struct Heads {
    wake: Arc<dyn Wake>,
    clock: Arc<dyn Clock>,
    config: FeedConfig,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    heads: HashMap<BuildId, Head>,
    /// The builds in `heads`, the next to go first. One that was asked for since goes round again.
    order: VecDeque<BuildId>,
}

struct Head {
    stream: Arc<StreamHead>,
    since: Ear,
    was_asked_for: bool,
}

/// Listens from before a read.
pub(super) struct Ear {
    listener: Box<dyn Listener>,
    rings: u64,
    at: Duration,
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heads")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Heads {
    pub(super) fn new(wake: Arc<dyn Wake>, clock: Arc<dyn Clock>, config: FeedConfig) -> Self {
        Self {
            wake,
            clock,
            config,
            kept: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be taken before the log is read for [`keep`](Self::keep).
    pub(super) fn listen(&self, build: &BuildId) -> Ear {
        let listener = self.wake.listen(build);
        Ear {
            rings: listener.rings(),
            listener,
            at: self.clock.monotonic(),
        }
    }

    /// How the stream of `build` stands, if that is known well enough.
    pub(super) fn get(&self, build: &BuildId) -> Option<Arc<StreamHead>> {
        let now = self.clock.monotonic();
        let mut kept = self.lock();
        let head = kept.heads.get_mut(build)?;
        let age = now.saturating_sub(head.since.at);
        let is_believed =
            age < self.config.fresh || (age < self.config.trusted && self.wake.is_healthy());
        if !is_believed || head.since.listener.rings() != head.since.rings {
            return None;
        }
        head.was_asked_for = true;
        Some(Arc::clone(&head.stream))
    }

    /// Keeps what was read since `since`, unless a later reading is there.
    pub(super) fn keep(&self, build: &BuildId, since: Ear, stream: &StreamHead) {
        if self.config.max_heads == 0 {
            return;
        }
        let mut kept = self.lock();
        if let Some(head) = kept.heads.get_mut(build) {
            if head.since.at <= since.at {
                head.stream = Arc::new(stream.clone());
                head.since = since;
            }
            return;
        }
        while kept.heads.len() >= self.config.max_heads && kept.let_one_go() {}
        let head = Head {
            stream: Arc::new(stream.clone()),
            since,
            was_asked_for: false,
        };
        kept.heads.insert(build.clone(), head);
        kept.order.push_back(build.clone());
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().heads.len()
    }
}

impl Kept {
    /// Whether there was one to look at.
    fn let_one_go(&mut self) -> bool {
        let Some(build) = self.order.pop_front() else {
            return false;
        };
        match self.heads.get_mut(&build) {
            Some(head) if head.was_asked_for => {
                head.was_asked_for = false;
                self.order.push_back(build);
            }
            _ => {
                self.heads.remove(&build);
            }
        }
        true
    }
}
