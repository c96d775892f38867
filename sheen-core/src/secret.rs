//! Key material: never shown, compared in constant time, wiped when dropped.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A shared secret of at least [`Secret::MIN_LEN`] bytes.
///
/// It has no `Clone`, `Display` or serde form: who needs it twice shares it behind an `Arc`.
///
/// ```
/// use sheen_core::secret::Secret;
/// let secret = Secret::new("correct-horse-battery-staple-32-bytes-min")?;
/// assert_eq!(format!("{secret:?}"), "Secret(redacted)");
/// assert!(Secret::new("short").is_err());
/// # Ok::<(), sheen_core::secret::SecretError>(())
/// ```
pub struct Secret(Zeroizing<Vec<u8>>);

/// Why bytes are refused as a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret must be at least 32 bytes, this one has {len}")]
#[non_exhaustive]
pub struct SecretError {
    /// How many bytes there were.
    pub len: usize,
}

impl Secret {
    /// The shortest secret accepted, in bytes (wire.md §1).
    pub const MIN_LEN: usize = 32;

    /// Takes key material.
    ///
    /// # Errors
    /// When it is shorter than [`Self::MIN_LEN`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, SecretError> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.len() < Self::MIN_LEN {
            return Err(SecretError { len: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// The bytes, for the HMAC that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether `other` is the same secret, in time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.as_slice().ct_eq(other).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
