//! Reading events from a browser of another origin (wire.md §15).
//!
//! 1. Only the configured origins get an answer a browser will show; others get the same answer
//!    without the headers.
//! 2. A preflight is answered unsigned, and so never reaches a handler.
//! 3. No cookies are involved: credentials are not allowed, a viewer token is sent explicitly.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, ORIGIN,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use sheen_core::runtime::BoxFuture;
use tower::{Layer, Service};

use crate::vary::vary_by;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "authorization, last-event-id, x-last-event-seq, if-none-match, x-request-id, x-correlation-id",
);
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "etag, x-next-poll-ms, retry-after, x-request-id, x-correlation-id, server-timing, \
     x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, ratelimit, ratelimit-policy",
);

/// Answers preflights and lets the allowed origins read.
#[derive(Debug, Clone, Default)]
pub struct EventCorsLayer {
    origins: Arc<BTreeSet<String>>,
}

impl EventCorsLayer {
    /// Lets pages of `origins` read, `https://app.example` each.
    pub fn new(origins: impl IntoIterator<Item = String>) -> Self {
        Self {
            origins: Arc::new(origins.into_iter().collect()),
        }
    }

    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let known = self.origins.contains(origin.to_str().ok()?);
        known.then(|| origin.clone())
    }
}

impl<S> Layer<S> for EventCorsLayer {
    type Service = EventCorsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EventCorsService {
            inner,
            layer: self.clone(),
        }
    }
}

/// See [`EventCorsLayer`].
#[derive(Debug, Clone)]
pub struct EventCorsService<S> {
    inner: S,
    layer: EventCorsLayer,
}

impl<S> Service<Request<Body>> for EventCorsService<S>
where
    S: Service<Request<Body>, Response = Response, Future: Send + 'static>,
    S::Error: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let origin = self.layer.allowed(request.headers());
        if request.method() == Method::OPTIONS {
            let answer = preflight(origin);
            return Box::pin(async move { Ok(answer) });
        }
        let answering = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answering.await?;
            let headers = answer.headers_mut();
            vary_by(headers, "origin");
            if let Some(origin) = origin {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            }
            Ok(answer)
        })
    }
}

fn preflight(origin: Option<HeaderValue>) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    vary_by(headers, "origin");
    headers.insert(ALLOW, METHODS);
    let Some(origin) = origin else {
        return answer;
    };
    let hour = HeaderValue::from_static("3600");
    let granted: [(HeaderName, HeaderValue); 4] = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED),
        (ACCESS_CONTROL_MAX_AGE, hour),
    ];
    headers.extend(granted);
    answer
}
