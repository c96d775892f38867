//! Where a step's statements go: each on its own, or into a caller's transaction.

use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::query::Query;

use super::{rows, step_error};
use crate::error::StoreError;

/// A way to the database, so that a step is written once for both.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a statement commits by itself or with a transaction"
)]
pub enum Line<'c> {
    /// Each statement commits by itself, and is sent again where others were in its way.
    Pool(&'c PgPool),
    /// A caller's transaction: what fails, fails it.
    Step(&'c mut PgConnection),
}

impl Line<'_> {
    /// Runs a statement and gives its rows.
    ///
    /// # Errors
    /// What it failed with: on a pool after the last try, in a transaction at once.
    pub async fn rows<'q>(
        &mut self,
        statement: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        match self {
            Self::Pool(pool) => rows(pool, statement).await,
            Self::Step(step) => statement().fetch_all(&mut **step).await.map_err(step_error),
        }
    }

    /// As [`rows`](Self::rows), for a statement that answers with one row at most.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub async fn row<'q>(
        &mut self,
        statement: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }
}
