//! Entity tags of a page, and `If-None-Match` (RFC 9110 §§8.8.3, 13.1.2).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use sheen_core::id::{BuildId, UserId};

use super::types::{PageLimit, Shape};
use crate::log::StreamHead;

const TAG_LEN: usize = 22;

/// The tag of a page. Everything the page is made of goes in, and who sees it: two viewers never
/// share a tag, so no shared cache serves one the other's page. `nextPollMs` stays out.
pub(super) fn tag(
    viewer: &UserId,
    build: &BuildId,
    stream: &StreamHead,
    after: u64,
    limit: PageLimit,
    shape: Shape,
) -> String {
    let mut hash = Sha256::new().chain_update(b"sheen event page\0");
    for text in [viewer.as_str(), build.as_str()] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    for number in [stream.epoch, stream.floor, stream.head, after] {
        hash.update(number.to_be_bytes());
    }
    hash.update([
        u8::from(stream.closed),
        limit.get(),
        u8::from(shape == Shape::Row),
    ]);
    let digest = hash.finalize();
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..16]))
}

/// Whether an `If-None-Match` names `tag`: weakly compared, in a list, by `*`, and also when a
/// proxy that compressed the page wrote its suffix (`-gzip`) into the tag.
#[must_use]
pub fn if_none_match(header: &str, tag: &str) -> bool {
    let wanted = tag.trim_matches('"');
    let header = header.trim();
    header == "*" || header.split(',').any(|entry| names(entry.trim(), wanted))
}

fn names(entry: &str, wanted: &str) -> bool {
    let entry = entry.strip_prefix("W/").unwrap_or(entry);
    let Some(opaque) = entry
        .strip_prefix('"')
        .and_then(|entry| entry.strip_suffix('"'))
    else {
        return false;
    };
    let Some(suffix) = opaque.strip_prefix(wanted) else {
        return false;
    };
    wanted.len() == TAG_LEN && matches!(suffix, "" | "-gzip" | "--gzip" | "-br" | "-zstd" | ";gzip")
}
