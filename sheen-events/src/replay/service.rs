//! Opening replays.

use std::sync::Arc;

use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, UserId};

use super::body::{PAGE, ReplayBody, Source};
use super::decide::Span;
use super::types::{ReplayFormat, ReplayHead, ReplayOutcome, ReplayRequest};
use crate::log::{AuditLog, AuditPage, AuditPlace, EventLog, Page};

/// Replays of a log.
#[derive(Debug, Clone)]
pub struct Replay {
    log: Arc<dyn EventLog>,
}

impl Replay {
    /// Replays of `log`.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log }
    }

    /// The visible events that `request` asks for, if `viewer` owns the build. One page is read
    /// before it answers, so that a failing log is an error here and not in the body.
    ///
    /// # Errors
    /// When the log fails.
    pub async fn open(
        &self,
        viewer: &UserId,
        build: &BuildId,
        request: ReplayRequest,
    ) -> Result<ReplayOutcome, StoreError> {
        let after = request.from.saturating_sub(1);
        let Some(page) = self.log.read(build, after, PAGE).await? else {
            return Ok(ReplayOutcome::NotFound);
        };
        if page.stream.user != *viewer {
            return Ok(ReplayOutcome::NotFound);
        }
        let head = ReplayHead::decide(&request, &page.stream);
        let span = Span {
            epoch: head.epoch,
            place: AuditPlace::new(head.from - 1, 0),
            until: AuditPlace::new(head.to, 0),
            any_hidden: false,
        };
        let source = Source::User(Arc::clone(&self.log));
        let body = ReplayBody::new(source, build.clone(), request.format, span, all_of(page));
        Ok(ReplayOutcome::Replay(head, Box::new(body)))
    }

    /// All that `log` has of `build`, hidden events too, in commit order; each has `userVisible`
    /// beside what an event has. Hidden ones are numbered apart. It is for operators: nothing here
    /// asks who looks.
    ///
    /// # Errors
    /// When the log fails.
    pub async fn open_all(
        log: Arc<dyn AuditLog>,
        build: &BuildId,
        format: ReplayFormat,
    ) -> Result<ReplayOutcome, StoreError> {
        let Some(page) = log.read_all(build, AuditPlace::default(), PAGE).await? else {
            return Ok(ReplayOutcome::NotFound);
        };
        let head = ReplayHead::decide(&ReplayRequest::from(1), &page.stream);
        let span = Span {
            epoch: head.epoch,
            place: AuditPlace::new(head.from - 1, 0),
            until: AuditPlace::new(head.to, page.hidden_head),
            any_hidden: false,
        };
        let source = Source::Operator(log);
        let body = ReplayBody::new(source, build.clone(), format, span, page);
        Ok(ReplayOutcome::Replay(head, Box::new(body)))
    }
}

pub(super) fn all_of(page: Page) -> AuditPage {
    AuditPage::new(page.events, page.stream, 0)
}
