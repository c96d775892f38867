//! This crate's part of a PostgreSQL database.
//!
//! It lives in the schema `sheen`, beside what `sheen-core` makes there and through the same
//! runner.

mod row;

use sheen_core::postgres::{MigrateError, Migration, Migrations};
use sqlx::postgres::PgPool;

pub(crate) use row::{corrupt, get, signed, unsigned};

/// The tables and functions of this crate.
pub const MIGRATIONS: Migrations = Migrations::new(
    "sheen-events",
    &[
        Migration::new(
            1,
            "messages",
            include_str!("migrations/messages.up.sql"),
            include_str!("migrations/messages.down.sql"),
        ),
        Migration::new(
            2,
            "chat log",
            include_str!("migrations/chat_log.up.sql"),
            include_str!("migrations/chat_log.down.sql"),
        ),
        Migration::new(
            3,
            "recommendations",
            include_str!("migrations/recommendations.up.sql"),
            include_str!("migrations/recommendations.down.sql"),
        ),
    ],
);

/// Brings the database up to date: what `sheen-core` keeps there, whose words and clock are used
/// here, then this crate's part.
///
/// # Errors
/// As [`Migrations::up`].
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    sheen_core::postgres::migrate(pool).await?;
    MIGRATIONS.up(pool).await
}
