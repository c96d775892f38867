//! The text under a v2 signature.

/// The fields of the v2 text, each of a kind that cannot hold a line break.
pub(super) struct SignedText<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) canonical_query: &'a [u8],
    pub(super) body_sha256: &'a [u8; 32],
    pub(super) nonce: &'a str,
    pub(super) timestamp: &'a str,
}

impl SignedText<'_> {
    /// `METHOD\nPATH\nQUERY\nHEX(SHA256(body))\nNONCE\nTIMESTAMP`.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        head(self.method, self.path, out);
        out.extend_from_slice(self.canonical_query);
        tail(self.body_sha256, self.nonce, self.timestamp, out);
    }
}

/// What stands before the query.
#[inline]
pub(super) fn head(method: &str, path: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(method.as_bytes());
    out[start..].make_ascii_uppercase();
    out.push(b'\n');
    out.extend_from_slice(path.as_bytes());
    out.push(b'\n');
}

/// What stands after the query.
#[inline]
pub(super) fn tail(body_sha256: &[u8; 32], nonce: &str, timestamp: &str, out: &mut Vec<u8>) {
    out.push(b'\n');
    let start = out.len();
    out.resize(start + 64, 0);
    let written = const_hex::encode_to_slice(body_sha256, &mut out[start..]);
    debug_assert!(written.is_ok(), "32 bytes are 64 digits");
    out.push(b'\n');
    out.extend_from_slice(nonce.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(timestamp.as_bytes());
}
