//! The contract of an event log.

use std::fmt::Debug;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::BuildId;
use sheen_core::token::FencingToken;

use super::types::{Append, AppendOutcome, NewStream, Page, StreamHead};

/// A log of events, one stream a build. Each method is one atomic step.
///
/// 1. **C1** Visible events of a stream are numbered 1, 2, 3 … in commit order, without gaps, with
///    any number of writers; a failed append leaves no hole.
/// 2. **C2** A reader that has seen seq n has been able to see every event up to n.
/// 3. **C3** An append is all or nothing, and its events stand next to one another. One that is not
///    [well formed](Append::is_well_formed) is an error of kind `Rejected`.
/// 4. **C4** A repeat of an append with the same key gets the first one's events and writes
///    nothing, even after the stream was closed or fenced.
/// 5. **C5** An append whose token is not the one last raised is `Fenced`. Raising never lowers.
/// 6. **C6** Nothing is appended to a closed stream; closing twice is the same as once.
/// 7. **C7** `created_at` grows by at least 1 ms from event to event of a stream.
/// 8. **C8** A page has at most `limit` visible events after `after`, in order, and the head of
///    the same instant. A cursor past the head gets no events; the caller sees it from the head.
/// 9. **C9** Hidden events are counted apart and are never in a page.
/// 10. **C10** Opening a stream that is open is the same as once. Its epoch is from 1 to
///     [`StreamHead::MAX_EPOCH`], and a stream of the same build made anew in another store has
///     another. `ended_by` is the first `deploy_completed` or `deploy_failed`, or `task_failed`
///     as long as neither came.
/// 11. **C11** Streams of two builds never meet.
#[async_trait]
pub trait EventLog: Debug + Send + Sync + 'static {
    /// Opens a build's stream (C10).
    ///
    /// # Errors
    /// When the store fails or is full.
    async fn open(&self, stream: NewStream) -> Result<StreamHead, StoreError>;

    /// Appends events (C1–C7).
    ///
    /// # Errors
    /// When the store fails or is full; repeat it with the same key.
    async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError>;

    /// From now on only `token` may append; `false` when there is no such stream (C5).
    ///
    /// # Errors
    /// When the store fails.
    async fn raise(&self, build: &BuildId, token: FencingToken) -> Result<bool, StoreError>;

    /// Ends a stream; `false` when there is none (C6).
    ///
    /// # Errors
    /// When the store fails.
    async fn close(&self, build: &BuildId) -> Result<bool, StoreError>;

    /// Visible events with a seq above `after`, at most `limit`; `None` when there is no such
    /// stream (C8, C9).
    ///
    /// # Errors
    /// When the store fails.
    async fn read(
        &self,
        build: &BuildId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Page>, StoreError>;
}
