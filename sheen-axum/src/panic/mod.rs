//! A panic in a handler is a 500 for that call and nothing for the others.
//!
//! 1. The caller learns `INTERNAL`; what the panic said goes to the process's panic hook alone.

use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::Request;
use sheen_core::error::Code;
use sheen_core::runtime::BoxFuture;
use tower::{Layer, Service};

use crate::problem::Problem;

/// Answers `INTERNAL` when the service inside panics.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CatchPanicLayer;

impl CatchPanicLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanicService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CatchPanicService { inner }
    }
}

/// See [`CatchPanicLayer`].
#[derive(Debug, Clone)]
pub struct CatchPanicService<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for CatchPanicService<S>
where
    S: Service<Request<Body>, Response = Response, Future: Send + 'static> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let answering = async move { ready.call(request).await };
            match AssertUnwindSafe(answering).catch_unwind().await {
                Ok(answer) => answer,
                Err(_) => Ok(Problem::new(Code::Internal).into_response()),
            }
        })
    }
}
