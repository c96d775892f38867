//! Where a reader is, as a text that only this feed reads.

use sheen_core::id::BuildId;
use sheen_core::time::Timestamp;

use crate::sealed::{number_at, seal, text_len, unseal};

/// A place in a build's log: after event `seq` of the log made as `epoch`.
///
/// As a text it is 34 characters of `A-Za-z0-9_-`, safe in a URL and in a header without a CORS
/// preflight. It carries a checksum over itself and the build: a cursor of another build, or one
/// that was changed on the way, is told from a good one. It grants nothing, so it is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cursor {
    /// Which making of the log.
    pub epoch: u64,
    /// The last event the reader has; 0 for none.
    pub seq: u64,
}

/// Why a text is not a cursor of this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this build's events")]
#[non_exhaustive]
pub struct CursorError;

const VERSION: u8 = 1;
const BODY: usize = 17;
const KIND: &str = "sheen event cursor";

impl Cursor {
    /// The length of a cursor's text.
    pub const TEXT_LEN: usize = text_len(BODY);

    /// After event `seq` of the log made as `epoch`.
    #[must_use]
    pub const fn new(epoch: u64, seq: u64) -> Self {
        Self { epoch, seq }
    }

    /// The cursor as a text for readers of `build`.
    #[must_use]
    pub fn encode(self, build: &BuildId) -> String {
        let mut body = [VERSION; BODY];
        body[1..9].copy_from_slice(&self.epoch.to_be_bytes());
        body[9..].copy_from_slice(&self.seq.to_be_bytes());
        seal(&body, KIND, build.as_str())
    }

    /// Reads a text that [`encode`](Self::encode) made for `build`.
    ///
    /// # Errors
    /// When it is not one.
    pub fn decode(text: &str, build: &BuildId) -> Result<Self, CursorError> {
        let body: [u8; BODY] = unseal(text, KIND, build.as_str()).ok_or(CursorError)?;
        if body[0] != VERSION {
            return Err(CursorError);
        }
        Ok(Self::new(number_at(&body, 1), number_at(&body, 9)))
    }
}

/// From where a reader wants events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// From the first one kept.
    Start,
    /// After the one a cursor names.
    Cursor(Cursor),
    /// After an instant: what callers from before cursors send.
    Instant(Timestamp),
}

impl Position {
    /// Reads a `cursor` parameter: a cursor of `build`, an RFC 3339 instant, or nothing.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn parse(text: &str, build: &BuildId) -> Result<Self, CursorError> {
        if text.is_empty() {
            return Ok(Self::Start);
        }
        if let Ok(cursor) = Cursor::decode(text, build) {
            return Ok(Self::Cursor(cursor));
        }
        match Timestamp::parse_rfc3339(text) {
            Ok(instant) => Ok(Self::Instant(instant)),
            Err(_) => Err(CursorError),
        }
    }
}
