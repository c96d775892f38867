//! Epochs.

use std::time::Duration;

use sheen_core::time::Timestamp;

use super::super::ViewerTokens;

/// A user's tokens issued before this instant count no more. Always a whole second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(Timestamp);

impl Epoch {
    /// How long after it an epoch must be remembered: a token's longest life, and the lead that an
    /// issuer's clock may have.
    pub const KEEP: Duration = ViewerTokens::MAX_LIFE.saturating_add(Duration::from_secs(61));

    /// The epoch that revokes what is issued up to `now`, its second included.
    #[must_use]
    pub const fn after(now: Timestamp) -> Self {
        let second = now.as_seconds().saturating_add(1);
        Self(Timestamp::from_millis(second.saturating_mul(1000)))
    }

    /// The epoch at this whole second since 1970, as a store has kept it.
    #[must_use]
    pub const fn from_seconds(second: i64) -> Self {
        Self(Timestamp::from_millis(second.saturating_mul(1000)))
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.as_seconds()
    }

    /// Whether a token issued at `issued_at` counts no more.
    #[must_use]
    pub fn revokes(self, issued_at: Timestamp) -> bool {
        issued_at < self.0
    }

    /// The first instant at which it may be forgotten.
    #[must_use]
    pub fn forgotten_from(self) -> Timestamp {
        self.0.plus(Self::KEEP)
    }
}
