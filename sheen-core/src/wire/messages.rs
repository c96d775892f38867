//! The conversation about a project (wire.md §12).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::id::MessageId;
use crate::time::Timestamp;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct MessageItem {
    /// Its name.
    pub id: MessageId,
    /// `user`, `assistant` or `system`.
    pub role: Cow<'static, str>,
    /// What was said.
    pub content: String,
    /// When.
    pub created_at: Timestamp,
}

/// The answer to `GET /v1/projects/{id}/messages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct MessagesAnswer {
    /// At most 50, the oldest first.
    pub messages: Vec<MessageItem>,
    /// From where to go on; `null` at the end.
    pub next_cursor: Option<String>,
    /// Whether more is there already.
    pub has_more: bool,
}
