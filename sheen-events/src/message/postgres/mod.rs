//! Conversations in PostgreSQL. An append and a page are one statement each.

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::{MessageId, ProjectId, UserId};
use sheen_core::postgres::{row, rows};
use sheen_core::time::Timestamp;
use sqlx::postgres::{PgPool, PgRow};

use super::decide::{AppendDecision, ConversationHead, decide_append};
use super::store::MessageStore;
use super::types::{Content, Message, MessageOutcome, MessagePage, NewMessage, Role};
use crate::postgres::{corrupt, get, signed, unsigned};

/// Conversations in PostgreSQL, over the caller's pool. The database must have been
/// [migrated](crate::postgres::migrate).
#[derive(Debug)]
pub struct PgMessageStore {
    pool: PgPool,
}

impl PgMessageStore {
    /// The conversations in the database behind `pool`. They are as many as the disk holds.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

fn message(
    id: MessageId,
    row: &PgRow,
    [seq, role, content, at]: [&'static str; 4],
) -> Result<Message, StoreError> {
    let role: &str = get(row, role)?;
    Ok(Message {
        seq: unsigned(row, seq)?,
        id,
        role: Role::from_name(role).ok_or_else(|| corrupt("an unknown role"))?,
        content: Content::parse(get(row, content)?).map_err(corrupt)?,
        created_at: Timestamp::from_millis(get(row, at)?),
    })
}

/// What was met instead of what the append relied on, decided again.
fn refused(new: &NewMessage, row: &PgRow) -> Result<MessageOutcome, StoreError> {
    let owner = UserId::parse(get(row, "owner_id")?).map_err(corrupt)?;
    let last_at = Timestamp::from_millis(get(row, "last_ms")?);
    let head = ConversationHead::new(owner, unsigned(row, "head")?, last_at);
    let seq: Option<i64> = get(row, "known_seq")?;
    let columns = ["known_seq", "known_role", "known_content", "known_ms"];
    let known = seq.map(|_| message(new.id.clone(), row, columns));
    match decide_append(Some(&head), known.transpose()?.as_ref(), last_at, new) {
        AppendDecision::Refuse(outcome) => Ok(outcome),
        AppendDecision::Append(_) => Err(corrupt("an append was refused without a reason")),
    }
}

#[async_trait]
impl MessageStore for PgMessageStore {
    async fn append(&self, new: NewMessage) -> Result<MessageOutcome, StoreError> {
        let statement = || {
            sqlx::query(include_str!("sql/append.sql"))
                .bind(new.project.as_str())
                .bind(new.user.as_str())
                .bind(new.id.as_str())
                .bind(new.role.as_str())
                .bind(new.content.as_str())
        };
        let done = row(&self.pool, statement).await?;
        let done = done.ok_or_else(|| corrupt("no row for an append"))?;
        if !get::<bool>(&done, "hit")? {
            return refused(&new, &done);
        }
        let at = Timestamp::from_millis(get(&done, "last_ms")?);
        let message = Message::new(unsigned(&done, "head")?, at, &new);
        Ok(MessageOutcome::Appended(message))
    }

    async fn page(
        &self,
        user: &UserId,
        project: &ProjectId,
        after: u64,
        limit: u32,
    ) -> Result<Option<MessagePage>, StoreError> {
        let statement = || {
            sqlx::query(include_str!("sql/page.sql"))
                .bind(project.as_str())
                .bind(signed(after))
                .bind(i64::from(limit))
                .bind(user.as_str())
        };
        let found = rows(&self.pool, statement).await?;
        let Some(first) = found.first() else {
            return Ok(Some(MessagePage::new(Vec::new(), 0)));
        };
        if get::<&str>(first, "owner_id")? != user.as_str() {
            return Ok(None);
        }
        let head = unsigned(first, "head")?;
        let mut messages = Vec::with_capacity(found.len());
        for row in &found {
            // One row without a message stands for an empty page.
            if let Some(id) = get::<Option<&str>>(row, "message_id")? {
                let id = MessageId::parse(id).map_err(corrupt)?;
                let columns = ["seq", "role", "content", "created_ms"];
                messages.push(message(id, row, columns)?);
            }
        }
        Ok(Some(MessagePage::new(messages, head)))
    }
}
