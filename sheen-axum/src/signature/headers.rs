//! The headers that signatures live in.

use http::HeaderMap;
use sheen_auth::signature::Headers;
use sheen_core::error::Fields;

use crate::problem::Problem;

/// Whether a signature is there, whatever it is worth.
pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    let signatures = [
        "x-sheen-signature",
        "x-sheen-sig-v2",
        "x-sheen-signature-v2",
    ];
    signatures.iter().any(|name| headers.contains_key(*name))
}

/// Whether it depends on the body if the call gets in: its headers can be read, and some scheme's
/// parts are all there and of their form.
pub(super) fn body_decides(headers: &HeaderMap) -> bool {
    read(headers).is_ok_and(|headers| headers.are_well_formed())
}

/// The signature's headers.
///
/// # Errors
/// When one is given twice or is not text; all such are named.
pub(super) fn read(headers: &HeaderMap) -> Result<Headers<'_>, Problem> {
    let mut fields = Fields::new();
    let mut pairs = Vec::with_capacity(Headers::NAMES.len());
    for name in Headers::NAMES {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else {
            continue;
        };
        if values.next().is_some() {
            fields.refuse(name, "duplicate", "must be given once");
        }
        match std::str::from_utf8(value.as_bytes()) {
            Ok(value) if value.is_ascii() => pairs.push((name, value)),
            _ => fields.refuse(name, "invalid_characters", "must be ASCII"),
        }
    }
    fields.finish()?;
    Ok(Headers::from_pairs(pairs))
}
