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
pub(super) fn head(method: &str, path: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(method.as_bytes());
    out[start..].make_ascii_uppercase();
    out.push(b'\n');
    out.extend_from_slice(path.as_bytes());
    out.push(b'\n');
}

/// What stands after the query.
pub(super) fn tail(body_sha256: &[u8; 32], nonce: &str, timestamp: &str, out: &mut Vec<u8>) {
    let mut hex = [b'\n'; 66];
    let digits: const_hex::Buffer<32> = const_hex::const_encode(body_sha256);
    hex[1..65].copy_from_slice(digits.as_bytes());
    out.extend_from_slice(&hex);
    out.extend_from_slice(nonce.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(timestamp.as_bytes());
}
