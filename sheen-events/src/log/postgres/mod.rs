//! A log in PostgreSQL: the decision is made over a stream as it is likely to be, and applied in one
//! statement that compares what it relied on.
//!
//! 1. An append moves the head of its stream and inserts its events in one statement. The stream's
//!    row is locked until the commit, so commit order is seq order and a failure leaves no hole.
//! 2. It relies on the token, on the stream being open and, only when it may end the build, on what
//!    ended it. A miss brings the stream back, and it is decided again over that.
//! 3. Nothing is notified here: ring a [`Wake`](crate::wake::Wake) once the append is answered.
//! 4. In a caller's own transaction (`open_in`, `append_in`, `raise_in`, `close_in`) the same
//!    statements come and go with it.
//! 5. A page is one statement too, so its events and its head are of one instant.

mod audit;
mod rows;
mod steps;
mod within;

use std::sync::Arc;

use async_trait::async_trait;
use sheen_core::entropy::Entropy;
use sheen_core::error::StoreError;
use sheen_core::id::BuildId;
use sheen_core::postgres::{Line, rows};
use sheen_core::token::FencingToken;
use sqlx::postgres::PgPool;

use super::store::EventLog;
use super::types::{Append, AppendOutcome, NewStream, Page, StreamHead};
use rows::{EventRow, corrupt};

/// An event log in PostgreSQL, over the caller's pool. The database must have been
/// [migrated](crate::postgres::migrate).
///
/// ```no_run
/// use std::sync::Arc;
/// use sheen_core::entropy::OsEntropy;
/// use sheen_events::log::PgEventLog;
/// use sqlx::postgres::PgPoolOptions;
///
/// # async fn connect() -> Result<PgEventLog, Box<dyn std::error::Error>> {
/// let pool = PgPoolOptions::new()
///     .test_before_acquire(false) // saves a round trip a step
///     .connect("postgres://localhost/sheen")
///     .await?;
/// sheen_events::postgres::migrate(&pool).await?;
/// let log = PgEventLog::new(pool, Arc::new(OsEntropy));
/// # Ok(log)
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PgEventLog {
    pool: PgPool,
    entropy: Arc<dyn Entropy>,
}

impl PgEventLog {
    /// The logs in the database behind `pool`. `entropy` gives each new stream its epoch.
    #[must_use]
    pub const fn new(pool: PgPool, entropy: Arc<dyn Entropy>) -> Self {
        Self { pool, entropy }
    }

    /// Gives every stream another epoch and says how many there are. Run it once after the database
    /// was restored from a backup, before anyone reads: seqs that readers saw may be given again,
    /// and a new epoch is what tells them (failures A8).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew_epochs(&self) -> Result<u64, StoreError> {
        let mut connection = self
            .pool
            .acquire()
            .await
            .map_err(sheen_core::postgres::connect_error)?;
        let renewed = sqlx::query(include_str!("sql/renew.sql"))
            .execute(&mut *connection)
            .await
            .map_err(sheen_core::postgres::step_error)?;
        Ok(renewed.rows_affected())
    }

    fn draw_epoch(&self) -> u64 {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        (u64::from_le_bytes(bytes) & StreamHead::MAX_EPOCH).max(1)
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[async_trait]
impl EventLog for PgEventLog {
    async fn open(&self, stream: NewStream) -> Result<StreamHead, StoreError> {
        let line = &mut Line::Pool(&self.pool);
        steps::open(line, &stream, self.draw_epoch()).await
    }

    async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError> {
        steps::append(&mut Line::Pool(&self.pool), append).await
    }

    async fn raise(&self, build: &BuildId, token: FencingToken) -> Result<bool, StoreError> {
        steps::raise(&mut Line::Pool(&self.pool), build, token).await
    }

    async fn close(&self, build: &BuildId) -> Result<bool, StoreError> {
        steps::close(&mut Line::Pool(&self.pool), build).await
    }

    async fn read(
        &self,
        build: &BuildId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Page>, StoreError> {
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/read.sql"))
                .bind(build.as_str())
                .bind(number(after))
                .bind(i64::from(limit))
        })
        .await?;
        let Some(first) = found.first() else {
            return Ok(None);
        };
        let stream = EventRow(first).head()?.ok_or_else(|| corrupt("build_id"))?;
        let mut events = Vec::with_capacity(found.len());
        for found in &found {
            let found = EventRow(found);
            if found.get::<Option<i64>>("seq")?.is_some() {
                events.push(found.event(build, &stream.session)?);
            }
        }
        Ok(Some(Page::new(events, stream)))
    }
}
