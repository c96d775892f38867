//! The contract of what removes events.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::time::Day;

use super::types::{DailyCount, Removal, Survey};

/// Counts and removes old events of a log. Each method is one atomic step.
///
/// 1. **C1** A survey has the store's clock and the number of events of each day, hidden ones too,
///    of one instant.
/// 2. **C2** A removal takes the oldest events of the days up to `last`, at most `limit`, and adds
///    them to the daily counts in the same step: what is counted and what is kept are together
///    what was written, however many remove at once, and wherever a step is cut off.
/// 3. **C3** It is `TooYoung` and removes nothing unless all of `last` is older than `age` by the
///    store's clock.
/// 4. **C4** What goes of a stream is its beginning, and its floor is then the last visible seq that
///    went. Head, token, openness and numbering stay; a page after a seq below the floor begins after
///    the floor.
/// 5. **C5** A repeat of an append whose events went writes nothing.
/// 6. **C6** An event of a day that was counted before is added to that day's count.
/// 7. **C7** Counts are per day of the event, type, status and audience; they come in that order,
///    and removing nothing changes none.
#[async_trait]
pub trait RetentionStore: Debug + Send + Sync + 'static {
    /// What there is (C1).
    ///
    /// # Errors
    /// When the store fails.
    async fn survey(&self) -> Result<Survey, StoreError>;

    /// Counts and removes events of the days up to `last`, that one included (C2–C6).
    ///
    /// # Errors
    /// When the store fails; repeat it.
    async fn remove(&self, last: Day, age: Duration, limit: u32) -> Result<Removal, StoreError>;

    /// What was counted of the days from `first` to `last`, both included (C7).
    ///
    /// # Errors
    /// When the store fails.
    async fn counts(&self, first: Day, last: Day) -> Result<Vec<DailyCount>, StoreError>;
}
