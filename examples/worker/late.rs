//! What a worker that was killed could not do for a build it had just settled: another one does.
//!
//! The outbox remembers every build that ended, in the very transaction that ended it. Whoever
//! settled the build ends its stream within moments; only where that did not happen is there
//! anything left to do here.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sheen::admission::{Charge, Settled};
use sheen::recommending::EndStreams;
use sheen::worker::SettledObserver as _;
use sheen_core::build::settled::{
    BuildObserver, Courier, Delivery, ObserverRegistry, Round, SettledOutbox,
};
use sheen_core::id::{ObserverId, WorkerId};
use sheen_core::runtime::{Sleep as _, Spawn as _, TokioRuntime};
use sheen_core::time::Clock;
use sheen_events::log::EventLog;

/// How long whoever settled a build has for its stream.
const OWN: Duration = Duration::from_secs(3);
/// Between two looks at an outbox that had nothing.
const PAUSE: Duration = Duration::from_secs(1);
/// Deliveries before the next look whether there are any.
const ROUND: u32 = 100;

/// Ends streams that were left open.
#[derive(Debug)]
pub(crate) struct LateStreams {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) ends: EndStreams,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl BuildObserver for LateStreams {
    async fn settled(&self, delivery: &Delivery) -> Result<(), Box<dyn Error + Send + Sync>> {
        let build = &delivery.build;
        let age = self.clock.now().since(build.updated_at);
        TokioRuntime.sleep(OWN.saturating_sub(age)).await;
        let page = self.log.read(&build.id, 0, 0).await?;
        if page.is_some_and(|page| !page.stream.closed) {
            // How it was charged is nothing to its stream.
            let settled = Settled::new(build.clone(), Charge::None);
            self.ends.settled(&settled).await?;
        }
        Ok(())
    }
}

/// Where the outbox and its observers are.
pub(crate) trait Outbox: SettledOutbox + ObserverRegistry {}

impl<T: SettledOutbox + ObserverRegistry> Outbox for T {}

/// Listens to `outbox` from now on, beside the other workers that do.
pub(crate) async fn listen(
    outbox: Arc<dyn Outbox>,
    late: LateStreams,
    worker: WorkerId,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let name = ObserverId::parse("late-streams")?;
    outbox.register(&name).await?;
    let sleep = Arc::new(TokioRuntime);
    let courier = Courier::new(outbox, name, Arc::new(late), worker, sleep);
    TokioRuntime.spawn(Box::pin(async move {
        loop {
            let nothing = match courier.deliver(ROUND).await {
                Ok(round) => round == Round::default(),
                Err(error) => {
                    tracing::warn!(%error, "the outbox failed");
                    true
                }
            };
            if nothing {
                TokioRuntime.sleep(PAUSE).await;
            }
        }
    }));
    Ok(())
}
