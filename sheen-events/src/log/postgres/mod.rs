//! A log in PostgreSQL: the decision is made over a stream as it is likely to be, and applied in one
//! statement that compares what it relied on.
//!
//! 1. An append moves the head of its stream and inserts its events in one statement. The stream's
//!    row is locked until the commit, so commit order is seq order and a failure leaves no hole.
//! 2. It relies on the token, on the stream being open and, only when it may end the build, on what
//!    ended it. A miss brings the stream back, and it is decided again over that.
//! 3. Nothing is notified here: ring a [`Wake`](crate::wake::Wake) once the append is answered.
//! 4. A page is one statement too, so its events and its head are of one instant.

mod rows;

use std::sync::Arc;

use async_trait::async_trait;
use sheen_core::entropy::Entropy;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::BuildId;
use sheen_core::postgres::{escape, row, rows};
use sheen_core::token::FencingToken;
use sqlx::postgres::{PgPool, PgRow};

use super::decide::{AppendDecision, StreamPosition};
use super::store::EventLog;
use super::types::{
    Append, AppendOutcome, Event, EventStatus, NewStream, Page, StreamHead, Visibility,
};
use rows::{Done, EventRow, corrupt};

/// How often one append is decided before it gives up. Each miss means that the stream's token,
/// openness or end changed in between, which happens a few times in its life.
const DECISIONS: u32 = 8;

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

    /// Sends an append that was decided over `seen`.
    async fn send(&self, append: &Append, seen: &StreamPosition) -> Result<PgRow, StoreError> {
        // What the events would make of the end is all that the decision adds to them.
        let mut after = seen.clone();
        after.note(append.events.iter());
        let ends = |event: &super::types::NewEvent| {
            event.visibility == Visibility::User && EventStatus::decided_by(&event.kind).is_some()
        };
        let any_ended = !append.events.iter().any(ends);
        let visible: Vec<bool> = append
            .events
            .iter()
            .map(|event| event.visibility == Visibility::User)
            .collect();
        let kinds: Vec<&str> = append.events.iter().map(|e| e.kind.as_str()).collect();
        let data: Vec<&str> = append.events.iter().map(|e| &*e.data).collect();
        row(&self.pool, || {
            sqlx::query(include_str!("sql/append.sql"))
                .bind(append.build.as_str())
                .bind(append.key.as_deref().map(escape))
                .bind(number(append.token.get()))
                .bind(any_ended)
                .bind(seen.ended_by.as_ref().map(|kind| kind.as_str()))
                .bind(after.ended_by.as_ref().map(|kind| kind.as_str()))
                .bind(&visible)
                .bind(&kinds)
                .bind(&data)
        })
        .await?
        .ok_or_else(|| corrupt("no row for an append"))
    }

    async fn first_answer(
        &self,
        append: &Append,
        stream: &StreamHead,
        done: Done,
    ) -> Result<Vec<Event>, StoreError> {
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/appended.sql"))
                .bind(append.build.as_str())
                .bind(done.head.0)
                .bind(done.head.1)
                .bind(done.hidden.0)
                .bind(done.hidden.1)
        })
        .await?;
        found
            .iter()
            .map(|found| EventRow(found).event(&append.build, &stream.session))
            .collect()
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[async_trait]
impl EventLog for PgEventLog {
    async fn open(&self, stream: NewStream) -> Result<StreamHead, StoreError> {
        let epoch = number(self.draw_epoch());
        // Twice at most: one that was opened meanwhile is not seen by the statement that met it.
        for _ in 0..2 {
            let found = row(&self.pool, || {
                sqlx::query(include_str!("sql/open.sql"))
                    .bind(stream.build.as_str())
                    .bind(stream.user.as_str())
                    .bind(stream.session.as_str())
                    .bind(epoch)
            })
            .await?;
            if let Some(found) = found {
                return EventRow(&found)
                    .head()?
                    .ok_or_else(|| corrupt("a stream without a build"));
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError> {
        if !append.is_well_formed() {
            return Err(StoreError::new(StoreErrorKind::Rejected));
        }
        let mut seen = StreamPosition {
            token: append.token,
            ..StreamPosition::default()
        };
        for _ in 0..DECISIONS {
            match seen.decide(append.token) {
                AppendDecision::Fenced => return Ok(AppendOutcome::Fenced),
                AppendDecision::Closed => return Ok(AppendOutcome::Closed),
                AppendDecision::Append => {}
            }
            let sent = self.send(&append, &seen).await?;
            let sent = EventRow(&sent);
            let Some(stream) = sent.head()? else {
                return Ok(AppendOutcome::NotFound);
            };
            if let Some(done) = sent.done()? {
                let events = self.first_answer(&append, &stream, done).await?;
                return Ok(AppendOutcome::Duplicate(events));
            }
            seen = sent.position()?;
            if sent.get("hit")? {
                let first = sent.instant("first_ms")?;
                let Append { build, events, .. } = append;
                let events = seen.number(first, &build, &stream.session, events);
                return Ok(AppendOutcome::Appended(events));
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }

    async fn raise(&self, build: &BuildId, token: FencingToken) -> Result<bool, StoreError> {
        let found = row(&self.pool, || {
            sqlx::query(include_str!("sql/raise.sql"))
                .bind(build.as_str())
                .bind(number(token.get()))
        });
        Ok(found.await?.is_some())
    }

    async fn close(&self, build: &BuildId) -> Result<bool, StoreError> {
        let found = row(&self.pool, || {
            sqlx::query(include_str!("sql/close.sql")).bind(build.as_str())
        });
        Ok(found.await?.is_some())
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
