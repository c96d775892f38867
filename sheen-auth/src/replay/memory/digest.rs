//! What is kept of a nonce, a request id or a mark.

use sha2::{Digest as _, Sha256};
use sheen_core::entropy::Entropy;

use super::super::types::Once;

/// Half a keyed SHA-256: spread evenly, and nobody outside can make two alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; 16]);

impl Digest {
    pub(super) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    #[cfg(test)]
    pub(super) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Half of its bits.
    pub(super) const fn low(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// What kind of thing a digest is of: they never meet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Nonce,
    RequestId,
    Mark,
}

impl Kind {
    pub(super) const fn of(once: Once<'_>) -> Self {
        match once {
            Once::Nonce(_) => Self::Nonce,
            Once::RequestId(_) => Self::RequestId,
        }
    }
}

/// SHA-256 over one block of random key: digests cannot be aimed at each other.
#[derive(Clone)]
pub(super) struct DigestKey(Sha256);

impl DigestKey {
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        let mut key = zeroize::Zeroizing::new([0_u8; 64]);
        entropy.fill(&mut *key);
        Self(Sha256::new().chain_update(*key))
    }

    pub(super) fn digest(&self, kind: Kind, text: &[u8]) -> Digest {
        let kind = match kind {
            Kind::Nonce => b'n',
            Kind::RequestId => b'r',
            Kind::Mark => b'm',
        };
        let full = self.0.clone().chain_update([kind]).chain_update(text);
        let full: [u8; 32] = full.finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        Digest::from_bytes(half)
    }
}
