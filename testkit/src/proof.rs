//! How large a proof is run.

/// Set to `full` by `cargo xtask prove`.
pub const PROOF_VARIABLE: &str = "SHEEN_PROVE";

/// The size of a proof: the same test runs in both, over more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// Seconds, in every test run.
    Smoke,
    /// Minutes, in `cargo xtask prove`.
    Full,
}

impl Proof {
    /// What the environment asks for.
    #[must_use]
    pub fn size() -> Self {
        if std::env::var_os(PROOF_VARIABLE).is_some_and(|size| size == "full") {
            Self::Full
        } else {
            Self::Smoke
        }
    }

    /// One of two values, by size.
    #[must_use]
    pub fn pick<T>(self, smoke: T, full: T) -> T {
        match self {
            Self::Smoke => smoke,
            Self::Full => full,
        }
    }
}
