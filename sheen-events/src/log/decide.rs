//! What an append does to a stream: numbering, instants, tokens, closing. Pure.

use std::time::Duration;

use sheen_core::id::{BuildId, BuildSessionId};
use sheen_core::time::Timestamp;
use sheen_core::token::FencingToken;

use super::types::{Event, EventType, NewEvent, Visibility};

/// All that a decision about a stream needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StreamPosition {
    /// The seq of the last visible event; 0 before the first.
    pub head: u64,
    /// The seq of the last hidden event; 0 before the first.
    pub hidden_head: u64,
    /// When the last event of either kind happened.
    pub last_at: Option<Timestamp>,
    /// The claim whose writer may append.
    pub token: FencingToken,
    /// Whether nothing more may come.
    pub closed: bool,
    /// The type of the event that decided the status.
    pub ended_by: Option<EventType>,
}

/// What an append does. The variants stand in order of precedence; a repeat of an append is the
/// store's to find, before this is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendDecision {
    /// The token is not the one last raised.
    Fenced,
    /// The stream is closed.
    Closed,
    /// The events may be appended.
    Append,
}

impl StreamPosition {
    /// Whether a writer with `token` may append now.
    #[must_use]
    pub fn decide(&self, token: FencingToken) -> AppendDecision {
        if token != self.token {
            AppendDecision::Fenced
        } else if self.closed {
            AppendDecision::Closed
        } else {
            AppendDecision::Append
        }
    }

    /// Raises the token that may append; never lowers it.
    pub fn raise(&mut self, token: FencingToken) {
        self.token = self.token.max(token);
    }

    /// Numbers `events`, gives each its instant and moves the position past them.
    ///
    /// Visible and hidden events are numbered apart. Instants grow by at least 1 ms from event to
    /// event, so that a reader who pages by time meets no tie, even when the clock steps back.
    pub fn number(
        &mut self,
        now: Timestamp,
        build: &BuildId,
        session: &BuildSessionId,
        events: Vec<NewEvent>,
    ) -> Vec<Event> {
        events
            .into_iter()
            .map(|event| {
                let at = self.next_instant(now);
                self.last_at = Some(at);
                let seq = match event.visibility {
                    Visibility::User => {
                        self.note_end(&event.kind);
                        &mut self.head
                    }
                    Visibility::Operator => &mut self.hidden_head,
                };
                *seq += 1;
                Event::new(*seq, build.clone(), session.clone(), at, event)
            })
            .collect()
    }

    /// What `events` make of how the build ended, without numbering them.
    #[cfg(feature = "postgres")]
    pub(super) fn note<'a>(&mut self, events: impl Iterator<Item = &'a NewEvent>) {
        for event in events.filter(|event| event.visibility == Visibility::User) {
            self.note_end(&event.kind);
        }
    }

    fn next_instant(&self, now: Timestamp) -> Timestamp {
        match self.last_at {
            Some(last) => now.max(last.plus(Duration::from_millis(1))),
            None => now,
        }
    }

    /// A deploy's end outlasts a task's: a task may fail and the build still be deployed.
    fn note_end(&mut self, kind: &EventType) {
        let deploy = *kind == EventType::DEPLOY_COMPLETED || *kind == EventType::DEPLOY_FAILED;
        let open = match &self.ended_by {
            None => true,
            Some(by) => *by == EventType::TASK_FAILED,
        };
        if open && (deploy || *kind == EventType::TASK_FAILED) {
            self.ended_by = Some(kind.clone());
        }
    }
}
