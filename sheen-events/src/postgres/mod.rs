//! This crate's part of a PostgreSQL database.
//!
//! It lives in the schema `sheen`, beside what `sheen-core` makes there and through the same
//! runner. The log over it is [`PgEventLog`](crate::log::PgEventLog).
//!
//! Its tables are under row-level security: their owner, as whom the service connects, reads and
//! writes all; any other role sees nothing, but for the visible events of the user that its session
//! names with `SET sheen.user_id = '…'`.

mod row;
mod talk;

use sheen_core::postgres::{MigrateError, Migration, Migrations};
use sqlx::postgres::PgPool;

pub(crate) use row::{corrupt, get, signed, unsigned};
pub use talk::TALK;

/// The tables and functions of event logs.
pub const MIGRATIONS: Migrations = Migrations::new(
    "sheen-events",
    &[
        Migration::new(
            1,
            "events",
            include_str!("migrations/0001_events.up.sql"),
            include_str!("migrations/0001_events.down.sql"),
        ),
        Migration::new(
            2,
            "event steps",
            include_str!("migrations/0002_event_steps.up.sql"),
            include_str!("migrations/0002_event_steps.down.sql"),
        ),
        Migration::new(
            3,
            "retention",
            include_str!("migrations/0003_retention.up.sql"),
            include_str!("migrations/0003_retention.down.sql"),
        ),
    ],
);

/// For readers of the table that was there before this worker (wire.md §7): the view
/// `sheen.project_build_events`, whose rows are those of [`Shape::Row`](crate::feed::Shape::Row).
/// It shows a role what the tables show it. Run it, or do not.
pub const VIEW: Migrations = Migrations::new(
    "sheen-events-view",
    &[Migration::new(
        1,
        "project_build_events",
        include_str!("migrations/view_0001.up.sql"),
        include_str!("migrations/view_0001.down.sql"),
    )],
);

/// Brings the database up to date: what `sheen-core` keeps there, whose words and clock the log
/// uses, then the logs and what people say. The [`VIEW`] is apart.
///
/// # Errors
/// As [`Migrations::up`].
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    sheen_core::postgres::migrate(pool).await?;
    MIGRATIONS.up(pool).await?;
    TALK.up(pool).await
}
