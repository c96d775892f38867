//! What can go wrong: codes of the wire, bad fields, and stores that fail.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A refusal's stable code (wire.md §3). A caller matches on this, never on the message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code, in the order of the wire's table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as it stands on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// One or more fields are wrong; `data.fields` names them all.
    ValidationFailed = "VALIDATION_FAILED",
    /// The cursor is not one of this feed's.
    CursorInvalid = "CURSOR_INVALID",
    /// `Idempotency-Key` is empty, too long or not visible ASCII.
    IdempotencyKeyInvalid = "IDEMPOTENCY_KEY_INVALID",
    /// No signature came with the call.
    SignatureMissing = "SIGNATURE_MISSING",
    /// The signature does not fit the call.
    SignatureInvalid = "SIGNATURE_INVALID",
    /// The timestamp is not one.
    TimestampInvalid = "TIMESTAMP_INVALID",
    /// The timestamp is too old, too new, or older than the replay store.
    TimestampOutsideWindow = "TIMESTAMP_OUTSIDE_WINDOW",
    /// The nonce is missing, too short, too long or of other characters.
    NonceInvalid = "NONCE_INVALID",
    /// The nonce was spent before.
    NonceReplayed = "NONCE_REPLAYED",
    /// v1 is no longer taken from this key.
    SignatureV1Retired = "SIGNATURE_V1_RETIRED",
    /// No key has this id.
    KeyUnknown = "KEY_UNKNOWN",
    /// The viewer token is not one of ours.
    TokenInvalid = "TOKEN_INVALID",
    /// The viewer token is past its end.
    TokenExpired = "TOKEN_EXPIRED",
    /// Too few AI seconds.
    InsufficientCredits = "INSUFFICIENT_CREDITS",
    /// Plan mode changes nothing.
    PlanModeReadOnly = "PLAN_MODE_READ_ONLY",
    /// Build mode needs `confirmed: true`.
    ConfirmationRequired = "CONFIRMATION_REQUIRED",
    /// The token is for another build or another use.
    TokenScope = "TOKEN_SCOPE",
    /// The day's cap is used up.
    DailyCapReached = "DAILY_CAP_REACHED",
    /// It does not exist, or is another user's.
    NotFound = "NOT_FOUND",
    /// The path exists, the method does not.
    MethodNotAllowed = "METHOD_NOT_ALLOWED",
    /// The artifact was there once and is gone.
    ArtifactMissing = "ARTIFACT_MISSING",
    /// The project has a queued or building build.
    BuildAlreadyActive = "BUILD_ALREADY_ACTIVE",
    /// The build's state does not allow this.
    TransitionNotAllowed = "TRANSITION_NOT_ALLOWED",
    /// The first call with this key still runs.
    IdempotencyInProgress = "IDEMPOTENCY_IN_PROGRESS",
    /// The hold was committed or released before.
    ReservationClosed = "RESERVATION_CLOSED",
    /// The hold lapsed.
    ReservationExpired = "RESERVATION_EXPIRED",
    /// The same operation id came with other numbers.
    OperationConflict = "OPERATION_CONFLICT",
    /// The body is over its limit.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE",
    /// The export is over 2 GiB.
    ExportTooLarge = "EXPORT_TOO_LARGE",
    /// A file is over 50 KiB.
    FileTooLarge = "FILE_TOO_LARGE",
    /// The body is not JSON by its content type.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE",
    /// The key was used for another call.
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED",
    /// Too many calls.
    RateLimited = "RATE_LIMITED",
    /// A fault of ours.
    Internal = "INTERNAL",
    /// The replay store failed, so the door is closed.
    ReplayStoreUnavailable = "REPLAY_STORE_UNAVAILABLE",
    /// A store failed; the call may be repeated.
    StoreUnavailable = "STORE_UNAVAILABLE",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One wrong field of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldError {
    /// The field as the caller wrote it, `templateFiles[2].path`.
    pub field: Cow<'static, str>,
    /// A stable code, `too_long`.
    pub code: &'static str,
    /// What is wanted, for people.
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// One wrong field.
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            code,
            message: message.into(),
        }
    }
}

