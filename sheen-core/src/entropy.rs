//! Where random bytes come from.

use std::fmt;

/// A source of random bytes.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `buffer`.
    ///
    /// # Panics
    /// An implementation may panic when the machine gives no randomness: an id that could be
    /// guessed or doubled is worse than a process that ends.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to add to it")]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "the adapter behind Entropy")]
    #[expect(clippy::expect_used, reason = "documented in Entropy::fill")]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gave no randomness");
    }
}

/// The same bytes for the same seed. Not for secrets.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub struct SeededEntropy(std::sync::Mutex<fastrand::Rng>);

#[cfg(any(test, feature = "testing"))]
impl SeededEntropy {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(std::sync::Mutex::new(fastrand::Rng::with_seed(seed)))
    }
}

#[cfg(any(test, feature = "testing"))]
impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let mut rng = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        rng.fill(buffer);
    }
}
