//! The only place where an error becomes a status (wire.md §3).
//!
//! 1. Every refusal is a [`Problem`]; its status follows from its [`Code`] alone.
//! 2. A problem tells its caller a code, a text, and what belongs to the code. What caused it goes
//!    to the log, never to the caller.
//! 3. The request id and the instant are filled in by the [request id layer](crate::request_id).
//!
//! ```
//! use axum::response::IntoResponse;
//! use sheen_axum::problem::Problem;
//! use sheen_core::error::Code;
//!
//! let answer = Problem::new(Code::IdempotencyInProgress).retry_after(1).into_response();
//! assert_eq!(answer.status(), 409);
//! assert_eq!(answer.headers()["retry-after"], "1");
//! ```

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LANGUAGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use sheen_auth::signature::Refusal;
use sheen_auth::token::TokenError;
use sheen_core::error::{Code, FieldError, StoreError, ValidationError};
use sheen_core::mode::ModeRefusal;
use sheen_core::time::Timestamp;

/// A refusal on its way to the caller.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    message: Cow<'static, str>,
    data: Option<Map<String, Value>>,
    retry_after: Option<u32>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// The refusal `code`, with its usual text.
    #[must_use]
    pub const fn new(code: Code) -> Self {
        Self {
            code,
            message: Cow::Borrowed(message_of(code)),
            data: None,
            retry_after: None,
            cause: None,
        }
    }

    /// What does not exist, or is not the caller's: both are the same to it.
    #[must_use]
    pub const fn not_found() -> Self {
        Self::new(Code::NotFound)
    }

    /// One wrong field.
    #[must_use]
    pub fn field(
        field: impl Into<Cow<'static, str>>,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::fields(&[FieldError::new(field, code, message)])
    }

    /// All the wrong fields of a call.
    #[must_use]
    pub fn fields(fields: &[FieldError]) -> Self {
        Self::new(Code::ValidationFailed).with("fields", fields)
    }

    /// The same with `value` as `data.{name}`. A value that is no JSON is left out.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            let data = self.data.get_or_insert_default();
            data.insert(name.to_owned(), value);
        }
        self
    }

    /// The same with another text.
    #[must_use]
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = message.into();
        self
    }

    /// The same with `Retry-After`, in whole seconds; at least 1 is sent.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// The same with what caused it, for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The status that belongs to the code.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        status_of(self.code)
    }

    /// What caused it, level by level.
    pub(crate) fn cause_chain(&self) -> Option<String> {
        let first = self.cause.as_deref()?;
        let mut chain = first.to_string();
        let mut next = first.source();
        while let Some(error) = next {
            chain.push_str(": ");
            chain.push_str(&error.to_string());
            next = error.source();
        }
        Some(chain)
    }

    /// The body, for the call `request_id` answered at `now`.
    pub(crate) fn body(&self, request_id: Option<&str>, now: Option<Timestamp>) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Text<'a> {
            error: Code,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a Map<String, Value>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            request_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            timestamp: Option<Timestamp>,
        }
        let text = Text {
            error: self.code,
            message: &self.message,
            data: self.data.as_ref(),
            request_id,
            timestamp: now,
        };
        serde_json::to_vec(&text).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = Response::new(Body::from(self.body(None, None)));
        *answer.status_mut() = self.status();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static("en"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = challenge_of(self.code) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        answer.extensions_mut().insert(Arc::new(self));
        answer
    }
}

/// RFC 9110 §11.6.1: a 401 names the scheme it wants.
const fn challenge_of(code: Code) -> Option<&'static str> {
    match code {
        Code::TokenInvalid | Code::TokenExpired => Some("Bearer error=\"invalid_token\""),
        _ if status_of(code).as_u16() == 401 => Some("Sheen-Signature"),
        _ => None,
    }
}

