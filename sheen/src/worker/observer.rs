//! Telling others that a build was settled (wire.md §7): mail, a project's status, analytics.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event_listener::Event;
use futures_util::future::{self, Either, FutureExt};
use sheen_core::runtime::{Sleep, Spawn};

use crate::admission::Settled;

/// Hears of every settled build, after the settlement is committed: at least once, as long as the
/// process lives and no more than [`MAX_TRIES`] tries fail.
#[async_trait]
pub trait SettledObserver: fmt::Debug + Send + Sync + 'static {
    /// Takes note of a settled build. It may come more than once for the same build.
    ///
    /// # Errors
    /// When it should be tried again. A panic, or taking longer than [`TRY_LIMIT`], counts as a
    /// failed try.
    async fn settled(
        &self,
        settled: &Settled,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// How often an observer is tried for one build before it is given up and logged.
pub const MAX_TRIES: u32 = 10;
/// How long an observer may take for one try.
pub const TRY_LIMIT: Duration = Duration::from_secs(30);
/// The most deliveries under way; one more is given up and logged.
pub const MAX_PENDING: usize = 10_000;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Delivers settled builds in tasks of their own, so that a slow observer holds nobody up and a
/// caller that goes away takes no delivery with it.
#[derive(Debug)]
pub(super) struct Observers {
    list: Vec<Arc<dyn SettledObserver>>,
    spawn: Arc<dyn Spawn>,
    sleep: Arc<dyn Sleep>,
    pending: Arc<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    count: AtomicUsize,
    ended: Event,
}

/// One delivery under way, however it ends.
struct Delivery(Arc<Pending>);

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify(usize::MAX);
    }
}

impl Observers {
    pub(super) fn new(
        list: Vec<Arc<dyn SettledObserver>>,
        spawn: Arc<dyn Spawn>,
        sleep: Arc<dyn Sleep>,
    ) -> Self {
        Self {
            list,
            spawn,
            sleep,
            pending: Arc::default(),
        }
    }

    pub(super) fn notify(&self, settled: &Settled) {
        for observer in &self.list {
            let before = self.pending.count.fetch_add(1, Ordering::SeqCst);
            let delivery = Delivery(Arc::clone(&self.pending));
            if before >= MAX_PENDING {
                tracing::error!(build_id = %settled.build.id, ?observer, "observer given up: too many wait");
                continue;
            }
            let (observer, sleep) = (Arc::clone(observer), Arc::clone(&self.sleep));
            let settled = settled.clone();
            self.spawn.spawn(Box::pin(async move {
                deliver(&*observer, &settled, &*sleep).await;
                drop(delivery);
            }));
        }
    }

    /// Completes when no delivery is under way.
    pub(super) async fn all_heard(&self) {
        loop {
            let ended = self.pending.ended.listen();
            if self.pending.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }
}

async fn deliver(observer: &dyn SettledObserver, settled: &Settled, sleep: &dyn Sleep) {
    let build = &settled.build.id;
    let mut wait = FIRST_WAIT;
    for attempt in 1..=MAX_TRIES {
        let hearing = AssertUnwindSafe(observer.settled(settled)).catch_unwind();
        let error = match future::select(hearing, sleep.sleep(TRY_LIMIT)).await {
            Either::Left((Ok(Ok(())), _)) => return,
            Either::Left((Ok(Err(error)), _)) => error.to_string(),
            Either::Left((Err(_), _)) => "it panicked".to_owned(),
            Either::Right(_) => "it took too long".to_owned(),
        };
        if attempt == MAX_TRIES {
            tracing::error!(build_id = %build, ?observer, %error, "observer given up");
            return;
        }
        tracing::warn!(build_id = %build, ?observer, %error, attempt, "observer failed, trying again");
        sleep.sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
