//! A worker on memory stores.

use std::sync::Arc;

use sheen::memory::{MemoryConfig, MemoryRooms};
use sheen::worker::Worker;
use sheen_auth::limit::{LimitTable, Limiter, MemoryLimitStore, OnFailure};
use sheen_auth::replay::MemoryReplayStore;
use sheen_auth::signature::{Gate, KeyRing, Mode, SigningKey, Verifier};
use sheen_auth::token::ViewerTokens;
use sheen_axum::App;
use sheen_axum::limit::Limits;
use sheen_axum::timing::TimingMetrics;
use sheen_billing::package::Catalogue;
use sheen_core::entropy::{Entropy, OsEntropy};
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::runtime::TokioRuntime;
use sheen_core::secret::Secret;
use sheen_core::time::{Clock, SystemClock};
use sheen_events::feed::{Feed, FeedConfig};
use sheen_events::message::{Conversations, MemoryMessageConfig, MemoryMessageStore};
use sheen_events::replay::Replay;
use sheen_events::stream::{StreamConfig, StreamService};

/// Of nonces, limits and kept answers: more than any benchmark leaves behind.
const CAPACITY: usize = 2_000_000;

/// The front end's key.
pub(crate) fn key() -> SigningKey {
    SigningKey::new(
        KeyId::parse("k1").expect("an id"),
        PrincipalId::parse("web").expect("an id"),
        secret("a secret of the benchmark, 32 bytes or more"),
    )
}

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("long enough")
}

/// A worker with every layer, limits too, over memory stores.
pub(crate) fn app() -> (App, MemoryRooms) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let runtime = Arc::new(TokioRuntime);
    let mut config = MemoryConfig::default();
    config.records = CAPACITY;
    let rooms = MemoryRooms::new(config, Arc::clone(&clock), Arc::clone(&entropy));
    let parts = rooms.parts(runtime.clone(), runtime.clone(), Vec::new());
    let ring = KeyRing::new(vec![key()]).expect("one key");
    let replay = MemoryReplayStore::new(Arc::clone(&clock), CAPACITY);
    let gate = Gate::new(
        Verifier::new(ring, Mode::EnforceV2),
        Arc::new(replay),
        Arc::clone(&clock),
    );
    let limits = MemoryLimitStore::new(Arc::clone(&clock), CAPACITY);
    let limiter = Limiter::new(Arc::new(limits), OnFailure::Closed);
    let messages = MemoryMessageStore::new(Arc::clone(&clock), MemoryMessageConfig::default());
    let viewer_secret = secret("another secret of the benchmark, 32 or more");
    let app = App {
        worker: Arc::new(Worker::new(parts)),
        gate: Arc::new(gate),
        tokens: Arc::new(ViewerTokens::new(vec![viewer_secret]).expect("one secret")),
        revocations: None,
        failures: None,
        idempotency: rooms.idempotency.clone(),
        feed: Feed::remembering(
            rooms.log.clone(),
            rooms.wake.clone(),
            Arc::clone(&clock),
            FeedConfig::default(),
        ),
        replay: Replay::new(rooms.log.clone()),
        streams: StreamService::new(
            rooms.log.clone(),
            rooms.wake.clone(),
            runtime.clone(),
            Arc::clone(&clock),
            StreamConfig::default(),
        ),
        conversations: Conversations::new(Arc::new(messages)),
        recommendations: None,
        timings: Arc::new(TimingMetrics::new()),
        credits: rooms.credits.clone(),
        grants: rooms.credits.clone(),
        accounts: rooms.credits.clone(),
        catalogue: Catalogue::new(Vec::new()).expect("nothing to sell"),
        limits: Some(Arc::new(Limits::new(limiter, LimitTable::wire()))),
        deprecation: sheen_axum::signature::Deprecation::default(),
        allowed_origins: Vec::new(),
        clock,
        entropy,
        spawn: runtime.clone(),
        sleep: runtime,
    };
    (app, rooms)
}
