//! Runs of retention.

use std::sync::Arc;

use sheen_core::error::StoreError;

use super::decide::Plan;
use super::store::RetentionStore;
use super::types::{Progress, Removal, RetentionConfig, RetentionOutcome};

/// Removes what is past its age.
#[derive(Debug, Clone)]
pub struct Retention {
    store: Arc<dyn RetentionStore>,
    config: RetentionConfig,
}

impl Retention {
    /// Retention over `store`.
    #[must_use]
    pub const fn new(store: Arc<dyn RetentionStore>, config: RetentionConfig) -> Self {
        Self { store, config }
    }

    /// One run: day by day, the oldest first, a batch a step, telling `progress` before the first
    /// step and after each. It may be dropped or killed between and within steps, and any number may
    /// run at once: run it again, and what is left goes.
    ///
    /// # Errors
    /// When the store fails; what was removed by then stays removed, and is counted.
    pub async fn run(
        &self,
        mut progress: impl FnMut(Progress),
    ) -> Result<RetentionOutcome, StoreError> {
        let survey = self.store.survey().await?;
        let (days, due) = match self.config.plan(&survey) {
            Plan::OverHalf { due, total } => return Ok(RetentionOutcome::OverHalf { due, total }),
            Plan::Remove { days, due } => (days, due),
        };
        let batch = self.config.batch.max(1);
        let mut removed = 0;
        if let Some(first) = days.first() {
            let day = first.day;
            progress(Progress { day, removed, due });
        }
        for day in days.iter().map(|count| count.day) {
            loop {
                let step = self.store.remove(day, self.config.age(), batch).await?;
                // A clock that stepped back since the survey: the next run takes the day.
                let Removal::Removed(events) = step else {
                    return Ok(RetentionOutcome::Done { removed });
                };
                removed += events;
                progress(Progress { day, removed, due });
                if events < u64::from(batch) {
                    break;
                }
            }
        }
        Ok(RetentionOutcome::Done { removed })
    }
}
