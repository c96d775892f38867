//! Headers in, stored answers out.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use sha2::{Digest, Sha256};
use sheen_auth::signature::canonical_query;
use sheen_core::error::Code;
use sheen_core::idempotency::{Fingerprint, IdempotencyKey, StoredAnswer, StoredAnswerError};

use crate::problem::Problem;

/// `idempotency-key`.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `idempotency-replayed`.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// `x-original-request-id`.
pub const X_ORIGINAL_REQUEST_ID: HeaderName = HeaderName::from_static("x-original-request-id");

/// The key of a call, if it has one.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let (first, None) = (values.next(), values.next()) else {
        return Err(Problem::new(Code::IdempotencyKeyInvalid));
    };
    first
        .map(|value| IdempotencyKey::parse(value.as_bytes()))
        .transpose()
        .map_err(|error| Problem::new(Code::IdempotencyKeyInvalid).caused_by(error))
}

/// What the call says, in one hash; the body's own hash may be known from its signature.
pub(crate) fn fingerprint_of(
    method: &Method,
    uri: &Uri,
    body: &Bytes,
    body_sha256: Option<[u8; 32]>,
) -> Result<Fingerprint, Problem> {
    let mut query = String::new();
    canonical_query(uri.query().unwrap_or_default(), &mut query)
        .map_err(|_| Problem::field("query", "invalid_utf8", "must be UTF-8 once decoded"))?;
    let hash = body_sha256.unwrap_or_else(|| Sha256::digest(body).into());
    Ok(Fingerprint::of(method.as_str(), uri.path(), &query, &hash))
}

/// Why an answer is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    /// Half a header is none.
    #[error("a header to be kept is not UTF-8")]
    Header(#[from] std::str::Utf8Error),
    #[error(transparent)]
    Answer(#[from] StoredAnswerError),
}

/// The answer as it is kept, made by the call `request_id`.
pub(crate) fn kept_answer(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    request_id: Arc<str>,
) -> Result<StoredAnswer, NotKept> {
    let mut kept = Vec::new();
    for name in StoredAnswer::KEPT_HEADERS {
        for value in headers.get_all(name) {
            let value = std::str::from_utf8(value.as_bytes())?;
            kept.push((Arc::from(name), Arc::from(value)));
        }
    }
    Ok(StoredAnswer::new(status.as_u16(), kept, body, request_id)?)
}

/// A kept answer as it is sent.
pub(crate) fn answer_from(stored: &StoredAnswer) -> Response {
    let mut answer = Response::new(Body::from(stored.body.to_vec()));
    *answer.status_mut() = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    for (name, value) in &stored.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

/// A kept answer as it is sent to a repeat.
pub(crate) fn replayed(stored: &StoredAnswer) -> Response {
    tracing::info!(original_request_id = &*stored.request_id, "answer replayed");
    let mut answer = answer_from(stored);
    let headers = answer.headers_mut();
    headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    if let Ok(original) = HeaderValue::from_str(&stored.request_id) {
        headers.insert(X_ORIGINAL_REQUEST_ID, original);
    }
    answer
}

/// The key was used for another call.
pub(crate) fn reused() -> Response {
    Problem::new(Code::IdempotencyKeyReused).into_response()
}

/// The first call still runs.
pub(crate) fn in_progress() -> Response {
    Problem::new(Code::IdempotencyInProgress)
        .retry_after(1)
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_given_twice_is_refused() {
        let mut headers = HeaderMap::new();
        assert_eq!(key_of(&headers).unwrap(), None);
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("\"k\""));
        assert_eq!(key_of(&headers).unwrap().unwrap().as_str(), "k");
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("k"));
        assert_eq!(
            key_of(&headers).unwrap_err().code(),
            Code::IdempotencyKeyInvalid
        );
    }
}
