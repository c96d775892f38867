//! The conversation about a project, kept, and beside it a small log for support (wire.md §12).
//!
//! 1. A project has one conversation, its first message's user's; to others it does not exist.
//! 2. Messages are numbered 1, 2, 3 … in commit order, so that a page needs one number to go on
//!    from; a cursor is opaque and bound to its project.
//! 3. An append can be repeated after a lost answer: a message is known by its id.
//! 4. Pages go from the oldest message to the newest, at most 50 at a time. `next_cursor` is
//!    `None` at the end.
//! 5. The conversation is kept for good. What support needs to see (whose activity, which build,
//!    which correlation id) is in a log apart, for 30 days: [`support`].
//!
//! The contract any store keeps is on [`MessageStore`]; [`MemoryMessageStore`] keeps it in memory.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_core::{id::{MessageId, ProjectId, UserId}, time::SystemClock};
//! use sheen_events::message::{Content, Conversations, MemoryMessageStore, MessageOutcome};
//! use sheen_events::message::{NewMessage, PageRequest, ReadOutcome, Role};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryMessageStore::new(Arc::new(SystemClock::new()), Default::default());
//! let conversations = Conversations::new(Arc::new(store));
//! let (ann, project) = (UserId::parse("ann")?, ProjectId::parse("salon")?);
//!
//! let content = Content::parse("A page with our opening hours, please.")?;
//! let id = MessageId::parse("msg_1")?;
//! let message = NewMessage::new(id, project.clone(), ann.clone(), Role::User, content);
//! let outcome = conversations.append(message.clone()).await?;
//! assert!(matches!(outcome, MessageOutcome::Appended(message) if message.seq == 1));
//! // The answer was lost on the way? Ask again: nothing is written twice.
//! let outcome = conversations.append(message).await?;
//! assert!(matches!(outcome, MessageOutcome::Duplicate(_)));
//!
//! let read = conversations.page(&ann, &project, PageRequest::new()).await?;
//! let ReadOutcome::Page(page) = read else { panic!("it is her project") };
//! assert_eq!((page.messages.len(), page.next_cursor), (1, None));
//! let eve = UserId::parse("eve")?;
//! let read = conversations.page(&eve, &project, PageRequest::new()).await?;
//! assert_eq!(read, ReadOutcome::NotFound);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "conformance")]
#[doc(hidden)]
pub mod conformance;
mod cursor;
mod decide;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod service;
mod store;
pub mod support;
#[cfg(test)]
mod tests;
mod types;

pub use cursor::{CursorError, MessageCursor};
pub use decide::{AppendDecision, ConversationHead, decide_append};
pub use memory::{MemoryMessageConfig, MemoryMessageStore};
#[cfg(feature = "postgres")]
pub use postgres::PgMessageStore;
pub use service::{Conversations, PageRequest};
pub use store::MessageStore;
pub use types::{
    Content, ContentError, ConversationPage, Message, MessageOutcome, MessagePage, NewMessage,
    ReadOutcome, Role,
};
