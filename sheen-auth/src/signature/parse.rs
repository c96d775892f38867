//! Reading the parts of a signed request: strict, and without copying.

use sheen_core::time::Timestamp;

/// ASCII digits: up to 11 are seconds, more are milliseconds (wire.md §1).
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // 20 digits and more would not fit: no such instant.
    let number: i64 = text.parse().ok()?;
    let millis = if text.len() <= 11 {
        number.checked_mul(1000)?
    } else {
        number
    };
    Some(Timestamp::from_millis(millis))
}

/// 16 to 128 of `A-Za-z0-9_-`.
pub(super) fn is_nonce(text: &str) -> bool {
    (16..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// 1 to 128 visible ASCII characters but `:`, which would let the joint of id and body be moved.
pub(super) fn is_request_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

/// 64 lower-case hex characters.
pub(super) fn signature(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let mut out = [0_u8; 32];
    for (byte, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
    }
    Some(out)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A method is an RFC 9110 token, here of at most 32 characters.
pub(super) fn is_method(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=32).contains(&text.len()) && text.bytes().all(token)
}

/// Whether path and query can stand on a request line in origin form. With line breaks out, the
/// fields of the signed text cannot run into each other.
pub(super) fn is_target(path: &str, query: Option<&str>) -> bool {
    let plain = |text: &str| text.bytes().all(|b| b > b' ' && b != 0x7f);
    path.starts_with('/') && !path.contains('?') && plain(path) && query.is_none_or(plain)
}

/// Whether a repeat of the method could change something (wire.md §1: whose v1 is marked).
pub(super) fn mutates(method: &str) -> bool {
    ["POST", "PUT", "PATCH", "DELETE"]
        .iter()
        .any(|name| method.eq_ignore_ascii_case(name))
}
