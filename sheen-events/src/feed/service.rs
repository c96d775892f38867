//! Polling a build's events.

use std::sync::Arc;

use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, UserId};
use sheen_core::time::Clock;

use super::cursor::Position;
use super::decide::{answer, refusal, unchanged};
use super::heads::{FeedConfig, Heads};
use super::seek::seq_at;
use super::types::{PollOutcome, PollRequest};
use crate::log::EventLog;
use crate::wake::Wake;

/// Pages of a build's events for its user.
#[derive(Debug, Clone)]
pub struct Feed {
    log: Arc<dyn EventLog>,
    heads: Option<Arc<Heads>>,
}

impl Feed {
    /// The feed of `log`, which is read for each poll.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, heads: None }
    }

    /// The feed of `log`, which is not read for a poll with nothing new: what `wake` did not ring
    /// for has not changed, as long as [`FeedConfig`] says. `wake` is what the log's writers ring.
    #[must_use]
    pub fn remembering(
        log: Arc<dyn EventLog>,
        wake: Arc<dyn Wake>,
        clock: Arc<dyn Clock>,
        config: FeedConfig,
    ) -> Self {
        let heads = Some(Arc::new(Heads::new(wake, clock, config)));
        Self { log, heads }
    }

    /// The page that `request` asks for, if `viewer` owns the build.
    ///
    /// Whose build it is comes first: another user learns nothing from a cursor or a tag.
    ///
    /// # Errors
    /// When the log fails.
    pub async fn poll(
        &self,
        viewer: &UserId,
        build: &BuildId,
        request: PollRequest<'_>,
    ) -> Result<PollOutcome, StoreError> {
        let text = request.cursor.or(request.since).unwrap_or_default();
        let position = Position::parse(text, build);
        if let Some(stream) = self.heads.as_ref().and_then(|heads| heads.get(build))
            && let Some(known) = unchanged(viewer, build, &request, position, &stream)
        {
            return Ok(known);
        }
        let mut after = match position {
            Ok(Position::Cursor(cursor)) => cursor.seq,
            _ => 0,
        };
        if let Ok(Position::Instant(instant)) = position {
            let Some(page) = self.log.read(build, 0, 0).await? else {
                return Ok(PollOutcome::NotFound);
            };
            if let Some(refused) = refusal(viewer, position, &page.stream) {
                return Ok(refused);
            }
            after = seq_at(&*self.log, build, &page.stream, instant).await?;
        }
        let limit = request.limit.get().into();
        // Listen, then read: what is committed in between rings.
        let heads = self.heads.as_ref();
        let heads = heads.map(|heads| (heads, heads.listen(build)));
        let Some(page) = self.log.read(build, after, limit).await? else {
            return Ok(PollOutcome::NotFound);
        };
        if let Some(refused) = refusal(viewer, position, &page.stream) {
            return Ok(refused);
        }
        if let Some((heads, since)) = heads {
            heads.keep(build, since, &page.stream);
        }
        Ok(answer(viewer, build, &request, after, page))
    }

    #[cfg(test)]
    pub(super) fn heads(&self) -> usize {
        self.heads.as_ref().map_or(0, |heads| heads.len())
    }
}
