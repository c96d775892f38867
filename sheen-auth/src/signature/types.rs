//! Requests, modes, and what comes of a verification.

use std::fmt;

use sheen_core::error::Code;
use sheen_core::id::{KeyId, PrincipalId};

use super::body::{Body, BodyDigest};
use super::modes::Mode;
use super::parse;
use crate::replay::{Claim, V1Mark};

/// The headers that signatures live in, as sent. Who gives one twice is refused before (400).
#[derive(Clone, Copy, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the wire names these seven and no other"
)]
pub struct Headers<'a> {
    /// `x-sheen-signature`, a v1 form.
    pub signature: Option<&'a str>,
    /// `x-sheen-sig-v2`.
    pub sig_v2: Option<&'a str>,
    /// `x-sheen-signature-v2`: an old name, read as v2 when a nonce is there and `sig_v2` is not.
    pub signature_v2: Option<&'a str>,
    /// `x-sheen-timestamp`.
    pub timestamp: Option<&'a str>,
    /// `x-sheen-nonce`.
    pub nonce: Option<&'a str>,
    /// `x-sheen-request-id`, of v1-request-id.
    pub request_id: Option<&'a str>,
    /// `x-sheen-key-id`.
    pub key_id: Option<&'a str>,
}

impl<'a> Headers<'a> {
    /// The names, lower case, in the order of the fields.
    pub const NAMES: [&'static str; 7] = [
        "x-sheen-signature",
        "x-sheen-sig-v2",
        "x-sheen-signature-v2",
        "x-sheen-timestamp",
        "x-sheen-nonce",
        "x-sheen-request-id",
        "x-sheen-key-id",
    ];

    /// The headers by their lower-case names; a name outside [`Self::NAMES`] is passed over, and
    /// of a name given twice the last counts.
    #[must_use]
    pub fn from_pairs<'n>(pairs: impl IntoIterator<Item = (&'n str, &'a str)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            let field = match name {
                "x-sheen-signature" => &mut headers.signature,
                "x-sheen-sig-v2" => &mut headers.sig_v2,
                "x-sheen-signature-v2" => &mut headers.signature_v2,
                "x-sheen-timestamp" => &mut headers.timestamp,
                "x-sheen-nonce" => &mut headers.nonce,
                "x-sheen-request-id" => &mut headers.request_id,
                "x-sheen-key-id" => &mut headers.key_id,
                _ => continue,
            };
            *field = Some(value);
        }
        headers
    }

    /// Whether some scheme's parts are all there and of their form, so that the body decides. When
    /// not, no body makes the call fit, and its refusal is the same for every body.
    ///
    /// Anybody can make up the form: it says nothing about who calls.
    #[must_use]
    pub fn are_well_formed(&self) -> bool {
        let is_signature = |text: &str| parse::signature(text, &mut [0; 32]);
        if self.signature.is_some_and(is_signature) {
            return true;
        }
        self.nonce.is_some_and(parse::is_nonce)
            && self.timestamp.and_then(parse::timestamp).is_some()
            && self.sig_v2.or(self.signature_v2).is_some_and(is_signature)
    }
}

impl fmt::Debug for Headers<'_> {
    /// Which are there, not what they say: a signature in a log can be presented.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Headers")
            .field("signature", &self.signature.is_some())
            .field("sig_v2", &self.sig_v2.is_some())
            .field("signature_v2", &self.signature_v2.is_some())
            .field("timestamp", &self.timestamp.is_some())
            .field("nonce", &self.nonce.is_some())
            .field("request_id", &self.request_id.is_some())
            .field("key_id", &self.key_id.is_some())
            .finish()
    }
}

/// A request as it came over the line.
#[derive(Clone, Copy)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the wire's signatures cover this and no more"
)]
pub struct Request<'a> {
    /// The method, in any case.
    pub method: &'a str,
    /// The path exactly as on the request line, never decoded or normalised.
    pub path: &'a str,
    /// What follows the `?` of the request line; `None` when there is no `?`.
    pub query: Option<&'a str>,
    /// The signature's headers.
    pub headers: Headers<'a>,
    /// The body as sent: the same bytes that are served, or what a layer hashed of them.
    pub body: Body<'a>,
}

impl<'a> Request<'a> {
    /// A request with these parts.
    #[must_use]
    pub const fn new(
        method: &'a str,
        path: &'a str,
        query: Option<&'a str>,
        headers: Headers<'a>,
        body: &'a [u8],
    ) -> Self {
        Self {
            method,
            path,
            query,
            headers,
            body: Body::Whole(body),
        }
    }

    /// The same for a body that was hashed while it was read: enough for v2, not for v1.
    #[must_use]
    pub const fn hashed(
        method: &'a str,
        path: &'a str,
        query: Option<&'a str>,
        headers: Headers<'a>,
        body: BodyDigest,
    ) -> Self {
        Self {
            method,
            path,
            query,
            headers,
            body: Body::Digest(body),
        }
    }
}

impl fmt::Debug for Request<'_> {
    /// Without the query, which may hold a token, and the body's bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// What a signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// Body and path with query; not fresh, not spent.
    V1,
    /// Timestamp, request id and body. Under it only the body's `userId` counts.
    V1RequestId,
    /// The whole request, fresh and once.
    V2,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 3] = [Self::V1, Self::V1RequestId, Self::V2];

    /// The name on the wire, for labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1RequestId => "v1-request-id",
            Self::V2 => "v2",
        }
    }
}

