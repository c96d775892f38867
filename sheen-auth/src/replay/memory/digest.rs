//! What is kept of a nonce, a request id or a mark.

use std::hash::Hasher as _;

use sheen_core::entropy::Entropy;
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use zeroize::Zeroizing;

use super::super::types::Once;

/// 16 bytes of keyed SipHash-2-4: spread evenly, and who does not know the key cannot make two alike.
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

/// A random key: digests cannot be aimed at each other. SipHash and not SHA-256, since a pseudorandom
/// function is all that is wanted here, at a third of the time.
#[derive(Clone)]
pub(super) struct DigestKey(Zeroizing<[u8; 16]>);

impl DigestKey {
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        let mut key = Zeroizing::new([0_u8; 16]);
        entropy.fill(&mut *key);
        Self(key)
    }

    pub(super) fn digest(&self, kind: Kind, text: &[u8]) -> Digest {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(text);
        // Last and of one byte: no text of one kind is a text of another with its kind.
        hasher.write_u8(match kind {
            Kind::Nonce => b'n',
            Kind::RequestId => b'r',
            Kind::Mark => b'm',
        });
        Digest::from_bytes(hasher.finish128().as_bytes())
    }
}
