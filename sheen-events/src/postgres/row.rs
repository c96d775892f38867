//! Reading rows.

use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::postgres::step_error;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Decode, Row, Type};

/// What the database holds cannot be read.
pub(crate) fn corrupt(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, what)
}

pub(crate) fn get<'r, T>(row: &'r PgRow, column: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(column).map_err(step_error)
}

/// A number that counts something.
pub(crate) fn unsigned(row: &PgRow, column: &'static str) -> Result<u64, StoreError> {
    u64::try_from(get::<i64>(row, column)?).map_err(corrupt)
}

/// Beyond what the database can count there is nothing.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
