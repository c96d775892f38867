//! Where the worker keeps things: in PostgreSQL where `DATABASE_URL` is set, else in memory. Where
//! `REDIS_URL` is set, Redis has what was spent, what is limited, whose tokens were taken back, and the
//! wake-ups.

mod memory;
mod postgres;
mod redis;

use std::sync::Arc;

use examples::settings::WorkerSettings;
use sheen::admission::Admission;
use sheen_auth::limit::LimitStore;
use sheen_auth::replay::ReplayStore;
use sheen_auth::token::revocation::RevocationStore;
use sheen_billing::account::{CreditReader, CreditStore, CreditSweep, GrantStore};
use sheen_billing::estimate::SampleStore;
use sheen_core::build::BuildReader;
use sheen_core::entropy::Entropy;
use sheen_core::idempotency::IdempotencyStore;
use sheen_core::runtime::TokioRuntime;
use sheen_core::time::Clock;
use sheen_events::log::EventLog;
use sheen_events::message::MessageStore;
use sheen_events::recommend::{BuildsFirst, QueueLimits, RecommendQueue, RecommendStore};
use sheen_events::wake::{Wake, WakeParts};

use crate::late::Outbox;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A nonce is remembered for 12 to 17 minutes: about 1,000 signed calls a second, every second,
/// before the door refuses.
const REPLAY_CAPACITY: u32 = 1_000_000;

/// Keys of limits: users, addresses and principals seen within their periods.
const LIMIT_CAPACITY: usize = 1_000_000;

/// Users whose tokens were taken back within the life of a token.
const REVOKED_CAPACITY: usize = 100_000;

/// Every store of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Stores {
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) builds: Arc<dyn BuildReader>,
    pub(crate) idempotency: Arc<dyn IdempotencyStore>,
    pub(crate) credits: Arc<dyn CreditStore>,
    pub(crate) grants: Arc<dyn GrantStore>,
    pub(crate) accounts: Arc<dyn CreditReader>,
    pub(crate) lapsed: Arc<dyn CreditSweep>,
    pub(crate) samples: Arc<dyn SampleStore>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) messages: Arc<dyn MessageStore>,
    pub(crate) recommendations: Arc<dyn RecommendStore>,
    pub(crate) queue: Arc<dyn RecommendQueue>,
    pub(crate) builds_first: Arc<dyn BuildsFirst>,
    /// What workers that share these stores hear of one another's builds through.
    pub(crate) outbox: Option<Arc<dyn Outbox>>,
    pub(crate) door: Door,
}

/// What every call passes, and what wakes readers.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) replay: Arc<dyn ReplayStore>,
    pub(crate) limits: Arc<dyn LimitStore>,
    pub(crate) revoked: Arc<dyn RevocationStore>,
    pub(crate) wake: Arc<dyn Wake>,
}

/// What stores are opened with.
struct Opening<'a> {
    settings: &'a WorkerSettings,
    clock: &'a Arc<dyn Clock>,
    entropy: &'a Arc<dyn Entropy>,
    /// Of recommendations; the same in every process.
    queue: QueueLimits,
}

impl Opening<'_> {
    fn wake_parts(&self) -> WakeParts {
        WakeParts {
            spawn: Arc::new(TokioRuntime),
            sleep: Arc::new(TokioRuntime),
            clock: Arc::clone(self.clock),
            entropy: Arc::clone(self.entropy),
        }
    }
}

/// Opens the stores that the settings name.
pub(crate) async fn open(
    settings: &WorkerSettings,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    queue: QueueLimits,
) -> Result<Stores, Error> {
    let opening = Opening {
        settings,
        clock,
        entropy,
        queue,
    };
    let door = match &settings.family.redis_url {
        Some(url) => Some(redis::door(&opening, url.expose()).await?),
        None => None,
    };
    match &settings.family.database_url {
        Some(url) => postgres::open(&opening, url.expose(), door).await,
        None => Ok(memory::open(&opening, door)),
    }
}
