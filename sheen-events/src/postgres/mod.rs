//! This crate's part of a PostgreSQL database.
//!
//! It lives in the schema `sheen`, beside what `sheen-core` makes there and through the same
//! runner.
//!
//! Its tables are under row-level security: their owner, as whom the service connects, reads and
//! writes all; any other role sees nothing.

mod row;
mod talk;

use sheen_core::postgres::MigrateError;
use sqlx::postgres::PgPool;

pub(crate) use row::{corrupt, get, signed, unsigned};
pub use talk::TALK;

/// Brings the database up to date: what `sheen-core` keeps there, whose words and clock are used
/// here, then this crate's part.
///
/// # Errors
/// As [`Migrations::up`](sheen_core::postgres::Migrations::up).
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    sheen_core::postgres::migrate(pool).await?;
    TALK.up(pool).await
}
