//! Reading a JSON body.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};
use sheen_core::error::Code;

use super::json::{self, JsonError};
use crate::problem::Problem;

/// The object in `body`.
///
/// # Errors
/// When it is of another content type, is coded, is not JSON, not an object, or holds a key twice.
pub(super) fn object_of(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Problem> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    if !is_json(headers) || is_coded(headers) {
        return Err(Problem::new(Code::UnsupportedMediaType));
    }
    match json::parse(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Problem::field(
            "body",
            "wrong_type",
            "must be a JSON object",
        )),
        Err(JsonError::Twice(place)) => {
            Err(Problem::field(place, "duplicate", "must be given once"))
        }
        Err(JsonError::Malformed(error)) => {
            let (line, column) = (error.line(), error.column());
            let message = format!("is not JSON at line {line}, column {column}");
            Err(Problem::field("body", "malformed", message))
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default();
    let essence = essence.split(';').next().unwrap_or_default().trim();
    let Some((kind, subtype)) = essence.split_once('/') else {
        return false;
    };
    let subtype = subtype.to_ascii_lowercase();
    kind.eq_ignore_ascii_case("application") && (subtype == "json" || subtype.ends_with("+json"))
}

/// The signature covers the bytes as sent; what is inside a coding is not looked at.
fn is_coded(headers: &HeaderMap) -> bool {
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    !headers.get_all(CONTENT_ENCODING).iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: Option<&'static str>, body: &str) -> Result<usize, Code> {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
        }
        object_of(&headers, body.as_bytes())
            .map(|map| map.len())
            .map_err(|problem| problem.code())
    }

    #[test]
    fn only_json_is_read() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/a+json",
        ] {
            assert_eq!(read(Some(good), "{\"a\":1}"), Ok(1), "{good}");
        }
        for bad in [
            None,
            Some("text/plain"),
            Some("application/jsonp"),
            Some("json"),
        ] {
            assert_eq!(read(bad, "{}"), Err(Code::UnsupportedMediaType), "{bad:?}");
        }
        for bad in ["{", "[]", "\"x\"", "nul", "{\"a\":1}x", "\u{feff}{}"] {
            assert_eq!(
                read(Some("application/json"), bad),
                Err(Code::ValidationFailed),
                "{bad}"
            );
        }
        assert_eq!(read(None, ""), Ok(0));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(
            read(Some("application/json"), &deep),
            Err(Code::ValidationFailed)
        );
    }

    #[test]
    fn a_coded_body_is_another_media_type() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let refusal = object_of(&headers, b"\x1f\x8b").unwrap_err();
        assert_eq!(refusal.code(), Code::UnsupportedMediaType);
    }
}
