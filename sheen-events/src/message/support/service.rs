//! Keeping the log to its time.

use sheen_core::error::StoreError;

use super::store::ChatLog;

/// Removes all that is past its time, `batch` entries a step, and tells `progress` the total after
/// each. It may be dropped or killed between two steps: the next run goes on.
///
/// # Errors
/// When the store fails; what was removed by then stays removed.
pub async fn expire_all(
    log: &dyn ChatLog,
    batch: u32,
    mut progress: impl FnMut(u64),
) -> Result<u64, StoreError> {
    let batch = batch.max(1);
    let mut total = 0;
    loop {
        let removed = log.expire(batch).await?;
        total += u64::from(removed);
        progress(total);
        if removed < batch {
            return Ok(total);
        }
    }
}
