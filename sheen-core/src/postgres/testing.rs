//! The store's clock under a test's control. Never for a database that serves anyone.

use std::time::Duration;

use sqlx::postgres::PgPool;

use super::error::step_error;
use crate::error::StoreError;

/// Puts a clock in place of `sheen.now_ms()` that stands still until it is moved.
///
/// # Errors
/// When the database fails, or has such a clock already.
pub async fn install_clock(pool: &PgPool) -> Result<(), StoreError> {
    sqlx::raw_sql(include_str!("sql/test_clock_install.sql"))
        .execute(pool)
        .await
        .map_err(step_error)?;
    Ok(())
}

/// Moves the clock that [`install_clock`] put there.
///
/// # Errors
/// When the database fails, or has no such clock.
pub async fn advance_clock(pool: &PgPool, duration: Duration) -> Result<(), StoreError> {
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    sqlx::query(include_str!("sql/test_clock_advance.sql"))
        .bind(millis)
        .execute(pool)
        .await
        .map_err(step_error)?;
    Ok(())
}
