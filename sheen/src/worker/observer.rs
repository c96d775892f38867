//! Telling others that a build was settled (wire.md §7): mail, a project's status, analytics.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::runtime::{Sleep, Spawn};

use crate::admission::Settled;

/// Hears of every settled build, at least once each, after the settlement is committed.
#[async_trait]
pub trait SettledObserver: fmt::Debug + Send + Sync + 'static {
    /// Takes note of a settled build. It may come more than once for the same build.
    ///
    /// # Errors
    /// When it should be tried again. After [`MAX_TRIES`] tries it is given up and logged.
    async fn settled(
        &self,
        settled: &Settled,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// How often an observer is tried for one build before it is given up.
pub const MAX_TRIES: u32 = 10;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Delivers settled builds in tasks of their own, so that a slow observer holds nobody up and a
/// caller that goes away takes no delivery with it.
#[derive(Debug)]
pub(crate) struct Observers {
    pub(crate) list: Vec<Arc<dyn SettledObserver>>,
    pub(crate) spawn: Arc<dyn Spawn>,
    pub(crate) sleep: Arc<dyn Sleep>,
}

impl Observers {
    pub(crate) fn notify(&self, settled: &Settled) {
        for observer in &self.list {
            let task =
                deliver(Arc::clone(observer), settled.clone(), Arc::clone(&self.sleep));
            self.spawn.spawn(Box::pin(task));
        }
    }
}

async fn deliver(observer: Arc<dyn SettledObserver>, settled: Settled, sleep: Arc<dyn Sleep>) {
    let mut wait = FIRST_WAIT;
    for attempt in 1..=MAX_TRIES {
        let Err(error) = observer.settled(&settled).await else { return };
        let build = &settled.build.id;
        if attempt == MAX_TRIES {
            tracing::error!(%build, ?observer, %error, "observer given up");
            return;
        }
        tracing::warn!(%build, ?observer, %error, attempt, "observer failed, trying again");
        sleep.sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