/// Why a request does not get in, in order of precedence; only that a method or target which could
/// not stand on a request line is `Invalid` before its headers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The query is not UTF-8 once decoded.
    #[error("the query is not valid utf-8 once decoded")]
    QueryNotUtf8,
    /// No signature that the mode reads.
    #[error("the request has no signature")]
    Missing,
    /// The timestamp is missing or not one.
    #[error("the timestamp is not one")]
    TimestampInvalid,
    /// The nonce is missing or not 16 to 128 of `A-Za-z0-9_-`.
    #[error("the nonce must be 16 to 128 letters, digits, - or _")]
    NonceInvalid,
    /// No live key has the id given.
    #[error("no key has this id")]
    KeyUnknown,
    /// The signature does not fit.
    #[error("the signature does not fit the request")]
    Invalid,
    /// v1 fits, but is no longer taken from this key.
    #[error("version 1 signatures are no longer taken from this key")]
    V1Retired,
    /// Signed too long ago, too far ahead, or before the replay store can remember.
    #[error("the timestamp is outside the window")]
    TimestampOutsideWindow,
    /// The replay store failed or is full; nothing is let through.
    #[error("the replay store is not available")]
    ReplayStoreUnavailable,
    /// It was used before.
    #[error("the request was sent before")]
    NonceReplayed,
}

impl Refusal {
    /// Every refusal, in order of precedence: a closed set of labels.
    pub const ALL: [Self; 10] = [
        Self::QueryNotUtf8,
        Self::Missing,
        Self::TimestampInvalid,
        Self::NonceInvalid,
        Self::KeyUnknown,
        Self::Invalid,
        Self::V1Retired,
        Self::TimestampOutsideWindow,
        Self::ReplayStoreUnavailable,
        Self::NonceReplayed,
    ];

    /// The wire's code.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Missing => Code::SignatureMissing,
            Self::QueryNotUtf8 => Code::ValidationFailed,
            Self::TimestampInvalid => Code::TimestampInvalid,
            Self::NonceInvalid => Code::NonceInvalid,
            Self::KeyUnknown => Code::KeyUnknown,
            Self::Invalid => Code::SignatureInvalid,
            Self::V1Retired => Code::SignatureV1Retired,
            Self::TimestampOutsideWindow => Code::TimestampOutsideWindow,
            Self::ReplayStoreUnavailable => Code::ReplayStoreUnavailable,
            Self::NonceReplayed => Code::NonceReplayed,
        }
    }
}

/// What came of one scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing of it was sent, or the mode does not look at it.
    #[default]
    Absent,
    /// It fits, and in time where it has a time.
    Accepted,
    /// It would be refused for this.
    Refused(Refusal),
}

/// What one verification saw, accepted or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// The scheme whose signature fitted and that decided, also when it was refused for its time
    /// or for being v1.
    pub scheme: Option<Scheme>,
    /// The key that fitted.
    pub key_id: Option<KeyId>,
    /// What came of v1 in either form.
    pub v1: Outcome,
    /// What came of v2.
    pub v2: Outcome,
    /// Now less the timestamp, in milliseconds, where its signature fitted.
    pub clock_skew_millis: Option<i64>,
}

impl Report {
    /// Whether both were there and one would be accepted, the other not.
    #[must_use]
    pub fn mismatch(&self) -> bool {
        let both = self.v1 != Outcome::Absent && self.v2 != Outcome::Absent;
        both && (self.v1 == Outcome::Accepted) != (self.v2 == Outcome::Accepted)
    }

    /// Whether a key in `enforce-v2` would refuse what was let in.
    #[must_use]
    pub fn enforcing_would_refuse(&self) -> bool {
        self.v2 != Outcome::Accepted
    }
}

/// A signature that fits, and what is left to ask the replay store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked<'a> {
    /// Who signed.
    pub principal: &'a PrincipalId,
    /// With which key.
    pub key_id: &'a KeyId,
    /// The mode of that key.
    pub mode: Mode,
    /// What fitted.
    pub scheme: Scheme,
    /// SHA-256 of the body, where the scheme needed it.
    pub body_sha256: Option<[u8; 32]>,
    /// First: refuse as replayed when this v1 signature is marked.
    pub look_up: Option<V1Mark>,
    /// Then: spend this, or refuse.
    pub claim: Option<Claim<'a>>,
}

/// A request that got in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Who signed: the scope of nonces and idempotency keys.
    pub principal: PrincipalId,
    /// With which key.
    pub key_id: KeyId,
    /// What fitted.
    pub scheme: Scheme,
    /// v1 in a key that is on its way to v2: the answer carries `Deprecation`.
    pub deprecated: bool,
    /// The replay store failed and the service lets its timestamp alone vouch for the request: it
    /// may come again for as long as it is fresh.
    pub timestamp_only: bool,
    /// SHA-256 of the body, where the scheme needed it.
    pub body_sha256: Option<[u8; 32]>,
    /// What was seen.
    pub report: Report,
}
