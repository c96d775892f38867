//! Cursors as texts: a body, then a checksum over what kind of cursor it is, the body and what it is
//! a place in. A changed one, or one of something else, is told from a good one. It grants nothing,
//! so it is not signed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

const SUM: usize = 8;

/// The length of the text of a `body` of so many bytes: `A-Za-z0-9_-` without padding.
pub(crate) const fn text_len(body: usize) -> usize {
    ((body + SUM) * 4).div_ceil(3)
}

/// `body` as a text that only a reader of the same `kind` and `place` takes.
pub(crate) fn seal(body: &[u8], kind: &str, place: &str) -> String {
    let sum = checksum(body, kind, place);
    URL_SAFE_NO_PAD.encode([body, &sum[..]].concat())
}

/// What [`seal`] was given, if `text` is its work for the same `kind` and `place`.
pub(crate) fn unseal<const BODY: usize>(text: &str, kind: &str, place: &str) -> Option<[u8; BODY]> {
    if text.len() != text_len(BODY) {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (body, sum) = bytes.split_first_chunk::<BODY>()?;
    (sum == checksum(body, kind, place)).then_some(*body)
}

/// The eight bytes at `at` as a number. `body` must be longer than that.
pub(crate) fn number_at(body: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&body[at..at + 8]);
    u64::from_be_bytes(eight)
}

fn checksum(body: &[u8], kind: &str, place: &str) -> [u8; SUM] {
    let digest = Sha256::new()
        .chain_update(kind)
        .chain_update(b"\0")
        .chain_update(body)
        .chain_update(place)
        .finalize();
    let mut sum = [0; SUM];
    sum.copy_from_slice(&digest[..SUM]);
    sum
}
