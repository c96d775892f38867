//! The canonical form of a query.

use std::ops::Range;

/// A query that is not UTF-8 once decoded: two of them would sign alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the query is not valid utf-8 once decoded")]
#[non_exhaustive]
pub struct QueryNotUtf8;

/// Appends the canonical form of `raw`, what follows the `?` of the request line (wire.md §1).
///
/// One further leading `?` is dropped; then it is parsed as `application/x-www-form-urlencoded`,
/// each key and value is encoded as JavaScript's `encodeURIComponent` does, and the pairs are
/// sorted by encoded key in byte order, equal keys keeping theirs.
///
/// ```
/// use sheen_auth::signature::canonical_query;
/// let mut out = String::new();
/// canonical_query("b=two+words&a=%2F&a=", &mut out)?;
/// assert_eq!(out, "a=%2F&a=&b=two%20words");
/// assert!(canonical_query("k=%FF", &mut out).is_err());
/// # Ok::<(), sheen_auth::signature::QueryNotUtf8>(())
/// ```
///
/// # Errors
/// When a key or value is not UTF-8 once decoded; `out` is left as it was.
pub fn canonical_query(raw: &str, out: &mut String) -> Result<(), QueryNotUtf8> {
    let mut bytes = Vec::with_capacity(raw.len());
    QueryScratch::default().append(raw, &mut bytes)?;
    // Encoded text is ASCII, so this takes all of it.
    out.push_str(std::str::from_utf8(&bytes).map_err(|_| QueryNotUtf8)?);
    Ok(())
}

/// Buffers that are kept from one query to the next.
#[derive(Default)]
pub(super) struct QueryScratch {
    decoded: Vec<u8>,
    encoded: Vec<u8>,
    pairs: Vec<Pair>,
    /// The decoded keys, end to end.
    #[cfg(feature = "locale-order")]
    keys: String,
}

/// Where a pair stands in `encoded`.
struct Pair {
    key: Range<usize>,
    value: Range<usize>,
    /// Its place in the query as sent.
    number: usize,
}

