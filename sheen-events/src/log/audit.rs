//! The whole of a log, hidden events too: for operators.

use std::fmt::Debug;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::BuildId;

use super::types::{Event, StreamHead, Visibility};

/// A place among all events of a stream: after visible event `seq` and hidden event `hidden`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AuditPlace {
    /// The last visible event read; 0 for none.
    pub seq: u64,
    /// The last hidden event read; 0 for none.
    pub hidden: u64,
}

impl AuditPlace {
    /// After visible event `seq` and hidden event `hidden`.
    #[must_use]
    pub const fn new(seq: u64, hidden: u64) -> Self {
        Self { seq, hidden }
    }

    /// Whether `event` comes after this place.
    #[must_use]
    pub const fn precedes(&self, event: &Event) -> bool {
        match event.visibility {
            Visibility::User => event.seq > self.seq,
            Visibility::Operator => event.seq > self.hidden,
        }
    }

    /// The place after `event` as well.
    #[must_use]
    pub const fn after(mut self, event: &Event) -> Self {
        match event.visibility {
            Visibility::User => self.seq = event.seq,
            Visibility::Operator => self.hidden = event.seq,
        }
        self
    }
}

/// Events of either kind in commit order, and where the stream stood at that instant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditPage {
    /// The events.
    pub events: Vec<Event>,
    /// The stream.
    pub stream: StreamHead,
    /// The number of the last hidden event; 0 before the first.
    pub hidden_head: u64,
}

impl AuditPage {
    /// `events` of `stream`, whose hidden ones are numbered up to `hidden_head`.
    #[must_use]
    pub const fn new(events: Vec<Event>, stream: StreamHead, hidden_head: u64) -> Self {
        Self {
            events,
            stream,
            hidden_head,
        }
    }
}

/// A log that shows all it has. It is apart from [`EventLog`](super::EventLog), so that what serves
/// users cannot reach what is hidden from them.
///
/// 1. **C1** A page has events of either kind after `after`, in commit order, at most `limit`, and
///    both heads of the same instant. Page after page, each event comes once.
/// 2. **C2** The visible ones among them are those of [`EventLog::read`](super::EventLog::read).
#[async_trait]
pub trait AuditLog: Debug + Send + Sync + 'static {
    /// Events of either kind after `after`, at most `limit`; `None` when there is no such stream
    /// (C1, C2).
    ///
    /// # Errors
    /// When the store fails.
    async fn read_all(
        &self,
        build: &BuildId,
        after: AuditPlace,
        limit: u32,
    ) -> Result<Option<AuditPage>, StoreError>;
}
