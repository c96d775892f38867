//! Every room on one PostgreSQL, wired. Any number of processes may share the database.
//!
//! What is acknowledged is committed, so a restart forgets nothing, and another process goes on
//! where one was killed.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use sheen::postgres::{PgConfig, PgRooms, migrate};
//! use sheen::worker::Worker;
//! use sheen_core::{entropy::OsEntropy, runtime::TokioRuntime, time::SystemClock};
//! use sheen_events::wake::MemoryWake;
//! use sqlx::postgres::PgPoolOptions;
//!
//! # async fn connect() -> Result<Worker, Box<dyn std::error::Error>> {
//! let pool = PgPoolOptions::new()
//!     .test_before_acquire(false) // saves a round trip a step
//!     .connect("postgres://localhost/sheen")
//!     .await?;
//! migrate(&pool).await?;
//! let (clock, entropy) = (Arc::new(SystemClock::new()), Arc::new(OsEntropy));
//! let rooms = PgRooms::new(pool, PgConfig::default(), clock, entropy);
//! let runtime = Arc::new(TokioRuntime);
//! // Readers in other processes hear of it through `PgWake` or `RedisWake` instead.
//! let wake = Arc::new(MemoryWake::new());
//! let worker = Worker::new(rooms.parts(wake, runtime.clone(), runtime, Vec::new()));
//! # Ok(worker)
//! # }
//! ```

use std::sync::Arc;

use sheen_billing::account::{CreditPolicy, PgCreditStore};
use sheen_core::build::{Deadlines, PgBuildStore};
use sheen_core::entropy::Entropy;
use sheen_core::idempotency::{Lifetimes, PgIdempotencyStore};
use sheen_core::postgres::MigrateError;
use sheen_core::runtime::{Sleep, Spawn};
use sheen_core::time::Clock;
use sheen_events::log::PgEventLog;
use sheen_events::wake::Wake;
use sqlx::postgres::PgPool;

use crate::admission::postgres::PgAdmission;
use crate::worker::{Parts, SettledObserver};

/// Brings the database up to date: the tables and functions of every room. Several processes may
/// do it at once.
///
/// # Errors
/// As [`Migrations::up`](sheen_core::postgres::Migrations::up).
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    sheen_core::postgres::migrate(pool).await?;
    sheen_billing::postgres::migrate(pool).await?;
    sheen_events::postgres::migrate(pool).await
}

/// The rules of the rooms.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PgConfig {
    /// How accounts are fed and capped.
    pub credits: CreditPolicy,
    /// When silent builds count as lost.
    pub deadlines: Deadlines,
    /// How long kept answers and leases live.
    pub lifetimes: Lifetimes,
    /// Whether the streams of settled builds stay open until recommendations have settled too:
    /// then [`EndStreams`](crate::recommending::EndStreams) must be among the observers.
    pub leave_streams_open: bool,
}

/// The stores of one worker in one database, and the steps across them. All tell the time by the
/// database's clock.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PgRooms {
    /// Kept answers.
    pub idempotency: Arc<PgIdempotencyStore>,
    /// Builds and projects.
    pub builds: Arc<PgBuildStore>,
    /// Accounts.
    pub credits: Arc<PgCreditStore>,
    /// Events.
    pub log: Arc<PgEventLog>,
    /// The steps across the rooms.
    pub admission: Arc<PgAdmission>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl PgRooms {
    /// The rooms in the database behind `pool`, which must have been [migrated](migrate). `clock`
    /// names sessions; no rule goes by it.
    #[must_use]
    pub fn new(
        pool: PgPool,
        config: PgConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let idempotency = PgIdempotencyStore::new(pool.clone(), config.lifetimes);
        let builds = Arc::new(PgBuildStore::new(pool.clone(), config.deadlines));
        let credits = Arc::new(PgCreditStore::new(pool.clone(), config.credits));
        let log = Arc::new(PgEventLog::new(pool.clone(), Arc::clone(&entropy)));
        let mut admission = PgAdmission::new(
            pool,
            config.lifetimes,
            Arc::clone(&builds),
            Arc::clone(&credits),
            Arc::clone(&log),
        );
        if config.leave_streams_open {
            admission = admission.leave_streams_open();
        }
        Self {
            idempotency: Arc::new(idempotency),
            builds,
            credits,
            log,
            admission: Arc::new(admission),
            clock,
            entropy,
        }
    }

    /// What a [`Worker`](crate::worker::Worker) over these rooms is made of. `wake` is what
    /// readers wait on.
    #[must_use]
    pub fn parts(
        &self,
        wake: Arc<dyn Wake>,
        spawn: Arc<dyn Spawn>,
        sleep: Arc<dyn Sleep>,
        observers: Vec<Arc<dyn SettledObserver>>,
    ) -> Parts {
        Parts {
            admission: self.admission.clone(),
            builds: self.builds.clone(),
            log: self.log.clone(),
            wake,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            spawn,
            sleep,
            observers,
        }
    }
}
