//! Running the first call of a key in a task of its own, and keeping what it answered.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http::Request;
use http_body_util::BodyExt;
use sheen_core::error::Code;
use sheen_core::idempotency::{ExtendOutcome, Lease, LeaseOutcome, StoredAnswer};
use tokio::sync::oneshot;
use tower::Service;
use tracing::Instrument;

use super::keyed::kept_answer;
use super::layer::IdempotencyLayer;
use super::whole::Unkept;
use crate::problem::Problem;
use crate::request_id::RequestIds;

/// Between the tries to store an answer; each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_millis(800);

pub(super) async fn run_under_lease<S>(
    layer: IdempotencyLayer,
    lease: Lease,
    ready: S,
    request: Request<Body>,
) -> Result<Response, S::Error>
where
    S: Service<Request<Body>, Response = Response, Future: Send + 'static> + Send + 'static,
    S::Error: Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let spawn = Arc::clone(&layer.spawn);
    let task = async move {
        let outcome = run(&layer, lease, ready, request).await;
        // The caller may be gone: the record is what counts.
        let _ = answer.send(outcome);
    };
    spawn.spawn(Box::pin(task.in_current_span()));
    match answered.await {
        Ok(outcome) => outcome,
        // The runtime dropped the task: it is shutting down.
        Err(_) => Ok(Problem::new(Code::Internal).into_response()),
    }
}

async fn run<S>(
    layer: &IdempotencyLayer,
    lease: Lease,
    mut ready: S,
    request: Request<Body>,
) -> Result<Response, S::Error>
where
    S: Service<Request<Body>, Response = Response, Future: Send + 'static> + Send + 'static,
{
    let ids = request.extensions().get::<RequestIds>();
    let request_id: Arc<str> = ids.map_or_else(|| "unknown".into(), |ids| ids.request.clone());
    let calling = async move { ready.call(request).await };
    let calling = AssertUnwindSafe(calling).catch_unwind();
    let renewing = std::pin::pin!(renew(layer, lease.clone()));
    let answer = match select(Box::pin(calling), renewing).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, calling)) => calling.await,
    };
    let answer = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            abandon(layer, &lease).await;
            return Err(error);
        }
        Err(_) => Problem::new(Code::Internal).into_response(),
    };
    let is_unkept = answer.extensions().get::<Unkept>().is_some();
    if is_unkept || !answer.status().is_success() {
        abandon(layer, &lease).await;
        return Ok(answer);
    }
    Ok(keep(layer, &lease, answer, request_id).await)
}

/// Keeps the lease alive; ends once it is lost.
async fn renew(layer: &IdempotencyLayer, mut lease: Lease) {
    loop {
        layer.sleep.sleep(layer.renew_every).await;
        match layer.store.extend(&lease).await {
            Ok(ExtendOutcome::Extended(longer)) => lease = longer,
            Ok(_) => return,
            Err(error) => tracing::warn!(%error, "an idempotency lease was not renewed"),
        }
    }
}

/// Stores a success, and gives it as it was.
async fn keep(
    layer: &IdempotencyLayer,
    lease: &Lease,
    answer: Response,
    request_id: Arc<str>,
) -> Response {
    // Asked before it is read: a stream may never end.
    let length = answer.body().size_hint().exact();
    if length.is_none_or(|length| length > StoredAnswer::MAX_BODY as u64) {
        tracing::error!("a stream or an answer over the bound was not kept under its key");
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let whole = match body.collect().await {
        Ok(whole) => whole,
        Err(error) => {
            tracing::error!(%error, "an answer that broke off was not kept under its key");
            return Problem::new(Code::Internal)
                .caused_by(error)
                .into_response();
        }
    };
    if whole.trailers().is_some() {
        tracing::error!("an answer with trailers was not kept under its key");
        return Response::from_parts(parts, Body::new(whole));
    }
    let body = whole.to_bytes();
    match kept_answer(parts.status, &parts.headers, &body, request_id) {
        Ok(stored) => complete(layer, lease, stored).await,
        Err(error) => tracing::error!(%error, "an answer was not kept under its key"),
    }
    Response::from_parts(parts, Body::from(body))
}

/// Stores the answer, in several tries: the call happened, and what is not stored may happen again.
async fn complete(layer: &IdempotencyLayer, lease: &Lease, answer: StoredAnswer) {
    let mut pause = FIRST_PAUSE;
    loop {
        match layer.store.complete(lease, answer.clone()).await {
            Ok(LeaseOutcome::Done) => return,
            // Somebody took over after the lease ended; theirs is the answer that is kept.
            Ok(_) => return tracing::warn!("an idempotency lease was lost before its call ended"),
            Err(error) if error.is_transient() && pause <= LAST_PAUSE => {
                layer.sleep.sleep(pause).await;
                pause *= 2;
            }
            // The caller is told what happened; the lease lapses by itself.
            Err(error) => return tracing::error!(%error, "an answer was not kept under its key"),
        }
    }
}

async fn abandon(layer: &IdempotencyLayer, lease: &Lease) {
    if let Err(error) = layer.store.abandon(lease).await {
        tracing::warn!(%error, "an idempotency lease was not given back; it lapses");
    }
}