impl QueryScratch {
    /// Appends the canonical form of `raw` to `out`, or nothing.
    pub(super) fn append(&mut self, raw: &str, out: &mut Vec<u8>) -> Result<(), QueryNotUtf8> {
        let raw = raw.strip_prefix('?').unwrap_or(raw);
        if raw.is_empty() || is_canonical(raw.as_bytes()) {
            out.extend_from_slice(raw.as_bytes());
            return Ok(());
        }
        self.encoded.clear();
        self.pairs.clear();
        for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            let key = self.encode(key)?;
            let value = self.encode(value)?;
            let number = self.pairs.len();
            self.pairs.push(Pair { key, value, number });
        }
        let encoded = &self.encoded;
        // A stable sort would allocate; the number keeps equal keys in order.
        self.pairs.sort_unstable_by(|a, b| {
            let keys = encoded[a.key.clone()].cmp(&encoded[b.key.clone()]);
            keys.then(a.number.cmp(&b.number))
        });
        self.join(out);
        Ok(())
    }

    fn join(&self, out: &mut Vec<u8>) {
        for (number, pair) in self.pairs.iter().enumerate() {
            if number > 0 {
                out.push(b'&');
            }
            out.extend_from_slice(&self.encoded[pair.key.clone()]);
            out.push(b'=');
            out.extend_from_slice(&self.encoded[pair.value.clone()]);
        }
    }

    /// Puts to `out` the form in which callers in the field sign `raw`: sorted by what Node's
    /// `localeCompare` says of the decoded keys (wire.md §1). Nothing for a query past the bounds
    /// or one that is not UTF-8.
    #[cfg(feature = "locale-order")]
    pub(super) fn append_in_locale_order(
        &mut self,
        raw: &str,
        order: &super::order::LocaleOrder,
        out: &mut Vec<u8>,
    ) -> bool {
        let raw = raw.strip_prefix('?').unwrap_or(raw);
        if raw.len() > super::order::MAX_QUERY {
            return false;
        }
        self.encoded.clear();
        self.pairs.clear();
        self.keys.clear();
        let mut bounds = [(0, 0); super::order::MAX_PAIRS];
        for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
            if self.pairs.len() == bounds.len() {
                return false;
            }
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            let start = self.keys.len();
            decode(key.as_bytes(), &mut self.decoded);
            let Ok(decoded) = std::str::from_utf8(&self.decoded) else {
                return false;
            };
            self.keys.push_str(decoded);
            bounds[self.pairs.len()] = (start, self.keys.len());
            let (Ok(key), Ok(value)) = (self.encode(key), self.encode(value)) else {
                return false;
            };
            let number = self.pairs.len();
            self.pairs.push(Pair { key, value, number });
        }
        let keys = self.keys.as_str();
        let key_of = |pair: &Pair| &keys[bounds[pair.number].0..bounds[pair.number].1];
        // `localeCompare` has ties between keys that differ; those keep their places, as in Node.
        self.pairs.sort_unstable_by(|a, b| {
            let keys = order.compare(key_of(a), key_of(b));
            keys.then(a.number.cmp(&b.number))
        });
        self.join(out);
        true
    }

    fn encode(&mut self, raw: &str) -> Result<Range<usize>, QueryNotUtf8> {
        let start = self.encoded.len();
        if raw.bytes().all(is_plain) {
            self.encoded.extend_from_slice(raw.as_bytes());
            return Ok(start..self.encoded.len());
        }
        decode(raw.as_bytes(), &mut self.decoded);
        std::str::from_utf8(&self.decoded).map_err(|_| QueryNotUtf8)?;
        for &byte in &self.decoded {
            if is_plain(byte) {
                self.encoded.push(byte);
            } else {
                let hex = |half: u8| b"0123456789ABCDEF"[usize::from(half)];
                self.encoded
                    .extend_from_slice(&[b'%', hex(byte >> 4), hex(byte & 15)]);
            }
        }
        Ok(start..self.encoded.len())
    }
}

/// `+` is a space and `%` with two hex digits a byte; any other `%` is itself (WHATWG URL).
fn decode(raw: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        at += 1;
        let digits = raw
            .get(at)
            .copied()
            .and_then(hex)
            .zip(raw.get(at + 1).copied().and_then(hex));
        out.push(match (byte, digits) {
            (b'+', _) => b' ',
            (b'%', Some((high, low))) => {
                at += 2;
                (high << 4) | low
            }
            _ => byte,
        });
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Whether a query is its own canonical form, as most are: nothing to encode, keys in order.
fn is_canonical(raw: &[u8]) -> bool {
    let mut last: &[u8] = b"";
    let mut start = 0;
    let mut joint = None;
    for (at, byte) in raw.iter().enumerate() {
        match CLASSES[usize::from(*byte)] {
            Class::Plain => {}
            Class::Joint if joint.is_none() => {
                let key = &raw[start..at];
                if key < last {
                    return false;
                }
                last = key;
                joint = Some(at);
            }
            Class::End if joint.is_some() => {
                joint = None;
                start = at + 1;
            }
            _ => return false,
        }
    }
    joint.is_some()
}

/// What a byte of a raw query is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself and is encoded as itself.
    Plain,
    /// `=`
    Joint,
    /// `&`
    End,
    Other,
}

static CLASSES: [Class; 256] = {
    let mut table = [Class::Other; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = match byte {
            b'=' => Class::Joint,
            b'&' => Class::End,
            _ if is_unreserved(byte) => Class::Plain,
            _ => Class::Other,
        };
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

fn is_plain(byte: u8) -> bool {
    CLASSES[usize::from(byte)] == Class::Plain
}

/// What `encodeURIComponent` leaves alone.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'
        )
}
