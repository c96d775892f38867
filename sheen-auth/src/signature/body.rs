//! A request's body, whole or hashed while it was read.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// SHA-256 of nothing.
const EMPTY_SHA256: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

pub(super) fn sha256(body: &[u8]) -> [u8; 32] {
    if body.is_empty() {
        return EMPTY_SHA256;
    }
    Sha256::digest(body).into()
}

/// A body as a verification takes it.
///
/// v2 signs the body's hash, so its digest is enough. Both v1 forms sign its bytes: of a body that
/// is only a digest they fit never. A layer that hashes while it reads gives the digest where
/// [`Headers::signature`](super::Headers::signature) is absent, and the bytes where it is there.
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "the two things that are signed")]
pub enum Body<'a> {
    /// Every byte as sent, before any decompression.
    Whole(&'a [u8]),
    /// What a [`BodyHasher`] made of every byte as sent.
    Digest(BodyDigest),
}

impl<'a> Body<'a> {
    /// Puts the hash where it is needed; an array that is handed on costs more.
    #[inline]
    pub(super) fn sha256_to(&self, out: &mut [u8; 32]) {
        match self {
            Self::Whole([]) => *out = EMPTY_SHA256,
            Self::Whole(bytes) => Sha256::new().chain_update(bytes).finalize_into(out.into()),
            Self::Digest(digest) => *out = digest.0,
        }
    }

    pub(super) const fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Digest(_) => None,
        }
    }
}

impl fmt::Debug for Body<'_> {
    /// Its length alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Digest(_) => f.write_str("Digest"),
        }
    }
}

/// Hashes a body while it is read. Nothing may be done with the bytes before the request verified.
///
/// ```
/// use sheen_auth::signature::{BodyHasher, Headers, Request};
/// let mut hasher = BodyHasher::new();
/// for piece in [&b"{\"userId\":"[..], b"\"u_1\"}"] {
///     hasher.update(piece);
/// }
/// let request = Request::hashed("POST", "/v1/estimate", None, Headers::default(), hasher.finish());
/// # let _ = request;
/// ```
#[derive(Clone, Default)]
pub struct BodyHasher {
    state: Sha256,
}

impl BodyHasher {
    /// A body without any bytes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next bytes.
    pub fn update(&mut self, piece: &[u8]) {
        self.state.update(piece);
    }

    /// The body has ended.
    #[must_use]
    pub fn finish(self) -> BodyDigest {
        BodyDigest(self.state.finalize().into())
    }
}

impl fmt::Debug for BodyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyHasher").finish_non_exhaustive()
    }
}

/// SHA-256 of a whole body; only a [`BodyHasher`] makes one, so it is no caller's claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyDigest([u8; 32]);

impl BodyDigest {
    /// The hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
