//! URLs, what they open, and what is wrong with one.

use std::fmt;
use std::time::Duration;

use sheen_core::id::UserId;
use sheen_core::time::Timestamp;
use zeroize::Zeroizing;

/// A signed URL, from its path on. Whoever has it may use it: neither `Debug` nor `Display` shows
/// it.
#[derive(Clone)]
pub struct SignedUrl {
    text: Zeroizing<String>,
    expires_at: Timestamp,
}

impl SignedUrl {
    pub(super) fn new(text: String, expires_at: Timestamp) -> Self {
        Self {
            text: Zeroizing::new(text),
            expires_at,
        }
    }

    /// Path and query, for the answer that carries them.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The first instant at which it opens nothing any more.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether it may still be handed out or used again at `now`: until `margin` before its end.
    #[must_use]
    pub fn is_reusable(&self, now: Timestamp, margin: Duration) -> bool {
        now < self.expires_at.minus(margin)
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedUrl(redacted)")
    }
}

impl fmt::Display for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Whom a valid URL serves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// Whom it was made for. Whether the thing is still theirs is the caller's to ask.
    pub user: UserId,
    /// The first instant at which it opens nothing any more.
    pub expires_at: Timestamp,
}

impl Opened {
    pub(super) const fn new(user: UserId, expires_at: Timestamp) -> Self {
        Self { user, expires_at }
    }
}

/// Why a URL opens nothing, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedUrlError {
    /// Its query is not one of ours, or its signature does not fit method, path and query.
    #[error("the URL is not a valid signed one")]
    Invalid,
    /// Past its end, or its end is further away than any that is given out.
    #[error("the URL has expired")]
    Expired,
}

/// Why there is nothing to sign, or nothing to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedUrlsError {
    /// No secret at all.
    #[error("signed URLs need at least one secret")]
    NoSecret,
    /// More secrets than one URL is tried against.
    #[error("signed URLs take at most {max} secrets", max = super::SignedUrls::MAX_SECRETS)]
    TooManySecrets,
    /// No method: 1–16 of `A-Z`.
    #[error("a method to sign must be 1 to 16 of A-Z")]
    Method,
    /// No path as it stands on a request line: it begins with a slash and holds 1–4096 visible
    /// ASCII characters without `?` and `#`.
    #[error("a path to sign must stand on a request line as it is")]
    Path,
}
