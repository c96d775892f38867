//! Claims and what comes of them.

use std::fmt;
use std::time::Duration;

use sheen_core::id::PrincipalId;
use sheen_core::time::Timestamp;

/// How long a v1 signature that came beside an accepted v2 one stays spent (wire.md §1).
pub const MARK_LIFE: Duration = Duration::from_secs(600);

/// What may be used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Once<'a> {
    /// The nonce of a v2 signature.
    Nonce(&'a str),
    /// The request id of a v1-request-id signature.
    RequestId(&'a str),
}

impl<'a> Once<'a> {
    /// How far a timestamp of this scheme may be from now, both ways, bounds included.
    #[must_use]
    pub const fn window(self) -> Duration {
        match self {
            Self::Nonce(_) => Duration::from_secs(120),
            Self::RequestId(_) => Duration::from_secs(300),
        }
    }

    /// How long after its timestamp it must be remembered: ten minutes past the last instant at
    /// which the timestamp would be accepted, and so at least ten minutes after any claim.
    #[must_use]
    pub const fn keep(self) -> Duration {
        match self {
            Self::Nonce(_) => Duration::from_secs(120 + 600),
            Self::RequestId(_) => Duration::from_secs(300 + 600),
        }
    }

    /// The text itself.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        match self {
            Self::Nonce(text) | Self::RequestId(text) => text,
        }
    }
}

/// A v1 signature, as the thing that a stripped copy would present.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct V1Mark([u8; 32]);

impl V1Mark {
    /// The mark of the signature with these bytes.
    #[must_use]
    pub const fn from_bytes(signature: [u8; 32]) -> Self {
        Self(signature)
    }

    /// The bytes, for a store to digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for V1Mark {
    /// Without the signature: whoever reads a log could present it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("V1Mark(redacted)")
    }
}

/// Spending something once, and with it a v1 signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim<'a> {
    /// Whose it is.
    pub principal: &'a PrincipalId,
    /// What is spent.
    pub once: Once<'a>,
    /// The instant of the signature; a stamp in seconds stands for its first millisecond.
    pub signed_at: Timestamp,
    /// The v1 signature that came with it and must not be used alone any more.
    pub mark: Option<V1Mark>,
}

impl<'a> Claim<'a> {
    /// Spends `once` of `principal`.
    #[must_use]
    pub const fn new(principal: &'a PrincipalId, once: Once<'a>, signed_at: Timestamp) -> Self {
        Self {
            principal,
            once,
            signed_at,
            mark: None,
        }
    }

    /// The same, and marks a v1 signature in the same step.
    #[must_use]
    pub const fn with_mark(mut self, mark: Option<V1Mark>) -> Self {
        self.mark = mark;
        self
    }

    /// The last instant at which the claim must still be known.
    #[must_use]
    pub fn remember_until(&self) -> Timestamp {
        self.signed_at.plus(self.once.keep())
    }
}

/// What came of a claim, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimOutcome {
    /// Signed before what the store can remember: whether it was spent is not known.
    TooOld,
    /// It was spent before.
    Replayed,
    /// It is spent now.
    Claimed,
}