const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::ValidationFailed | Code::CursorInvalid | Code::IdempotencyKeyInvalid => {
            StatusCode::BAD_REQUEST
        }
        Code::SignatureMissing
        | Code::SignatureInvalid
        | Code::TimestampInvalid
        | Code::TimestampOutsideWindow
        | Code::NonceInvalid
        | Code::NonceReplayed
        | Code::SignatureV1Retired
        | Code::KeyUnknown
        | Code::TokenInvalid
        | Code::TokenExpired => StatusCode::UNAUTHORIZED,
        Code::InsufficientCredits => StatusCode::PAYMENT_REQUIRED,
        Code::PlanModeReadOnly
        | Code::ConfirmationRequired
        | Code::TokenScope
        | Code::DailyCapReached => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::ArtifactMissing => StatusCode::GONE,
        Code::BuildAlreadyActive
        | Code::TransitionNotAllowed
        | Code::IdempotencyInProgress
        | Code::ReservationClosed
        | Code::ReservationExpired
        | Code::OperationConflict => StatusCode::CONFLICT,
        Code::PayloadTooLarge | Code::ExportTooLarge | Code::FileTooLarge => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::ReplayStoreUnavailable | Code::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        // `Code` may grow; a code without a line here is a fault of ours, as is `Internal`.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

const fn message_of(code: Code) -> &'static str {
    match code {
        Code::ValidationFailed => "Some fields are wrong; data.fields names them.",
        Code::CursorInvalid => "The cursor is not one of this feed's.",
        Code::IdempotencyKeyInvalid => {
            "Idempotency-Key must be one header of 1 to 255 visible ASCII characters."
        }
        Code::SignatureMissing => "The request is not signed.",
        Code::SignatureInvalid => "The signature does not fit the request.",
        Code::TimestampInvalid => "The timestamp is not one.",
        Code::TimestampOutsideWindow => "The timestamp is too far from now.",
        Code::NonceInvalid => "The nonce must be 16 to 128 of A-Z a-z 0-9 _ -.",
        Code::NonceReplayed => "The nonce was used before.",
        Code::SignatureV1Retired => "Version 1 signatures are no longer taken from this key.",
        Code::KeyUnknown => "No key has this id.",
        Code::TokenInvalid => "The viewer token is not valid.",
        Code::TokenExpired => "The viewer token has expired.",
        Code::InsufficientCredits => "There is not enough AI time for this.",
        Code::PlanModeReadOnly => "Plan mode changes nothing.",
        Code::ConfirmationRequired => "Build mode needs to be confirmed.",
        Code::TokenScope => "The viewer token is for another build.",
        Code::DailyCapReached => "The cap for today is reached.",
        Code::NotFound => "Not found.",
        Code::MethodNotAllowed => "This path does not take this method.",
        Code::ArtifactMissing => "The artifact is gone; build it again.",
        Code::BuildAlreadyActive => "Another build of this project is running.",
        Code::TransitionNotAllowed => "The build has ended.",
        Code::IdempotencyInProgress => "The first call with this key is still running.",
        Code::ReservationClosed => "The reservation was committed or released before.",
        Code::ReservationExpired => "The reservation has expired.",
        Code::OperationConflict => "This operation id was used with other values.",
        Code::PayloadTooLarge => "The request body is too large.",
        Code::ExportTooLarge => "The export is too large.",
        Code::FileTooLarge => "A file is too large.",
        Code::UnsupportedMediaType => "The body must be application/json.",
        Code::IdempotencyKeyReused => "This idempotency key was used for another call.",
        Code::RateLimited => "Too many calls.",
        Code::ReplayStoreUnavailable | Code::StoreUnavailable => {
            "The service cannot answer now; try again."
        }
        _ => "Something went wrong on our side.",
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::new(error.code()).caused_by(error)
    }
}

impl From<ValidationError> for Problem {
    fn from(error: ValidationError) -> Self {
        Self::fields(&error.0)
    }
}

impl From<ModeRefusal> for Problem {
    fn from(refusal: ModeRefusal) -> Self {
        Self::new(refusal.code())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::QueryNotUtf8 => {
                Self::field("query", "invalid_utf8", "must be UTF-8 once decoded")
            }
            _ => Self::new(refusal.code()),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        Self::new(error.code())
    }
}
