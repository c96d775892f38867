//! Where a step's statements go: each on its own, or into a caller's transaction.

use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::query::Query;

use crate::error::StoreError;
use crate::postgres::{rows, step_error};

/// A way to the database.
pub(in crate::build) enum Line<'c> {
    /// Each statement commits by itself, and is sent again where others were in its way.
    Pool(&'c PgPool),
    /// A caller's transaction: what fails, fails it.
    Step(&'c mut PgConnection),
}

impl Line<'_> {
    pub(in crate::build) async fn rows<'q>(
        &mut self,
        statement: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        match self {
            Self::Pool(pool) => rows(pool, statement).await,
            Self::Step(step) => statement().fetch_all(&mut **step).await.map_err(step_error),
        }
    }

    pub(in crate::build) async fn row<'q>(
        &mut self,
        statement: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }
}
