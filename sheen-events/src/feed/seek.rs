//! From an instant to a seq.

use sheen_core::error::StoreError;
use sheen_core::id::BuildId;
use sheen_core::time::Timestamp;

use crate::log::{EventLog, StreamHead};

/// The seq of the last event of `stream` not after `instant`; the floor when there is none.
///
/// Instants grow with seq, so it is a search: one read when nothing is new, and about twice the
/// logarithm of the number of newer events otherwise.
///
/// # Errors
/// When the log fails.
pub(crate) async fn seq_at(
    log: &dyn EventLog,
    build: &BuildId,
    stream: &StreamHead,
    instant: Timestamp,
) -> Result<u64, StoreError> {
    let (mut known, mut newer) = (stream.floor, stream.head.saturating_add(1));
    let mut stride = Some(1u64);
    while newer - known > 1 {
        let probe = match stride {
            Some(stride) => newer.saturating_sub(stride).max(known + 1),
            None => known + (newer - known) / 2,
        };
        let page = log.read(build, probe - 1, 1).await?;
        let event = page.and_then(|page| page.events.into_iter().next());
        // One that retention took meanwhile is older than any that stays.
        if event.is_some_and(|event| event.seq == probe && event.created_at > instant) {
            newer = probe;
            stride = stride.map(|stride| stride.saturating_mul(2));
        } else {
            known = probe;
            stride = None;
        }
    }
    Ok(known)
}
