//! Reading and writing conversations.

use std::sync::Arc;

use sheen_core::error::{Fields, StoreError};
use sheen_core::id::{ProjectId, UserId};

use super::cursor::MessageCursor;
use super::decide::answer;
use super::store::MessageStore;
use super::types::{MessageOutcome, NewMessage, ReadOutcome};
use crate::feed::{PageLimit, number};

/// One page of a conversation, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PageRequest<'a> {
    /// What an earlier page gave; as it came, unchecked.
    pub cursor: Option<&'a str>,
    /// The most messages wanted.
    pub limit: PageLimit,
}

impl<'a> PageRequest<'a> {
    /// The first page.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the query parameters of wire.md §12, noting the bad ones in `fields`. Whether a
    /// cursor is good is judged by [`Conversations::page`], after it is known whose project it is.
    pub fn from_query(
        fields: &mut Fields,
        query: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut request = Self::new();
        let (mut cursors, mut limits) = (0, 0);
        for (name, value) in query {
            let times = match name {
                "cursor" => &mut cursors,
                "limit" => &mut limits,
                _ => continue,
            };
            *times += 1;
            match (name, *times) {
                ("cursor", 1) => request.cursor = Some(value).filter(|text| !text.is_empty()),
                ("limit", 1) => match number(value).and_then(PageLimit::new) {
                    Some(limit) => request.limit = limit,
                    None => fields.refuse("limit", "out_of_range", "must be a number from 1 to 50"),
                },
                ("cursor", 2) => fields.refuse("cursor", "duplicate", "must be given once"),
                ("limit", 2) => fields.refuse("limit", "duplicate", "must be given once"),
                _ => {}
            }
        }
        request
    }
}

/// The conversations of projects, each its owner's. Clones are the same service.
#[derive(Debug, Clone)]
pub struct Conversations {
    store: Arc<dyn MessageStore>,
}

impl Conversations {
    /// The conversations in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn MessageStore>) -> Self {
        Self { store }
    }

    /// Appends a message; the same one again is a repeat.
    ///
    /// # Errors
    /// When the store fails or is full; repeat it with the same id.
    pub async fn append(&self, message: NewMessage) -> Result<MessageOutcome, StoreError> {
        self.store.append(message).await
    }

    /// A page of the conversation about `project`, the oldest messages first.
    ///
    /// Whose conversation it is comes first: another user learns nothing from a cursor.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(
        &self,
        user: &UserId,
        project: &ProjectId,
        request: PageRequest<'_>,
    ) -> Result<ReadOutcome, StoreError> {
        let after = match request.cursor {
            Some(text) => MessageCursor::decode(text, project).map(|cursor| cursor.seq),
            None => Ok(0),
        };
        let (from, limit) = (after.unwrap_or_default(), request.limit.get().into());
        let page = self.store.page(user, project, from, limit).await?;
        Ok(answer(project, after, page))
    }
}
