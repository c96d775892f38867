//! Where a reader of a conversation is, as a text that only this slice reads.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use sheen_core::id::ProjectId;

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
const LEN: usize = BODY + 8;

impl MessageCursor {
    /// The length of a cursor's text.
    pub const TEXT_LEN: usize = 23;

    /// After message `seq`.
    #[must_use]
    pub const fn after(seq: u64) -> Self {
        Self { seq }
    }

    /// The cursor as a text for readers of `project`.
    #[must_use]
    pub fn encode(self, project: &ProjectId) -> String {
        let mut bytes = [0; LEN];
        bytes[0] = VERSION;
        bytes[1..BODY].copy_from_slice(&self.seq.to_be_bytes());
        let sum = checksum(&bytes[..BODY], project);
        bytes[BODY..].copy_from_slice(&sum);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text that [`encode`](Self::encode) made for `project`.
    ///
    /// # Errors
    /// When it is not one.
    pub fn decode(text: &str, project: &ProjectId) -> Result<Self, CursorError> {
        if text.len() != Self::TEXT_LEN {
            return Err(CursorError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        let bytes: [u8; LEN] = bytes.try_into().map_err(|_| CursorError)?;
        let (body, sum) = bytes.split_at(BODY);
        if body[0] != VERSION || sum != checksum(body, project) {
            return Err(CursorError);
        }
        let mut seq = [0; 8];
        seq.copy_from_slice(&body[1..]);
        Ok(Self::after(u64::from_be_bytes(seq)))
    }
}

fn checksum(body: &[u8], project: &ProjectId) -> [u8; 8] {
    let digest = Sha256::new()
        .chain_update(b"sheen message cursor\0")
        .chain_update(body)
        .chain_update(project.as_str())
        .finalize();
    let mut sum = [0; 8];
    sum.copy_from_slice(&digest[..8]);
    sum
}
