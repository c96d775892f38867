//! Messages, pages of them, and what a store answers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sheen_core::error::FieldProblem;
use sheen_core::id::{MessageId, ProjectId, UserId};
use sheen_core::time::Timestamp;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// The person.
    User,
    /// The one who answers.
    Assistant,
    /// The service itself: a note that a build began, say.
    System,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::User, Self::Assistant, Self::System];

    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// What is said: 1 to [`Content::MAX`] bytes that are not only white space, without NUL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Content(Arc<str>);

/// Why a text is no content of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// It is empty, or white space alone.
    #[error("must not be empty")]
    Empty,
    /// It is over [`Content::MAX`] bytes.
    #[error("must be at most 65536 bytes")]
    TooLong,
    /// It holds NUL, which no database keeps in a text.
    #[error("must not hold NUL")]
    Nul,
}

impl FieldProblem for ContentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "required",
            Self::TooLong => "too_long",
            Self::Nul => "invalid_characters",
        }
    }
}

impl Content {
    /// The longest content, in bytes.
    pub const MAX: usize = 64 * 1024;

    /// Takes a text as what is said.
    ///
    /// # Errors
    /// When it is empty or white space alone, over [`Content::MAX`] bytes, or holds NUL.
    pub fn parse(text: &str) -> Result<Self, ContentError> {
        if text.len() > Self::MAX {
            return Err(ContentError::TooLong);
        }
        if text.contains('\0') {
            return Err(ContentError::Nul);
        }
        if text.trim().is_empty() {
            return Err(ContentError::Empty);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Content {
    type Err = ContentError;

    fn from_str(text: &str) -> Result<Self, ContentError> {
        Self::parse(text)
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewMessage {
    /// Its name in the conversation: an append with the same one is a repeat.
    pub id: MessageId,
    /// To which project's conversation.
    pub project: ProjectId,
    /// Whose conversation it is, whoever speaks.
    pub user: UserId,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
}

impl NewMessage {
    /// `content` by `role` in the conversation that `user` has about `project`.
    #[must_use]
    pub const fn new(
        id: MessageId,
        project: ProjectId,
        user: UserId,
        role: Role,
        content: Content,
    ) -> Self {
        Self {
            id,
            project,
            user,
            role,
            content,
        }
    }
}

/// A message as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Its number in the conversation, from 1, without gaps, in commit order.
    pub seq: u64,
    /// Its name.
    pub id: MessageId,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// When, by the store's clock; never before the message before it.
    pub created_at: Timestamp,
}

impl Message {
    /// `message` as number `seq`, for a store of your own.
    #[must_use]
    pub fn new(seq: u64, created_at: Timestamp, message: &NewMessage) -> Self {
        Self {
            seq,
            id: message.id.clone(),
            role: message.role,
            content: message.content.clone(),
            created_at,
        }
    }
}

/// What came of an append. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageOutcome {
    /// The conversation is another user's. Nothing was written.
    NotOwner,
    /// Another message has this id. Nothing was written.
    Conflict,
    /// The same message was appended before; this is it.
    Duplicate(Message),
    /// The message is in the conversation.
    Appended(Message),
}

/// Messages in order of seq, and where the conversation stood at that instant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessagePage {
    /// The messages.
    pub messages: Vec<Message>,
    /// The seq of the conversation's last message; 0 when there is none.
    pub head: u64,
}

impl MessagePage {
    /// `messages` of a conversation whose last one is `head`.
    #[must_use]
    pub const fn new(messages: Vec<Message>, head: u64) -> Self {
        Self { messages, head }
    }
}

/// A page as a reader gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConversationPage {
    /// At most as many as were asked for, the oldest first.
    pub messages: Vec<Message>,
    /// From where to go on; `None` when nothing more is there.
    pub next_cursor: Option<String>,
}

/// What came of reading a page. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadOutcome {
    /// The conversation is another user's.
    NotFound,
    /// The cursor is not one of this conversation's.
    CursorInvalid,
    /// A page.
    Page(ConversationPage),
}
