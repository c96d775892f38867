//! The `Vary` field of answers.

use http::header::VARY;
use http::{HeaderMap, HeaderValue};

/// Adds `field` to those the answer varies by, on one line: a field of two lines costs 288 bytes for
/// as long as the connection lives.
pub(crate) fn vary_by(headers: &mut HeaderMap, field: &'static str) {
    let Some(line) = headers.get_mut(VARY) else {
        headers.insert(VARY, HeaderValue::from_static(field));
        return;
    };
    let joined = [line.as_bytes(), b", ", field.as_bytes()].concat();
    if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        *line = joined;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_join_the_line_there_is_and_leave_others() {
        let mut headers = HeaderMap::new();
        vary_by(&mut headers, "origin");
        assert_eq!(headers[VARY], "origin");
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        vary_by(&mut headers, "authorization");
        let lines: Vec<_> = headers.get_all(VARY).iter().collect();
        assert_eq!(lines, ["origin, authorization", "accept-encoding"]);
    }
}
