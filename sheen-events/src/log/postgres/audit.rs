//! All events of a stream in PostgreSQL, for operators.

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::BuildId;
use sheen_core::postgres::rows;

use super::rows::{EventRow, corrupt};
use super::{PgEventLog, number};
use crate::log::audit::{AuditLog, AuditPage, AuditPlace};
use crate::postgres::unsigned;

#[async_trait]
impl AuditLog for PgEventLog {
    async fn read_all(
        &self,
        build: &BuildId,
        after: AuditPlace,
        limit: u32,
    ) -> Result<Option<AuditPage>, StoreError> {
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/read_all.sql"))
                .bind(build.as_str())
                .bind(number(after.seq))
                .bind(number(after.hidden))
                .bind(i64::from(limit))
        })
        .await?;
        let Some(first) = found.first() else {
            return Ok(None);
        };
        let stream = EventRow(first).head()?.ok_or_else(|| corrupt("build_id"))?;
        let hidden_head = unsigned(first, "hidden_head")?;
        let mut events = Vec::with_capacity(found.len());
        for found in &found {
            let found = EventRow(found);
            if found.get::<Option<i64>>("seq")?.is_some() {
                events.push(found.event(build, &stream.session)?);
            }
        }
        Ok(Some(AuditPage::new(events, stream, hidden_head)))
    }
}
