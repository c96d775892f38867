//! What an append does to a conversation, and what a page gets. Pure.

use sheen_core::id::{ProjectId, UserId};
use sheen_core::time::Timestamp;

use super::cursor::{CursorError, MessageCursor};
use super::types::{
    ConversationPage, Message, MessageOutcome, MessagePage, NewMessage, ReadOutcome,
};

/// All that a decision needs to know of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConversationHead {
    /// Whose it is: the user of its first message.
    pub owner: UserId,
    /// The seq of its last message.
    pub head: u64,
    /// When its last message came.
    pub last_at: Timestamp,
}

impl ConversationHead {
    /// A conversation of `owner` whose last message is number `head`, come at `last_at`.
    #[must_use]
    pub const fn new(owner: UserId, head: u64, last_at: Timestamp) -> Self {
        Self {
            owner,
            head,
            last_at,
        }
    }
}

/// What an append does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendDecision {
    /// Nothing, for this reason; never [`MessageOutcome::Appended`].
    Refuse(MessageOutcome),
    /// The message is written like this.
    Append(Message),
}

/// Decides an append to `conversation` (none before its first message), which has `known` under
/// the message's id.
#[must_use]
pub fn decide_append(
    conversation: Option<&ConversationHead>,
    known: Option<&Message>,
    now: Timestamp,
    new: &NewMessage,
) -> AppendDecision {
    if conversation.is_some_and(|it| it.owner != new.user) {
        return AppendDecision::Refuse(MessageOutcome::NotOwner);
    }
    if let Some(known) = known {
        let same = known.role == new.role && known.content == new.content;
        return AppendDecision::Refuse(if same {
            MessageOutcome::Duplicate(known.clone())
        } else {
            MessageOutcome::Conflict
        });
    }
    let seq = conversation.map_or(0, |it| it.head).saturating_add(1);
    let at = conversation.map_or(now, |it| now.max(it.last_at));
    AppendDecision::Append(Message::new(seq, at, new))
}

/// What a reader whose cursor says `after` gets of the page read there.
pub(super) fn answer(
    project: &ProjectId,
    after: Result<u64, CursorError>,
    page: Option<MessagePage>,
) -> ReadOutcome {
    let Some(MessagePage { messages, head }) = page else {
        return ReadOutcome::NotFound;
    };
    // A cursor ahead of the conversation stands for what is not there: that it was made anew is
    // said rather than passed over.
    let Some(after) = after.ok().filter(|after| *after <= head) else {
        return ReadOutcome::CursorInvalid;
    };
    let last = messages.last().map_or(after, |message| message.seq);
    let next_cursor = (last < head).then(|| MessageCursor::after(last).encode(project));
    ReadOutcome::Page(ConversationPage {
        messages,
        next_cursor,
    })
}
