//! The layer: which calls it concerns, and what their keys lead to.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, Request};
use sheen_core::error::Code;
use sheen_core::idempotency::{
    BeginOutcome, Fingerprint, IdempotencyKey, IdempotencyStore, Lease, Scope,
};
use sheen_core::runtime::{BoxFuture, Sleep, Spawn};
use tower::{Layer, Service};

use super::keyed::{fingerprint_of, in_progress, key_of, replayed, reused};
use super::patience::Patience;
use super::run::run_under_lease;
use crate::problem::Problem;
use crate::signature::{BufferedBody, Caller, original_uri};
use crate::timing::ServerTiming;

/// Whose keys a call's key is among; in the request's extensions. A request without one passes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// This principal's, for this user.
    Scope(Scope),
    /// Nobody's: the call names no user and changes nothing. Its key is checked and not recorded.
    Nobody,
}

/// Runs keyed calls once.
#[derive(Debug, Clone)]
pub struct IdempotencyLayer {
    pub(super) store: Arc<dyn IdempotencyStore>,
    pub(super) spawn: Arc<dyn Spawn>,
    pub(super) sleep: Arc<dyn Sleep>,
    pub(super) renew_every: Duration,
}

impl IdempotencyLayer {
    /// How often the lease of a running call is renewed when nothing else is said: every 20 s, a third
    /// of the usual lease of [`Lifetimes`](sheen_core::idempotency::Lifetimes).
    pub const RENEW_EVERY: Duration = Duration::from_secs(20);

    /// Records in `store`; calls run in tasks of `spawn`.
    #[must_use]
    pub const fn new(
        store: Arc<dyn IdempotencyStore>,
        spawn: Arc<dyn Spawn>,
        sleep: Arc<dyn Sleep>,
    ) -> Self {
        Self {
            store,
            spawn,
            sleep,
            renew_every: Self::RENEW_EVERY,
        }
    }

    /// Renews leases this often. Where the store's lease is not the usual one, it must be said: a call
    /// that outlives its lease may happen twice. A third of the lease leaves room for a renewal that
    /// fails.
    #[must_use]
    pub const fn renew_every(mut self, pause: Duration) -> Self {
        self.renew_every = pause;
        self
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = IdempotencyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        IdempotencyService {
            inner,
            layer: self.clone(),
        }
    }
}

/// See [`IdempotencyLayer`].
#[derive(Clone)]
pub struct IdempotencyService<S> {
    inner: S,
    layer: IdempotencyLayer,
}

impl<S> fmt::Debug for IdempotencyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyService")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl<S> Service<Request<Body>> for IdempotencyService<S>
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
            let keyed = match Keyed::of(&request) {
                Ok(Some(keyed)) => keyed,
                Ok(None) => return ready.call(request).await,
                Err(problem) => return Ok(problem.into_response()),
            };
            let patience = Patience::of(request.headers(), &*layer.sleep);
            let lease = match layer.lease(&keyed, patience).await {
                Ok(lease) => lease,
                Err(answer) => return Ok(*answer),
            };
            run_under_lease(layer, lease, ready, request).await
        })
    }
}

/// A call with a key that is to be recorded.
struct Keyed {
    scope: Scope,
    key: IdempotencyKey,
    fingerprint: Fingerprint,
    timing: Option<ServerTiming>,
}

impl Keyed {
    fn of(request: &Request<Body>) -> Result<Option<Self>, Problem> {
        let keyed = matches!(
            *request.method(),
            Method::POST | Method::PUT | Method::PATCH
        );
        let Some(owner) = request.extensions().get::<Owner>().filter(|_| keyed) else {
            return Ok(None);
        };
        let Some(key) = key_of(request.headers())? else {
            return Ok(None);
        };
        let Owner::Scope(scope) = owner else {
            return Ok(None);
        };
        let body = match request.extensions().get::<BufferedBody>() {
            Some(body) => body.0.clone(),
            None if request.body().is_end_stream() => Bytes::new(),
            // Another body under the key would pass for this one.
            None => {
                tracing::error!(
                    "a call with a key came without its body: no signature layer is outside"
                );
                return Err(Problem::new(Code::Internal));
            }
        };
        let caller = request.extensions().get::<Caller>();
        let hash = caller.and_then(Caller::body_sha256);
        let uri = original_uri(request.extensions(), request.uri());
        Ok(Some(Self {
            scope: scope.clone(),
            key,
            fingerprint: fingerprint_of(request.method(), uri, &body, hash)?,
            timing: request.extensions().get::<ServerTiming>().cloned(),
        }))
    }
}

impl IdempotencyLayer {
    /// The lease of the call's key, or the answer that the call gets without running.
    async fn lease(&self, keyed: &Keyed, mut patience: Patience) -> Result<Lease, Box<Response>> {
        loop {
            let begun = self
                .store
                .begin(&keyed.scope, &keyed.key, keyed.fingerprint);
            let begun = match &keyed.timing {
                Some(timing) => timing.store(begun).await,
                None => begun.await,
            };
            match begun {
                Ok(BeginOutcome::Started(lease)) => return Ok(lease),
                Ok(BeginOutcome::Replay(answer)) => return Err(Box::new(replayed(&answer))),
                Ok(BeginOutcome::Reused) => return Err(Box::new(reused())),
                // An outcome this code does not know cannot have started the call.
                Ok(_) => {
                    if !patience.wait(&*self.sleep).await {
                        return Err(Box::new(in_progress()));
                    }
                }
                Err(error) => return Err(Box::new(Problem::from(error).into_response())),
            }
        }
    }
}
