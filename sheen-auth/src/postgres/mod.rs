//! This crate's part of a PostgreSQL database.
//!
//! It lives in the schema `sheen`, beside what `sheen-core` makes there and through the same
//! runner. The stores over it are [`PgReplayStore`](crate::replay::PgReplayStore) and
//! [`PgRevocationStore`](crate::token::revocation::PgRevocationStore).

use sheen_core::postgres::{MigrateError, Migration, Migrations};
use sqlx::postgres::PgPool;

/// The tables and functions of spent things and of epochs.
pub const MIGRATIONS: Migrations = Migrations::new(
    "sheen-auth",
    &[
        Migration::new(
            1,
            "spent things",
            include_str!("migrations/0001_replay.up.sql"),
            include_str!("migrations/0001_replay.down.sql"),
        ),
        Migration::new(
            2,
            "revocation epochs",
            include_str!("migrations/0002_revocation.up.sql"),
            include_str!("migrations/0002_revocation.down.sql"),
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
