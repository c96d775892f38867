//! Answers, read whole.

use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(answer: axum::response::Response) -> Self {
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts that it is the refusal `code` in the shape that every refusal has.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), &body["error"]),
            (status, &Value::from(code)),
            "{body}"
        );
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{body}"
        );
        assert_eq!(
            body["requestId"].as_str(),
            self.header("x-request-id"),
            "{body}"
        );
        let at = body["timestamp"].as_str().unwrap();
        assert!(at.ends_with('Z') && at.len() == 24, "{at}");
        assert_eq!(self.header("content-language"), Some("en"));
        assert_eq!(self.header("content-type"), Some("application/json"));
        let timing = self.header("server-timing").unwrap();
        for part in ["auth;dur=", "store;dur=", "total;dur="] {
            assert!(timing.contains(part), "{timing}");
        }
        body["data"].clone()
    }

    /// The wrong fields of a `VALIDATION_FAILED`, each with its code.
    #[track_caller]
    pub(crate) fn wrong_fields(&self) -> Vec<(String, String)> {
        let data = self.refused(400, "VALIDATION_FAILED");
        let fields = data["fields"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        fields
            .iter()
            .map(|field| (text(&field["field"]), text(&field["code"])))
            .collect()
    }
}
