//! The layer.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::Request;
use sheen_auth::limit::RouteClass;
use sheen_core::id::{PrincipalId, UserId};
use sheen_core::runtime::BoxFuture;
use tower::{Layer, Service};

use super::rules::Limits;
use crate::timing::ServerTiming;

/// Who makes a call, as far as it is known for certain; in the request's extensions. A request
/// without it counts as one by nobody known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitedBy {
    /// The user it is for.
    pub user: Option<UserId>,
    /// Who signed it.
    pub principal: Option<PrincipalId>,
}

impl LimitedBy {
    /// Whom and by whom a verified call is.
    #[must_use]
    pub const fn new(user: Option<UserId>, principal: Option<PrincipalId>) -> Self {
        Self { user, principal }
    }
}

/// Limits the routes of one class.
#[derive(Debug, Clone)]
pub struct LimitLayer {
    limits: Arc<Limits>,
    class: RouteClass,
}

/// A layer that would not do what it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// The class counts client addresses, and none can be known: everybody would share one count.
    #[error("the limit {0} counts client addresses, but no hop is trusted to forward them")]
    NoTrustedHops(&'static str),
}

impl LimitLayer {
    /// The limit of `class`.
    #[must_use]
    pub const fn new(limits: Arc<Limits>, class: RouteClass) -> Self {
        Self { limits, class }
    }

    /// The limit of a service's own sign-in routes, [`RouteClass::Auth`].
    ///
    /// # Errors
    /// When `limits` trusts no hop: the first five strangers would lock everybody out.
    pub fn sign_in(limits: Arc<Limits>) -> Result<Self, LimitError> {
        let class = RouteClass::Auth;
        if limits.knows_addresses() {
            Ok(Self { limits, class })
        } else {
            Err(LimitError::NoTrustedHops(class.name()))
        }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = LimitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LimitService {
            inner,
            layer: self.clone(),
        }
    }
}

/// See [`LimitLayer`].
#[derive(Clone)]
pub struct LimitService<S> {
    inner: S,
    layer: LimitLayer,
}

impl<S> fmt::Debug for LimitService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitService")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl<S> Service<Request<Body>> for LimitService<S>
where
    S: Service<Request<Body>, Response = Response, Future: Send + 'static> + Clone + Send + 'static,
    S::Error: Send + 'static,
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
        let layer = self.layer.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let nobody = LimitedBy::default();
            let by = parts.extensions.get::<LimitedBy>().unwrap_or(&nobody);
            let asking = layer.limits.admit(layer.class, by, &parts.headers);
            let asked = match parts.extensions.get::<ServerTiming>() {
                Some(timing) => timing.store(asking).await,
                None => asking.await,
            };
            let (mut answer, told) = match asked {
                Ok(told) => (ready.call(Request::from_parts(parts, body)).await?, told),
                Err((problem, told)) => (problem.into_response(), told),
            };
            answer.headers_mut().extend(told);
            Ok(answer)
        })
    }
}
