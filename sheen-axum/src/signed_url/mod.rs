//! Only calls of a signed URL get in (wire.md §12): the door of a service's downloads.
//!
//! 1. The URL's signature is judged over the request line as it came, also inside a nested router.
//!    It is for one method; `HEAD` is let in by a URL for `GET`.
//! 2. Whom it serves is in the request's extensions as [`Opened`]. Whether the thing is still theirs,
//!    and still there, is for the handler to ask.
//! 3. A URL that is none of ours is 401 `TOKEN_INVALID`, one past its end 401 `TOKEN_EXPIRED`: the
//!    caller fetches a new one.
//! 4. The address holds the right to what it names, so no answer lets it out: `Referrer-Policy:
//!    no-referrer`, and `Cache-Control: private, no-store` unless the handler says otherwise.
//!
//! ```
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use axum::{Extension, Router, body::Body, routing::get};
//! use sheen_auth::signed_url::{Opened, SignedUrls};
//! use sheen_axum::signed_url::SignedUrlLayer;
//! use sheen_core::{id::UserId, secret::Secret, time::{Clock, SystemClock}};
//! use tower::ServiceExt;
//!
//! let urls = Arc::new(SignedUrls::new(&[&Secret::new("a secret of at least thirty-two bytes")?])?);
//! let clock = Arc::new(SystemClock::new());
//! let whose = |Extension(opened): Extension<Opened>| async move { opened.user.to_string() };
//! let app = Router::new()
//!     .route("/artifacts/{name}", get(whose))
//!     .route_layer(SignedUrlLayer::new(urls.clone(), clock.clone()));
//!
//! let (ann, life) = (UserId::parse("ann")?, SignedUrls::DOWNLOAD_LIFE);
//! let url = urls.sign("GET", "/artifacts/v_1.zip", &ann, clock.now(), life)?;
//! let call = http::Request::get(url.expose()).body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(call).await?.status(), 200);
//! let bare = http::Request::get("/artifacts/v_1.zip").body(Body::empty())?;
//! assert_eq!(app.oneshot(bare).await?.status(), 401);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(demo()).unwrap();
//! ```
//!
//! [`Opened`]: sheen_auth::signed_url::Opened

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, REFERRER_POLICY};
use http::{HeaderValue, Method, Request};
use sheen_auth::signed_url::{Opened, SignedUrlError, SignedUrls};
use sheen_core::error::Code;
use sheen_core::runtime::BoxFuture;
use sheen_core::time::Clock;
use tower::{Layer, Service};

use crate::problem::Problem;
use crate::signature::original_uri;

/// Lets calls of signed URLs through.
#[derive(Debug, Clone)]
pub struct SignedUrlLayer {
    urls: Arc<SignedUrls>,
    clock: Arc<dyn Clock>,
}

impl SignedUrlLayer {
    /// URLs that `urls` signed, judged by `clock`.
    #[must_use]
    pub const fn new(urls: Arc<SignedUrls>, clock: Arc<dyn Clock>) -> Self {
        Self { urls, clock }
    }

    fn open(&self, request: &Request<Body>) -> Result<Opened, Problem> {
        let uri = original_uri(request.extensions(), request.uri());
        let method = match *request.method() {
            Method::HEAD => Method::GET.as_str(),
            ref method => method.as_str(),
        };
        let query = uri.query().unwrap_or_default();
        let opened = self
            .urls
            .verify(method, uri.path(), query, self.clock.now());
        opened.map_err(|error| match error {
            SignedUrlError::Expired => Problem::new(Code::TokenExpired),
            _ => Problem::new(Code::TokenInvalid),
        })
    }
}

impl<S> Layer<S> for SignedUrlLayer {
    type Service = SignedUrlService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SignedUrlService {
            inner,
            layer: self.clone(),
        }
    }
}

/// See [`SignedUrlLayer`].
#[derive(Clone)]
pub struct SignedUrlService<S> {
    inner: S,
    layer: SignedUrlLayer,
}

impl<S> fmt::Debug for SignedUrlService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedUrlService")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl<S> Service<Request<Body>> for SignedUrlService<S>
where
    S: Service<Request<Body>, Response = Response, Future: Send + 'static> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        let opened = self.layer.open(&request);
        Box::pin(async move {
            let mut answer = match opened {
                Ok(opened) => {
                    request.extensions_mut().insert(opened);
                    ready.call(request).await?
                }
                Err(problem) => problem.into_response(),
            };
            let headers = answer.headers_mut();
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            headers
                .entry(CACHE_CONTROL)
                .or_insert(HeaderValue::from_static("private, no-store"));
            Ok(answer)
        })
    }
}
