//! AI time: whole seconds, never negative, never a float.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whole AI seconds. At most 2^53 − 1, so that a JavaScript caller reads them exactly.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "u64")]
pub struct Seconds(u64);

/// A number of seconds that is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of seconds from 0 to 9007199254740991")]
#[non_exhaustive]
pub struct SecondsError;

impl Seconds {
    /// None.
    pub const ZERO: Self = Self(0);
    /// The most there can be.
    pub const MAX: Self = Self(9_007_199_254_740_991);

    /// `seconds`, if they are in range.
    ///
    /// # Errors
    /// When they are more than [`Self::MAX`].
    pub const fn new(seconds: u64) -> Result<Self, SecondsError> {
        if seconds > Self::MAX.0 {
            Err(SecondsError)
        } else {
            Ok(Self(seconds))
        }
    }

    /// `seconds`, for constants.
    #[must_use]
    pub const fn from_u32(seconds: u32) -> Self {
        Self(seconds as u64)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as a database stores it.
    #[must_use]
    #[expect(clippy::cast_possible_wrap, reason = "at most 2^53 - 1")]
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, unless it is out of range.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        // Two numbers below 2^53 cannot overflow a u64.
        match Self::new(self.0 + other.0) {
            Ok(sum) => Some(sum),
            Err(SecondsError) => None,
        }
    }

    /// The difference, unless `other` is more.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// The difference, or none when `other` is more.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Whole minutes, rounded up (wire.md §6).
    #[must_use]
    pub const fn minutes_up(self) -> u64 {
        self.0.div_ceil(60)
    }
}

impl TryFrom<u64> for Seconds {
    type Error = SecondsError;

    fn try_from(seconds: u64) -> Result<Self, SecondsError> {
        Self::new(seconds)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_checked_at_both_ends() {
        assert_eq!(Seconds::new(Seconds::MAX.get() + 1), Err(SecondsError));
        assert_eq!(Seconds::MAX.checked_add(Seconds::from_u32(1)), None);
        assert_eq!(Seconds::ZERO.checked_sub(Seconds::from_u32(1)), None);
        assert_eq!(Seconds::from_u32(61).minutes_up(), 2);
        assert!(serde_json::from_str::<Seconds>("-1").is_err());
        assert!(serde_json::from_str::<Seconds>("1.5").is_err());
        assert!(serde_json::from_str::<Seconds>("9007199254740992").is_err());
    }
}
