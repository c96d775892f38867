//! The log for support in PostgreSQL. Each method is one statement.

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, MessageId, ProjectId, UserId};
use sheen_core::postgres::{row, rows};
use sheen_core::time::Timestamp;
use sqlx::postgres::{PgPool, PgRow};

use super::store::ChatLog;
use super::types::{ChatEntry, ChatKind, CorrelationId, Excerpt, Lookup, NewChatEntry, RETENTION};
use crate::postgres::{corrupt, get, signed, unsigned};

/// The log in PostgreSQL, over the caller's pool. The database must have been
/// [migrated](crate::postgres::migrate).
#[derive(Debug)]
pub struct PgChatLog {
    pool: PgPool,
}

impl PgChatLog {
    /// The log in the database behind `pool`.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

fn retention_ms() -> i64 {
    i64::try_from(RETENTION.as_millis()).unwrap_or(i64::MAX)
}

fn entry_of(row: &PgRow, user: UserId, id: MessageId) -> Result<ChatEntry, StoreError> {
    let kind: &str = get(row, "kind")?;
    let mut entry = NewChatEntry::new(
        id,
        user,
        CorrelationId::parse(get(row, "correlation_id")?).map_err(corrupt)?,
        ChatKind::from_name(kind).ok_or_else(|| corrupt("an unknown kind"))?,
        Excerpt::of(get(row, "text")?),
    );
    let project: Option<&str> = get(row, "project_id")?;
    entry.project = project.map(ProjectId::parse).transpose().map_err(corrupt)?;
    let build: Option<&str> = get(row, "build_id")?;
    entry.build = build.map(BuildId::parse).transpose().map_err(corrupt)?;
    let at = Timestamp::from_millis(get(row, "created_ms")?);
    Ok(ChatEntry::new(unsigned(row, "seq")?, at, entry))
}

#[async_trait]
impl ChatLog for PgChatLog {
    async fn record(&self, entry: NewChatEntry) -> Result<ChatEntry, StoreError> {
        let statement = || {
            sqlx::query(include_str!("sql/record.sql"))
                .bind(entry.user.as_str())
                .bind(entry.id.as_str())
                .bind(entry.correlation.as_str())
                .bind(entry.kind.as_str())
                .bind(entry.text.as_str())
                .bind(entry.project.as_ref().map(ProjectId::as_str))
                .bind(entry.build.as_ref().map(BuildId::as_str))
        };
        let kept = row(&self.pool, statement).await?;
        let kept = kept.ok_or_else(|| corrupt("no row for an entry"))?;
        entry_of(&kept, entry.user.clone(), entry.id.clone())
    }

    async fn find(
        &self,
        lookup: &Lookup,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ChatEntry>, StoreError> {
        let (sql, key) = match lookup {
            Lookup::User(user) => (include_str!("sql/by_user.sql"), user.as_str()),
            Lookup::Build(build) => (include_str!("sql/by_build.sql"), build.as_str()),
            Lookup::Correlation(id) => (include_str!("sql/by_correlation.sql"), id.as_str()),
        };
        let statement = || {
            sqlx::query(sql)
                .bind(key)
                .bind(before.map_or(i64::MAX, signed))
                .bind(retention_ms())
                .bind(i64::from(limit))
        };
        let found = rows(&self.pool, statement).await?;
        let entries = found.iter().map(|row| {
            let user = UserId::parse(get(row, "user_id")?).map_err(corrupt)?;
            let id = MessageId::parse(get(row, "entry_id")?).map_err(corrupt)?;
            entry_of(row, user, id)
        });
        entries.collect()
    }

    async fn expire(&self, limit: u32) -> Result<u32, StoreError> {
        let statement = || {
            sqlx::query(include_str!("sql/expire.sql"))
                .bind(retention_ms())
                .bind(i64::from(limit))
        };
        let done = row(&self.pool, statement).await?;
        let done = done.ok_or_else(|| corrupt("no row for an expiry"))?;
        u32::try_from(get::<i64>(&done, "removed")?).map_err(corrupt)
    }
}
