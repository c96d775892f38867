//! The layer.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::Request;
use sheen_auth::address::ForwardedFor;
use sheen_auth::limit::RouteClass;
use sheen_core::id::{PrincipalId, UserId};
use sheen_core::runtime::BoxFuture;
use tower::{Layer, Service};

use super::rules::Limits;
use crate::signature::{Caller, SignatureLayer};
use crate::timing::ServerTiming;

/// Who makes a call, as far as it is known for certain; in the request's extensions. Where a service
/// puts none, it is whoever the [`Caller`] says.
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

impl From<&Caller> for LimitedBy {
    fn from(caller: &Caller) -> Self {
        Self {
            user: caller.viewer_user().cloned(),
            principal: caller.principal().cloned(),
        }
    }
}

/// A layer whose requests say who makes them, as a [`Caller`] or a [`LimitedBy`].
///
/// It is [`SignatureLayer`], or a tuple of layers that begins with one that does. A service that
/// knows its callers otherwise says so of its own layer:
///
/// ```
/// # #[derive(Clone)] struct Sessions;
/// use sheen_auth::address::ForwardedFor;
/// impl sheen_axum::limit::Identifies for Sessions {
///     fn hops(&self) -> Option<ForwardedFor> {
///         None // it reads no addresses
///     }
/// }
/// ```
pub trait Identifies {
    /// The hops through which it reads client addresses, where it reads any.
    fn hops(&self) -> Option<ForwardedFor>;
}

impl Identifies for SignatureLayer {
    fn hops(&self) -> Option<ForwardedFor> {
        self.hops_of_failures()
    }
}

impl<W: Identifies, U> Identifies for (W, U) {
    fn hops(&self) -> Option<ForwardedFor> {
        self.0.hops()
    }
}

impl<W: Identifies, U, V> Identifies for (W, U, V) {
    fn hops(&self) -> Option<ForwardedFor> {
        self.0.hops()
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
    /// The class counts users, and nothing in front of the layer says who calls: everybody would
    /// share one count.
    #[error("the limit {0} counts callers, but no layer in front of it says who calls")]
    NoCaller(&'static str),
    /// The limits and the layer in front of them trust other hops: one of them reads an address that
    /// its caller chose.
    #[error("limits and failed signatures count addresses through different trusted hops")]
    HopsDiffer,
}

impl LimitLayer {
    /// The limit of a class that [counts addresses](RouteClass::is_by_address): of a service's own
    /// sign-in routes, [`RouteClass::Auth`], or of routes that are open to anybody.
    ///
    /// # Errors
    /// When the class counts callers, or `limits` trusts no hop: then the first five strangers
    /// would lock everybody out.
    pub fn new(limits: Arc<Limits>, class: RouteClass) -> Result<Self, LimitError> {
        if !class.is_by_address() {
            return Err(LimitError::NoCaller(class.name()));
        }
        if !limits.knows_addresses() {
            return Err(LimitError::NoTrustedHops(class.name()));
        }
        Ok(Self { limits, class })
    }

    /// `who`, and behind it the limit of `class`: one layer, in the order in which it works.
    ///
    /// # Errors
    /// When the class is [`RouteClass::Auth`] and `limits` trusts no hop, or `who` reads client
    /// addresses through other hops than `limits` does.
    pub fn behind<W: Identifies>(
        who: W,
        limits: Arc<Limits>,
        class: RouteClass,
    ) -> Result<(W, Self), LimitError> {
        if class == RouteClass::Auth && !limits.knows_addresses() {
            return Err(LimitError::NoTrustedHops(class.name()));
        }
        if who.hops().is_some_and(|hops| limits.hops() != Some(hops)) {
            return Err(LimitError::HopsDiffer);
        }
        Ok((who, Self { limits, class }))
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
            let by = match parts.extensions.get::<LimitedBy>() {
                Some(by) => by.clone(),
                None => parts
                    .extensions
                    .get::<Caller>()
                    .map(LimitedBy::from)
                    .unwrap_or_default(),
            };
            let asking = layer.limits.admit(layer.class, &by, &parts.headers);
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
