//! Calls of a worker, signed unless told otherwise, and their answers read whole.

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use sheen_core::time::Clock;
use tower::ServiceExt;

use super::support::World;

/// A call that is put together and then sent.
#[derive(Clone)]
pub(crate) struct Call<'a> {
    world: &'a World,
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    is_signed: bool,
}

impl<'a> Call<'a> {
    /// Signed, without a body.
    pub(super) fn new(world: &'a World, method: &str, target: &str) -> Self {
        Self {
            world,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            is_signed: true,
        }
    }

    pub(crate) fn json(mut self, body: impl Into<String>) -> Self {
        self.body = body.into().into_bytes();
        self.header("content-type", "application/json")
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn unsigned(mut self) -> Self {
        self.is_signed = false;
        self
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// The request as it is now, with a signature of its own.
    pub(crate) fn request(&self) -> Request<Body> {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(&self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value.as_slice());
        }
        if self.is_signed {
            let (path, query) = match self.target.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (self.target.as_str(), None),
            };
            let now = self.world.clock.now();
            let entropy = &*self.world.entropy;
            let signed =
                self.world
                    .signer
                    .sign(&self.method, path, query, &self.body, now, entropy);
            for (name, value) in signed.unwrap().iter() {
                request = request.header(name, value);
            }
        }
        request.body(Body::from(self.body.clone())).unwrap()
    }

    pub(crate) async fn send(&self) -> Answer {
        send(&self.world.app, self.request()).await
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let answer = app.clone().oneshot(request).await.unwrap();
    Answer::of(answer).await
}

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
