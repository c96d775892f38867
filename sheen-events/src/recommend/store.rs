//! The contracts of what keeps recommendations.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::{BuildSessionId, ProjectId, UserId};
use sheen_core::token::FencingToken;

use super::types::{
    ClaimOutcome, Due, Items, Key, NewRequest, Record, RequestOutcome, SettleOutcome, Step,
};

/// Asking for recommendations and reading them. Each method is one atomic step; the numbers go on
/// in [`RecommendQueue`].
///
/// 1. **C1** A request makes a record that waits. While it is unsettled, and for
///    [`repeat_within`](super::QueueLimits::repeat_within) from the request, another one for the
///    same project and session is `Known` and writes nothing; of any number at once one is
///    `Taken`. After that it is made anew.
/// 2. **C2** A request for a record of another user is `NotOwner` and writes nothing. Records of
///    other projects and other sessions never meet.
/// 3. **C3** When [`max_waiting`](super::QueueLimits::max_waiting) wait, one more has failed at
///    once, with what was suggested at once kept.
/// 4. **C4** A record is read by its user alone: by its session, or as the one requested last for
///    its project. What is read is what was written.
#[async_trait]
pub trait RecommendStore: Debug + Send + Sync + 'static {
    /// Asks for recommendations (C1–C3).
    ///
    /// # Errors
    /// When the store fails or is full; repeat it.
    async fn request(&self, new: NewRequest) -> Result<RequestOutcome, StoreError>;

    /// The user's record of a project: of `session`, or the last one (C4).
    ///
    /// # Errors
    /// When the store fails.
    async fn read(
        &self,
        user: &UserId,
        project: &ProjectId,
        session: Option<&BuildSessionId>,
    ) -> Result<Option<Record>, StoreError>;

    /// Notes that the record's build has ended, once; `None` when there is no record (C9).
    ///
    /// # Errors
    /// When the store fails; repeat it.
    async fn build_ended(&self, key: &Key) -> Result<Option<Record>, StoreError>;
}

/// The queue, and what is still to be told.
///
/// 5. **C5** A claim takes the record that waits longest and raises its attempt; two claims never
///    take the same one.
/// 6. **C6** Of all claimers together at most [`concurrency`](super::QueueLimits::concurrency) run
///    and at most [`per_minute`](super::QueueLimits::per_minute) begin within any minute; the wait
///    that is told is enough.
/// 7. **C7** A settlement is stored once, by the attempt that was claimed; a late or second one is
///    `Unchanged`.
/// 8. **C8** What ran longer than [`try_limit`](super::QueueLimits::try_limit) and 5 s, or waited
///    longer than [`patience`](super::QueueLimits::patience), has failed once `due` was asked.
/// 9. **C9** `due` names a settled record until it was announced, and a record whose build has
///    ended until its stream was closed, once it is announced or
///    [`stream_waits`](super::QueueLimits::stream_waits) have passed since the build's end. What
///    settles after the close is announced no more.
/// 10. **C10** `forget` removes settled records requested longer ago than
///     [`kept`](super::QueueLimits::kept), at most `limit`, and says how many.
#[async_trait]
pub trait RecommendQueue: Debug + Send + Sync + 'static {
    /// Takes work (C5, C6).
    ///
    /// # Errors
    /// When the store fails. A claim whose answer was lost fails by its time limit.
    async fn claim(&self) -> Result<ClaimOutcome, StoreError>;

    /// Stores what came of a claim (C7).
    ///
    /// # Errors
    /// When the store fails; repeat it.
    async fn settle(
        &self,
        key: &Key,
        attempt: FencingToken,
        result: Result<Items, Arc<str>>,
    ) -> Result<SettleOutcome, StoreError>;

    /// Fails what is past its time and names what is to be done for streams, at most `limit`
    /// (C8, C9).
    ///
    /// # Errors
    /// When the store fails.
    async fn due(&self, limit: u32) -> Result<Vec<Due>, StoreError>;

    /// Notes that a step was done for a record of this attempt, so that it is named no more; an
    /// earlier attempt changes nothing (C9).
    ///
    /// # Errors
    /// When the store fails; repeat it.
    async fn done(&self, key: &Key, attempt: FencingToken, step: Step) -> Result<(), StoreError>;

    /// Removes what is past its time (C10).
    ///
    /// # Errors
    /// When the store fails.
    async fn forget(&self, limit: u32) -> Result<u32, StoreError>;
}
