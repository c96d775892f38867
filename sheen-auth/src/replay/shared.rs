//! What stores that processes share keep of a thing.

use sha2::{Digest as _, Sha256};

use super::types::{Once, V1Mark};

/// One byte for the kind and 16 of SHA-256 over kind and text. Not keyed: every process must make
/// the same, and whoever aims two texts at each other, 2^64 tries, refuses a call of their own.
pub(super) type SharedDigest = [u8; 17];

pub(super) fn of_once(once: Once<'_>) -> SharedDigest {
    let kind = match once {
        Once::Nonce(_) => b'n',
        Once::RequestId(_) => b'r',
    };
    digest(kind, once.as_str().as_bytes())
}

pub(super) fn of_mark(mark: &V1Mark) -> SharedDigest {
    digest(b'm', mark.as_bytes())
}

fn digest(kind: u8, text: &[u8]) -> SharedDigest {
    let hash = Sha256::new()
        .chain_update(b"sheen/replay/v1/")
        .chain_update([kind])
        .chain_update(text)
        .finalize();
    let mut out = [kind; 17];
    out[1..].copy_from_slice(&hash[..16]);
    out
}
