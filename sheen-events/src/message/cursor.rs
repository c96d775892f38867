//! Where a reader of a conversation is, as a text that only this slice reads.

use sheen_core::id::ProjectId;

use crate::sealed::{number_at, seal, text_len, unseal};

/// A place in a project's conversation: after message `seq`.
///
/// As a text it is 23 characters of `A-Za-z0-9_-`. It carries a checksum over itself and the
/// project: a cursor of another project, or one that was changed on the way, is told from a good
/// one. It grants nothing, so it is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageCursor {
    /// The last message the reader has; 0 for none.
    pub seq: u64,
}

/// Why a text is not a cursor of this conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this project's messages")]
#[non_exhaustive]
pub struct CursorError;

const VERSION: u8 = 1;
const BODY: usize = 9;
const KIND: &str = "sheen message cursor";

impl MessageCursor {
    /// The length of a cursor's text.
    pub const TEXT_LEN: usize = text_len(BODY);

    /// After message `seq`.
    #[must_use]
    pub const fn after(seq: u64) -> Self {
        Self { seq }
    }

    /// The cursor as a text for readers of `project`.
    #[must_use]
    pub fn encode(self, project: &ProjectId) -> String {
        let mut body = [VERSION; BODY];
        body[1..].copy_from_slice(&self.seq.to_be_bytes());
        seal(&body, KIND, project.as_str())
    }

    /// Reads a text that [`encode`](Self::encode) made for `project`.
    ///
    /// # Errors
    /// When it is not one.
    pub fn decode(text: &str, project: &ProjectId) -> Result<Self, CursorError> {
        let body: [u8; BODY] = unseal(text, KIND, project.as_str()).ok_or(CursorError)?;
        if body[0] != VERSION {
            return Err(CursorError);
        }
        Ok(Self::after(number_at(&body, 1)))
    }
}
