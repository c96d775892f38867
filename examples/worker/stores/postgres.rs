//! Everything in one PostgreSQL, which any number of workers may share.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sheen::postgres::{PgConfig, PgRooms};
use sheen_auth::limit::MemoryLimitStore;
use sheen_auth::replay::PgReplayStore;
use sheen_auth::token::revocation::PgRevocationStore;
use sheen_billing::estimate::PgSampleStore;
use sheen_core::runtime::{Sleep as _, Spawn as _, TokioRuntime};
use sheen_events::message::PgMessageStore;
use sheen_events::recommend::{BuildsFirst, PgRecommendStore};
use sheen_events::wake::{PgWake, WakeConfig};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use super::{Door, Error, LIMIT_CAPACITY, Opening, REPLAY_CAPACITY, Stores};

/// Connections of one worker, beside the two of its wake-ups.
const CONNECTIONS: u32 = 16;
/// A call that gets no connection within this is refused as unavailable.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the queue is looked at on behalf of recommendations.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a build was queued when this was last looked at.
#[derive(Debug)]
struct Queue(Arc<AtomicBool>);

impl BuildsFirst for Queue {
    fn builds_wait(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Queue {
    fn watch(pool: PgPool) -> Self {
        let waits = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&waits);
        TokioRuntime.spawn(Box::pin(async move {
            loop {
                let found = sqlx::query_scalar(
                    "SELECT EXISTS (SELECT 1 FROM sheen.builds WHERE status = 'queued')",
                );
                if let Ok(waits) = found.fetch_one(&pool).await {
                    seen.store(waits, Ordering::Relaxed);
                }
                TokioRuntime.sleep(LOOK).await;
            }
        }));
        Self(waits)
    }
}

pub(super) async fn open(
    opening: &Opening<'_>,
    url: &str,
    door: Option<Door>,
) -> Result<Stores, Error> {
    // Neither the address nor what is wrong with it may be told: it holds a password.
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| "DATABASE_URL is not an address of PostgreSQL")?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .connect_with(options.clone())
        .await
        .map_err(|error| format!("cannot reach the database of DATABASE_URL: {error}"))?;
    sheen::postgres::migrate(&pool).await?;
    sheen_auth::postgres::migrate(&pool).await?;

    let mut rules = PgConfig::default();
    rules.credits.daily_gift = opening.settings.daily_gift;
    rules.credits.welcome_bonus = opening.settings.welcome_bonus;
    rules.leave_streams_open = true;
    let (clock, entropy) = (Arc::clone(opening.clock), Arc::clone(opening.entropy));
    let rooms = PgRooms::new(pool.clone(), rules, clock, entropy);
    let recommendations = Arc::new(PgRecommendStore::new(pool.clone(), opening.queue));
    let door = match door {
        Some(door) => door,
        None => Door {
            replay: Arc::new(PgReplayStore::new(pool.clone(), REPLAY_CAPACITY.into())),
            // Each worker counts for itself: what several share needs Redis.
            limits: Arc::new(MemoryLimitStore::new(
                Arc::clone(opening.clock),
                LIMIT_CAPACITY,
            )),
            revoked: Arc::new(PgRevocationStore::new(pool.clone())),
            wake: Arc::new(PgWake::start(
                options,
                opening.wake_parts(),
                WakeConfig::default(),
            )),
        },
    };
    Ok(Stores {
        admission: rooms.admission.clone(),
        builds: rooms.builds.clone(),
        idempotency: rooms.idempotency.clone(),
        credits: rooms.credits.clone(),
        grants: rooms.credits.clone(),
        accounts: rooms.credits.clone(),
        lapsed: rooms.credits.clone(),
        samples: Arc::new(PgSampleStore::new(pool.clone())),
        log: rooms.log.clone(),
        messages: Arc::new(PgMessageStore::new(pool.clone())),
        recommendations: recommendations.clone(),
        queue: recommendations,
        builds_first: Arc::new(Queue::watch(pool)),
        outbox: Some(rooms.builds),
        door,
    })
}
