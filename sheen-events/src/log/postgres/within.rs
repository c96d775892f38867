//! The same steps inside a caller's own transaction.

use sheen_core::error::StoreError;
use sheen_core::id::BuildId;
use sheen_core::postgres::Line;
use sheen_core::token::FencingToken;
use sqlx::postgres::PgConnection;

use super::{PgEventLog, steps};
use crate::log::types::{Append, AppendOutcome, NewStream, StreamHead};

/// Steps of a caller's transaction: they come and go with it.
///
/// 1. Each gives the outcome that its namesake of [`EventLog`](crate::log::EventLog) would. The
///    stream stays locked until the transaction ends: other writers of it wait, readers do not.
/// 2. What fails here fails the transaction: roll it back. Nothing is sent again from here; where
///    the error is transient, repeat the transaction.
/// 3. Use READ COMMITTED, PostgreSQL's own isolation level.
/// 4. Ring a [`Wake`](crate::wake::Wake) after the commit, not before: who looks earlier sees
///    nothing.
///
/// ```no_run
/// # use sheen_events::log::{Append, AppendOutcome, PgEventLog};
/// # async fn demo(
/// #     pool: sqlx::PgPool, log: PgEventLog, append: Append,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut step = pool.begin().await?;
/// if let AppendOutcome::Appended(_) = log.append_in(&mut step, append).await? {
///     sqlx::query("UPDATE sites SET pages = pages + 1").execute(&mut *step).await?;
///     step.commit().await?;
/// }
/// # Ok(())
/// # }
/// ```
impl PgEventLog {
    /// Opens a build's stream.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_in(
        &self,
        step: &mut PgConnection,
        stream: NewStream,
    ) -> Result<StreamHead, StoreError> {
        steps::open(&mut Line::Step(step), &stream, self.draw_epoch()).await
    }

    /// Appends events.
    ///
    /// # Errors
    /// When the database fails; `Rejected` when the append is not well formed.
    pub async fn append_in(
        &self,
        step: &mut PgConnection,
        append: Append,
    ) -> Result<AppendOutcome, StoreError> {
        steps::append(&mut Line::Step(step), append).await
    }

    /// From now on only `token` may append; `false` when there is no such stream.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn raise_in(
        &self,
        step: &mut PgConnection,
        build: &BuildId,
        token: FencingToken,
    ) -> Result<bool, StoreError> {
        steps::raise(&mut Line::Step(step), build, token).await
    }

    /// Ends a stream; `false` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn close_in(
        &self,
        step: &mut PgConnection,
        build: &BuildId,
    ) -> Result<bool, StoreError> {
        steps::close(&mut Line::Step(step), build).await
    }
}
