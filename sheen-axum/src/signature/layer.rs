//! The layer around calls that must be signed.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Version};
use sheen_auth::address::ForwardedFor;
use sheen_auth::signature::{Examined, Gate, Request as Signed, Scratch, Verified};
use sheen_core::runtime::BoxFuture;
use tower::{Layer, Service};

use super::body::{self, BODY_LIMIT, Keep};
use super::caller::{BufferedBody, Caller};
use super::deprecation::Deprecation;
use super::failures::FailureLimit;
use super::intake::Intake;
use super::token::{self, Viewers};
use super::{headers, original_uri};
use crate::problem::Problem;
use crate::timing::ServerTiming;

/// Lets signed calls through.
#[derive(Debug, Clone)]
pub struct SignatureLayer {
    gate: Arc<Gate>,
    limit: usize,
    viewers: Option<Viewers>,
    failures: Option<FailureLimit>,
    intake: Option<Intake>,
    deprecation: Deprecation,
}

impl SignatureLayer {
    /// Calls that `gate` admits, with bodies of at most [`BODY_LIMIT`].
    #[must_use]
    pub fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            limit: BODY_LIMIT,
            viewers: None,
            failures: None,
            intake: None,
            deprecation: Deprecation::default(),
        }
    }

    /// With bodies of at most `limit` bytes.
    #[must_use]
    pub const fn body_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Also calls that show a token, as `viewers` judges them.
    #[must_use]
    pub fn or_viewers(mut self, viewers: Viewers) -> Self {
        self.viewers = Some(viewers);
        self
    }

    /// Lets a source that fails too often wait before anything of its call is looked at.
    #[must_use]
    pub fn limit_failures(mut self, failures: FailureLimit) -> Self {
        self.failures = Some(failures);
        self
    }

    /// Bounds what bodies hold in all and how long one may take, before it is known who sends it.
    #[must_use]
    pub fn intake(mut self, intake: Intake) -> Self {
        self.intake = Some(intake);
        self
    }

    /// What answers to v1 calls say of its end.
    #[must_use]
    pub fn deprecation(mut self, deprecation: Deprecation) -> Self {
        self.deprecation = deprecation;
        self
    }

    pub(crate) fn hops_of_failures(&self) -> Option<ForwardedFor> {
        self.failures.as_ref().map(FailureLimit::hops)
    }
}

impl<S> Layer<S> for SignatureLayer {
    type Service = SignatureService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SignatureService {
            inner,
            layer: Arc::new(self.clone()),
        }
    }
}

/// See [`SignatureLayer`].
#[derive(Clone)]
pub struct SignatureService<S> {
    inner: S,
    layer: Arc<SignatureLayer>,
}

impl<S> fmt::Debug for SignatureService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureService")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl<S> Service<Request<Body>> for SignatureService<S>
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
        let layer = Arc::clone(&self.layer);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let caller = match layer.caller(&mut parts, body).await {
                Ok(caller) => caller,
                Err(refusal) => return Ok(*refusal),
            };
            let deprecated = matches!(&caller, Caller::Signed(verified) if verified.deprecated);
            let served = parts.extensions.get::<BufferedBody>().cloned();
            let served = served.map_or_else(Body::empty, |body| Body::from(body.0));
            parts.extensions.insert(caller);
            let mut answer = ready.call(Request::from_parts(parts, served)).await?;
            if deprecated {
                layer.deprecation.tell(answer.headers_mut());
            }
            Ok(answer)
        })
    }
}

impl SignatureLayer {
    async fn caller(&self, parts: &mut Parts, body: Body) -> Result<Caller, Box<Response>> {
        let Some(failures) = &self.failures else {
            return self.recognise(parts, body).await.map_err(answered);
        };
        let source = failures.source(&parts.headers).await.map_err(boxed)?;
        let recognised = self.recognise(parts, body).await;
        if let (Err((problem, _)), Some(source)) = (&recognised, source)
            && let Some(instead) = failures.count(source, problem.code()).await
        {
            return Err(boxed(instead));
        }
        recognised.map_err(answered)
    }

    async fn recognise(&self, parts: &mut Parts, body: Body) -> Result<Caller, Refused> {
        let uri = original_uri(&parts.extensions, &parts.uri);
        // HTTP/2 has an authority beside its path; before it, what is no path was not signed.
        if parts.version < Version::HTTP_2 && uri.scheme().is_some() {
            return Err(bare(not_a_path()));
        }
        // Something on the way may add a token; who signed is known by the signature.
        if let Some(viewers) = &self.viewers
            && !headers::is_signed(&parts.headers)
            && let Some((token, place)) = token::find(parts).map_err(bare)?
        {
            let viewer = viewers.judge(&token).await.map_err(bare)?;
            return Ok(Caller::Viewer(viewer, place));
        }
        // Without a signature of the right form it is refused whatever it says. The form can be made
        // up, so what a stranger's call holds is bounded by the limit alone.
        let keep = if headers::body_decides(&parts.headers) {
            Keep::All
        } else {
            Keep::Nothing
        };
        let mut held = self.intake.as_ref().map(Intake::held);
        let taking = body::take(&parts.headers, body, self.limit, keep, held.as_mut());
        let body = match &self.intake {
            Some(intake) => intake.in_time(taking).await,
            None => taking.await,
        };
        let body = body.map_err(body::BodyRefusal::into_problem)?;
        let verified = self.verify(parts, &body).await.map_err(bare)?;
        parts.extensions.insert(BufferedBody(body));
        Ok(Caller::Signed(verified))
    }

    async fn verify(&self, parts: &Parts, body: &[u8]) -> Result<Verified, Problem> {
        let headers = headers::read(&parts.headers)?;
        let uri = original_uri(&parts.extensions, &parts.uri);
        let method = parts.method.as_str();
        let signed = Signed::new(method, uri.path(), uri.query(), headers, body);
        let mut scratch = Scratch::new();
        let examining = self.gate.examine(&signed, &mut scratch);
        let Examined {
            report,
            verdict,
            store_error,
            ..
        } = match parts.extensions.get::<ServerTiming>() {
            Some(timing) => timing.auth(examining).await,
            None => examining.await,
        };
        tracing::debug!(
            scheme = report.scheme.map(|scheme| scheme.as_str()),
            key_id = report.key_id.as_ref().map(|id| id.as_str()),
            mismatch = report.mismatch(),
            clock_skew_millis = report.clock_skew_millis,
            accepted = verdict.is_ok(),
            "signature examined"
        );
        verdict.map_err(|refusal| {
            let problem = Problem::from(refusal);
            match store_error {
                Some(error) => problem.caused_by(error),
                None => problem,
            }
        })
    }
}

fn not_a_path() -> Problem {
    Problem::field("target", "not_origin_form", "must be a path and its query")
}

/// A refusal, and what its answer carries besides.
type Refused = (Problem, Option<(HeaderName, HeaderValue)>);

const fn bare(problem: Problem) -> Refused {
    (problem, None)
}

fn answered((problem, header): Refused) -> Box<Response> {
    let mut answer = boxed(problem);
    answer.headers_mut().extend(header);
    answer
}

fn boxed(problem: Problem) -> Box<Response> {
    Box::new(problem.into_response())
}
