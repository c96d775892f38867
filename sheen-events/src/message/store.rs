//! The contract of a store of conversations.

use std::fmt::Debug;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::{ProjectId, UserId};

use super::types::{MessageOutcome, MessagePage, NewMessage};

/// Conversations, one a project, kept for good. Each method is one atomic step.
///
/// 1. **C1** Messages of a conversation are numbered 1, 2, 3 … in commit order, without gaps, with
///    any number of writers; a refusal leaves no hole.
/// 2. **C2** A reader that has seen message n has been able to see every one up to n.
/// 3. **C3** A repeat with the same id, role and content is the first one's `Duplicate` and writes
///    nothing; with another role or content it is a `Conflict`. Of any number of equal appends at
///    once one is `Appended`.
/// 4. **C4** A conversation is its first message's user's. For anyone else an append is `NotOwner`,
///    whatever its id, and a page is `None`.
/// 5. **C5** `created_at` is the store's clock when the message was written, and never goes back
///    from message to message.
/// 6. **C6** A page has at most `limit` messages after `after`, in order, and the head of the same
///    instant. Past the head it has none; before the first message it is empty and its head 0.
/// 7. **C7** Conversations of two projects never meet: one id may name a message in each.
/// 8. **C8** What is read is what was appended, byte for byte.
#[async_trait]
pub trait MessageStore: Debug + Send + Sync + 'static {
    /// Appends a message (C1–C5, C7, C8).
    ///
    /// # Errors
    /// When the store fails or is full; repeat it with the same id.
    async fn append(&self, message: NewMessage) -> Result<MessageOutcome, StoreError>;

    /// Messages of `project` with a seq above `after`, at most `limit`; `None` when the
    /// conversation is another user's (C2, C4, C6).
    ///
    /// # Errors
    /// When the store fails.
    async fn page(
        &self,
        user: &UserId,
        project: &ProjectId,
        after: u64,
        limit: u32,
    ) -> Result<Option<MessagePage>, StoreError>;
}
