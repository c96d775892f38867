//! Polling a build's events.

use std::sync::Arc;

use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, UserId};

use super::cursor::Position;
use super::decide::{answer, refusal};
use super::seek::seq_at;
use super::types::{PollOutcome, PollRequest};
use crate::log::EventLog;

/// Pages of a build's events for its user.
#[derive(Debug, Clone)]
pub struct Feed {
    log: Arc<dyn EventLog>,
}

impl Feed {
    /// The feed of `log`.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log }
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
        let Some(page) = self.log.read(build, after, limit).await? else {
            return Ok(PollOutcome::NotFound);
        };
        if let Some(refused) = refusal(viewer, position, &page.stream) {
            return Ok(refused);
        }
        Ok(answer(viewer, build, &request, after, page))
    }
}
