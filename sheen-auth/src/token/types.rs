//! Tokens, viewers and what is wrong with a token.

use std::fmt;

use sheen_core::error::Code;
use sheen_core::id::{BuildId, UserId};
use sheen_core::time::Timestamp;
use zeroize::Zeroizing;

/// A token as it is handed to a browser. Neither `Debug` nor `Display` shows it.
#[derive(Clone)]
pub struct ViewerToken(Zeroizing<String>);

impl ViewerToken {
    pub(super) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The token itself, for the answer that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ViewerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ViewerToken(redacted)")
    }
}

impl fmt::Display for ViewerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Who holds a valid token, and what it lets them watch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Viewer {
    /// The person. Whether they own the build is the caller's to ask.
    pub user: UserId,
    /// The one build.
    pub build: BuildId,
    /// The second it was issued in, by its issuer's clock.
    pub issued_at: Timestamp,
    /// The first instant at which the token counts no more.
    pub expires_at: Timestamp,
}

impl Viewer {
    pub(super) const fn new(
        user: UserId,
        build: BuildId,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            user,
            build,
            issued_at,
            expires_at,
        }
    }

    /// Whether the token is for `build` (wire.md §15: another build's is 403).
    ///
    /// # Errors
    /// [`TokenError::Scope`] when it is for another build.
    pub fn may_watch(&self, build: &BuildId) -> Result<(), TokenError> {
        if self.build == *build {
            Ok(())
        } else {
            Err(TokenError::Scope)
        }
    }
}

/// Why a token does not count, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not a token of ours, or not of the form that ours have.
    #[error("the token is not valid")]
    Invalid,
    /// Past its end.
    #[error("the token has expired")]
    Expired,
    /// For another use or another build.
    #[error("the token is for another use")]
    Scope,
    /// Its user's tokens were taken back after it was issued.
    #[error("the token was taken back")]
    Revoked,
}

impl TokenError {
    /// The wire's code.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Invalid | Self::Revoked => Code::TokenInvalid,
            Self::Expired => Code::TokenExpired,
            Self::Scope => Code::TokenScope,
        }
    }
}

/// Why secrets cannot issue tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewerTokensError {
    /// No secret at all.
    #[error("viewer tokens need at least one secret")]
    Empty,
    /// More secrets than one token is tried against.
    #[error("viewer tokens take at most {max} secrets", max = super::ViewerTokens::MAX_SECRETS)]
    TooMany,
}
