//! This crate's part of a PostgreSQL database.
//!
//! It lives in the schema `sheen`, beside what `sheen-core` makes there and through the same
//! runner. The store over it is [`PgCreditStore`](crate::account::PgCreditStore).

use sheen_core::postgres::{MigrateError, Migration, Migrations};
use sqlx::postgres::PgPool;

/// The tables and functions of accounts.
pub const MIGRATIONS: Migrations = Migrations::new(
    "sheen-billing",
    &[
        Migration::new(
            1,
            "credits",
            include_str!("migrations/0001_credits.up.sql"),
            include_str!("migrations/0001_credits.down.sql"),
        ),
        Migration::new(
            2,
            "credit steps",
            include_str!("migrations/0002_credit_steps.up.sql"),
            include_str!("migrations/0002_credit_steps.down.sql"),
        ),
        Migration::new(
            3,
            "refunds and groups",
            include_str!("migrations/0003_refunds_and_groups.up.sql"),
            include_str!("migrations/0003_refunds_and_groups.down.sql"),
        ),
        Migration::new(
            4,
            "estimate samples",
            include_str!("migrations/0004_estimate_samples.up.sql"),
            include_str!("migrations/0004_estimate_samples.down.sql"),
        ),
        Migration::new(
            5,
            "groups make no account",
            include_str!("migrations/0005_groups_make_no_account.up.sql"),
            include_str!("migrations/0005_groups_make_no_account.down.sql"),
        ),
        Migration::new(
            6,
            "late gifts",
            include_str!("migrations/0006_late_gifts.up.sql"),
            include_str!("migrations/0006_late_gifts.down.sql"),
        ),
    ],
);

/// Brings the database up to date: what `sheen-core` keeps there, whose words and clock the
/// accounts use, then the accounts.
///
/// # Errors
/// As [`Migrations::up`].
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    sheen_core::postgres::migrate(pool).await?;
    MIGRATIONS.up(pool).await
}
