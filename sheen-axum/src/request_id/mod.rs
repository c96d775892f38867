//! Request and correlation ids on every answer (wire.md §3).
//!
//! 1. `x-request-id` is kept when it is 1–128 visible ASCII characters and stands once; else the
//!    worker makes one, `req_{uuid v4}`.
//! 2. `x-correlation-id` follows the same rule; without one it is the request id.
//! 3. Both come back on every answer, refusals included, and stand in the span that every log line
//!    of the request is in. The span never holds the query: it may carry a viewer token.
//! 4. A [`Problem`] gets its `requestId` and `timestamp` here, so this layer is the outermost.
//!
//! ```
//! # async fn demo() {
//! use std::sync::Arc;
//! use axum::{Router, body::Body, routing::get};
//! use sheen_axum::request_id::RequestIdLayer;
//! use sheen_core::{entropy::OsEntropy, time::SystemClock};
//! use tower::ServiceExt;
//!
//! let layer = RequestIdLayer::new(Arc::new(OsEntropy), Arc::new(SystemClock::new()));
//! let app = Router::new().route("/", get(|| async { "hello" })).layer(layer);
//! let call = http::Request::get("/").header("x-request-id", "call-1").body(Body::empty()).unwrap();
//! let answer = app.oneshot(call).await.unwrap();
//! assert_eq!(answer.headers()["x-request-id"], "call-1");
//! assert_eq!(answer.headers()["x-correlation-id"], "call-1");
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(demo());
//! ```

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use sheen_core::entropy::Entropy;
use sheen_core::id::generate_request_id;
use sheen_core::runtime::BoxFuture;
use sheen_core::time::Clock;
use tower::{Layer, Service};
use tracing::{Instrument, Span, field};

use crate::problem::Problem;

/// `x-request-id`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `x-correlation-id`.
pub const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

const MAX_LEN: usize = 128;

/// The ids of a request, in its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestIds {
    /// This call.
    pub request: Arc<str>,
    /// What it belongs to.
    pub correlation: Arc<str>,
}

/// Puts [`RequestIds`] into requests and their ids onto answers.
#[derive(Debug, Clone)]
pub struct RequestIdLayer {
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
}

impl RequestIdLayer {
    /// Ids from `entropy`, instants of refusals from `clock`.
    #[must_use]
    pub const fn new(entropy: Arc<dyn Entropy>, clock: Arc<dyn Clock>) -> Self {
        Self { entropy, clock }
    }

    fn ids(&self, headers: &HeaderMap) -> RequestIds {
        let request = kept(headers, &X_REQUEST_ID)
            .unwrap_or_else(|| generate_request_id(&*self.entropy).into());
        let correlation = kept(headers, &X_CORRELATION_ID).unwrap_or_else(|| Arc::clone(&request));
        RequestIds {
            request,
            correlation,
        }
    }
}

fn kept(headers: &HeaderMap, name: &HeaderName) -> Option<Arc<str>> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    let fits = (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| text.into())
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestIdService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestIdService {
            inner,
            layer: self.clone(),
        }
    }
}

/// See [`RequestIdLayer`].
#[derive(Debug, Clone)]
pub struct RequestIdService<S> {
    inner: S,
    layer: RequestIdLayer,
}

impl<S> Service<Request<Body>> for RequestIdService<S>
where
    S: Service<Request<Body>, Response = Response, Future: Send + 'static>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let ids = self.layer.ids(request.headers());
        let span = span_of(&request, &ids);
        request.extensions_mut().insert(ids.clone());
        let clock = Arc::clone(&self.layer.clock);
        let started = clock.monotonic();
        let answering = span.in_scope(|| self.inner.call(request));
        let answer = async move {
            let mut answer = answering.await?;
            fill_in(&mut answer, &ids, &*clock);
            let elapsed_ms = clock.monotonic().saturating_sub(started).as_millis();
            log(&answer, elapsed_ms);
            Ok(answer)
        };
        Box::pin(answer.instrument(span))
    }
}

/// The fields that are empty here are filled in where they become known.
fn span_of(request: &Request<Body>, ids: &RequestIds) -> Span {
    tracing::info_span!(
        "request",
        method = %request.method(),
        path = request.uri().path(),
        request_id = &*ids.request,
        correlation_id = &*ids.correlation,
        user_id = field::Empty,
        project_id = field::Empty,
        build_id = field::Empty,
    )
}

fn fill_in(answer: &mut Response, ids: &RequestIds, clock: &dyn Clock) {
    if let Some(problem) = answer.extensions().get::<Arc<Problem>>().cloned() {
        let body = problem.body(Some(&ids.request), Some(clock.now()));
        answer.headers_mut().remove(CONTENT_LENGTH);
        *answer.body_mut() = Body::from(body);
    }
    let headers = answer.headers_mut();
    for (name, id) in [
        (X_REQUEST_ID, &ids.request),
        (X_CORRELATION_ID, &ids.correlation),
    ] {
        // Visible ASCII is always a header's value.
        if let Ok(value) = HeaderValue::from_str(id) {
            headers.insert(name, value);
        }
    }
}

fn log(answer: &Response, elapsed_ms: u128) {
    let status = answer.status().as_u16();
    let problem = answer.extensions().get::<Arc<Problem>>();
    let code = problem.map(|problem| problem.code().as_str());
    let cause = problem.and_then(|problem| problem.cause_chain());
    if answer.status().is_server_error() {
        tracing::error!(status, code, cause, elapsed_ms, "answered");
    } else {
        tracing::info!(status, code, elapsed_ms, "answered");
    }
}
