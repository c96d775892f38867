//! Reading the parts of a signed request: strict, and without copying.

use sheen_core::time::Timestamp;

/// ASCII digits: up to 11 are seconds, more are milliseconds (wire.md §1).
#[inline]
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    // 20 digits and more would not fit: no such instant.
    if !within_len(text, 1, 19) || !every(text.as_bytes(), |b| within(b, b'0', b'9')) {
        return None;
    }
    // 19 digits cannot pass the end of a u64.
    let add = |number: u64, digit: u8| {
        number
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit - b'0'))
    };
    let number = i64::try_from(text.bytes().fold(0, add)).ok()?;
    let millis = if text.len() <= 11 {
        number.checked_mul(1000)?
    } else {
        number
    };
    Some(Timestamp::from_millis(millis))
}

fn within_len(text: &str, from: usize, to: usize) -> bool {
    (from..=to).contains(&text.len())
}

/// 16 to 128 of `A-Za-z0-9_-`.
#[inline]
pub(super) fn is_nonce(text: &str) -> bool {
    let letter = |b: u8| within(b | 0x20, b'a', b'z');
    let kind = |b: u8| letter(b) | within(b, b'0', b'9') | (b == b'_') | (b == b'-');
    within_len(text, 16, 128) && every(text.as_bytes(), kind)
}

/// 1 to 128 visible ASCII characters but `:`, which would let the joint of id and body be moved.
pub(super) fn is_request_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

/// Whether the text begins as `{timestamp}:{requestId}:…` does, wherever it was cut after that: with
/// digits and a colon, as no JSON does.
pub(super) fn begins_as_request_id_text(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && text.get(digits) == Some(&b':')
}

/// Reads 64 lower-case hex characters to where they are needed: an array that is handed on costs
/// more than reading it.
#[inline]
pub(super) fn signature(text: &str, out: &mut [u8; 32]) -> bool {
    let Ok(bytes): Result<&[u8; 64], _> = text.as_bytes().try_into() else {
        return false;
    };
    let lower = every(bytes, |byte| !byte.is_ascii_uppercase());
    // `0x` and 62 digits would be 31 bytes, which is an error here.
    lower && const_hex::decode_to_slice(bytes, out).is_ok()
}

/// Whether all bytes are of a kind, without stopping at the first that is not: a loop without
/// branches looks at sixteen at once.
fn every(bytes: &[u8], kind: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, byte| all & kind(*byte))
}

/// Whether a byte is one of `from` and the following, up to `to`.
const fn within(byte: u8, from: u8, to: u8) -> bool {
    byte.wrapping_sub(from) <= to - from
}

/// A method is an RFC 9110 token, here of at most 32 characters.
#[inline]
pub(super) fn is_method(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=32).contains(&text.len()) && text.bytes().all(token)
}

/// Whether path and query can stand on a request line in origin form. With line breaks out, the
/// fields of the signed text cannot run into each other.
#[inline]
pub(super) fn is_target(path: &str, query: Option<&str>) -> bool {
    let plain = |b: u8| (b > b' ') & (b != 0x7f);
    let path = path.as_bytes();
    path.first() == Some(&b'/')
        && every(path, |b| plain(b) & (b != b'?'))
        && query.is_none_or(|query| every(query.as_bytes(), plain))
}

/// Whether a repeat of the method could change something (wire.md §1: whose v1 is marked).
pub(super) fn mutates(method: &str) -> bool {
    ["POST", "PUT", "PATCH", "DELETE"]
        .iter()
        .any(|name| method.eq_ignore_ascii_case(name))
}
