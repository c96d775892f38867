//! Epochs in PostgreSQL.
//!
//! A revocation is one statement on the user's row, by the database's time read after the row's
//! lock; asking is one read of it. What a revocation revokes is [`Epoch::after`]'s rule. Each
//! removes at most sixteen rows whose tokens have all expired an hour ago.

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::UserId;
use sheen_core::postgres::{row, step_error};
use sheen_core::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};

use super::store::RevocationStore;
use super::types::Epoch;

/// Epochs in PostgreSQL, over the caller's pool. The database must have been
/// [migrated](crate::postgres::migrate).
#[derive(Debug)]
pub struct PgRevocationStore {
    pool: PgPool,
}

impl PgRevocationStore {
    /// The epochs in the database behind `pool`.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

#[async_trait]
impl RevocationStore for PgRevocationStore {
    async fn revoke(&self, user: &UserId) -> Result<Epoch, StoreError> {
        let keep = i64::try_from(super::KEPT.as_millis()).unwrap_or(i64::MAX);
        let revoked = row(&self.pool, || {
            sqlx::query(include_str!("revoke.sql"))
                .bind(user.as_str())
                .bind(keep)
        })
        .await?;
        let revoked = revoked.ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt))?;
        epoch_of(&revoked)
    }

    async fn epoch(&self, user: &UserId) -> Result<Option<Epoch>, StoreError> {
        let revoked = row(&self.pool, || {
            sqlx::query(include_str!("epoch.sql")).bind(user.as_str())
        })
        .await?;
        revoked.as_ref().map(epoch_of).transpose()
    }
}

fn epoch_of(row: &PgRow) -> Result<Epoch, StoreError> {
    let revoked = row.try_get("revoked_ms").map_err(step_error)?;
    Ok(Epoch::after(Timestamp::from_millis(revoked)))
}
