//! The fencing token of a lease.

use std::fmt;

/// Says which claim of a lease a write belongs to.
///
/// Each claim of the same thing raises it, and every completion compares it in the write itself,
/// so a holder that was taken over cannot write any more, however late it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FencingToken(u64);

impl FencingToken {
    /// Before the first claim.
    pub const ZERO: Self = Self(0);

    /// The token with this number, as a store kept it.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number, for a store to keep.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The token of the next claim.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
