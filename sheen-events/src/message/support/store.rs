//! The contract of a log for support.

use std::fmt::Debug;

use async_trait::async_trait;
use sheen_core::error::StoreError;

use super::types::{ChatEntry, Lookup, NewChatEntry};

/// A log of chats for those who help users. Each method is one atomic step.
///
/// 1. **C1** A recorded entry is found by its user, by its build where it has one, and by its
///    correlation id, and by no other user, build or correlation id.
/// 2. **C2** Entries come newest first, at most `limit`, those with a seq below `before` where it
///    is given: what one page leaves out the next one has.
/// 3. **C3** A repeat with the same user and id gets the first entry and writes nothing. Two users
///    may use one id.
/// 4. **C4** An entry is kept for [`RETENTION`](super::RETENTION) by the store's clock; after that
///    no look-up finds it, whether it was removed or not.
/// 5. **C5** `expire` removes only entries past their time, the oldest first, at most `limit`, and
///    says how many.
/// 6. **C6** What is read is what was recorded.
#[async_trait]
pub trait ChatLog: Debug + Send + Sync + 'static {
    /// Records an entry (C1, C3, C6).
    ///
    /// # Errors
    /// When the store fails or is full; repeat it with the same id.
    async fn record(&self, entry: NewChatEntry) -> Result<ChatEntry, StoreError>;

    /// Finds entries (C1, C2, C4).
    ///
    /// # Errors
    /// When the store fails.
    async fn find(
        &self,
        lookup: &Lookup,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ChatEntry>, StoreError>;

    /// Removes entries past their time (C5).
    ///
    /// # Errors
    /// When the store fails.
    async fn expire(&self, limit: u32) -> Result<u32, StoreError>;
}