/// Gathers every wrong field of a call, so that all are named at once.
///
/// ```
/// use sheen_core::error::Fields;
/// use sheen_core::id::UserId;
/// let mut fields = Fields::new();
/// let user = fields.take("userId", UserId::parse("not an id"));
/// fields.refuse("seconds", "required", "is required");
/// assert!(user.is_none());
/// assert_eq!(fields.finish().unwrap_err().0.len(), 2);
/// ```
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldError>);

/// The wrong fields of a call, at least one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the call has wrong fields")]
#[non_exhaustive]
pub struct ValidationError(pub Vec<FieldError>);

impl Fields {
    /// So many wrong fields are kept; those noted after them are dropped: an answer is bounded too.
    pub const MAX_LISTED: usize = 100;

    /// No wrong field yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Notes a wrong field.
    pub fn refuse(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) {
        self.push(FieldError::new(field, code, message));
    }

    /// Notes a wrong field.
    pub fn push(&mut self, error: FieldError) {
        if self.0.len() < Self::MAX_LISTED {
            self.0.push(error);
        }
    }

    /// The value, or a note that this field is wrong.
    pub fn take<T, E: FieldProblem>(
        &mut self,
        field: &'static str,
        value: Result<T, E>,
    ) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(field, error.code(), error.to_string());
                None
            }
        }
    }

    /// Whether nothing was wrong so far.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that was wrong.
    ///
    /// # Errors
    /// When at least one field was refused.
    pub fn finish(self) -> Result<(), ValidationError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ValidationError(self.0))
        }
    }
}

/// An error that says what is wrong with one field.
pub trait FieldProblem: fmt::Display {
    /// A stable code.
    fn code(&self) -> &'static str;
}

impl FieldProblem for crate::id::IdError {
    fn code(&self) -> &'static str {
        (*self).code()
    }
}

impl FieldProblem for crate::time::TimestampError {
    fn code(&self) -> &'static str {
        "invalid_instant"
    }
}

/// A store that did not do what it was asked.
///
/// A refusal by a rule is an outcome, never one of these.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
#[non_exhaustive]
pub struct StoreError {
    /// What it means for the caller.
    pub kind: StoreErrorKind,
    /// What the driver said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a store's failure means for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store could not be reached; nothing was done.
    #[error("the store is not available")]
    Unavailable,
    /// The connection broke after the step was sent: it may or may not have been done. Every step
    /// can be repeated, so repeat it.
    #[error("the outcome of the store's step is not known")]
    OutcomeUnknown,
    /// Others wrote the same rows for as long as the store was willing to try.
    #[error("the store's step met too much contention")]
    Contended,
    /// The store is at its bound and forgets nothing to make room.
    #[error("the store is full")]
    Full,
    /// The store holds something this code cannot read: a fault of ours or of an operator.
    #[error("the store holds data that cannot be read")]
    Corrupt,
    /// The store refused the step as malformed: a fault of ours.
    #[error("the store refused the step")]
    Rejected,
}

impl StoreError {
    /// A failure without a cause of its own.
    #[must_use]
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// A failure and what the driver said.
    pub fn with_source(
        kind: StoreErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }

    /// The wire's code for it.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self.kind {
            StoreErrorKind::Unavailable
            | StoreErrorKind::OutcomeUnknown
            | StoreErrorKind::Contended
            | StoreErrorKind::Full => Code::StoreUnavailable,
            StoreErrorKind::Corrupt | StoreErrorKind::Rejected => Code::Internal,
        }
    }

    /// Whether the same step may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.code(), Code::StoreUnavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_screaming_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(
                code.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b"_1".contains(&b))
            );
            assert!(seen.insert(code.as_str()));
        }
    }

    #[test]
    fn a_store_error_shows_its_own_level_only() {
        let error = StoreError::with_source(StoreErrorKind::Unavailable, "socket closed");
        assert_eq!(error.to_string(), "the store is not available");
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "socket closed"
        );
    }
}
