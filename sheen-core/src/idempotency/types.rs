//! Keys, fingerprints, leases and the answers that are kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{PrincipalId, UserId};
use crate::time::Timestamp;
use crate::token::FencingToken;

/// Who a key belongs to: two callers may use the same key without meeting (wire.md §4).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Scope {
    /// The front end.
    pub principal: PrincipalId,
    /// The person it calls for.
    pub user: UserId,
}

impl Scope {
    /// The keys of `user` at `principal`.
    #[must_use]
    pub const fn new(principal: PrincipalId, user: UserId) -> Self {
        Self { principal, user }
    }
}

/// A caller's name for one call: 1–255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(Arc<str>);

/// Why a header is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 visible ASCII characters, bare or as a quoted string")]
#[non_exhaustive]
pub struct IdempotencyKeyError;

impl IdempotencyKey {
    /// The longest key, in bytes.
    pub const MAX_LEN: usize = 255;

    /// Reads the header's value: bare, or the quoted string of the IETF draft (an RFC 8941 string,
    /// `\"` and `\\` escaped). Both forms of one key are the same key.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(header: &[u8]) -> Result<Self, IdempotencyKeyError> {
        let text = std::str::from_utf8(header).map_err(|_| IdempotencyKeyError)?;
        let text = text.trim_matches([' ', '\t']);
        let key = match text.strip_prefix('"') {
            Some(rest) => unquote(rest)?,
            None => text.to_owned(),
        };
        let visible = key.bytes().all(|b| b.is_ascii_graphic());
        if key.is_empty() || key.len() > Self::MAX_LEN || !visible {
            return Err(IdempotencyKeyError);
        }
        Ok(Self(key.into()))
    }

    /// The key as text, without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn unquote(rest: &str) -> Result<String, IdempotencyKeyError> {
    let mut key = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    loop {
        match chars.next().ok_or(IdempotencyKeyError)? {
            '"' if chars.as_str().is_empty() => return Ok(key),
            '"' => return Err(IdempotencyKeyError),
            '\\' => match chars.next() {
                Some(c @ ('"' | '\\')) => key.push(c),
                _ => return Err(IdempotencyKeyError),
            },
            c => key.push(c),
        }
    }
}

/// SHA-256 over method, path, canonical query and body hash: whether two calls are the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a call. The parts are length-prefixed, so that their joints cannot be
    /// moved. The body counts by its bytes: other white space is another call.
    #[must_use]
    pub fn of(method: &str, path: &str, canonical_query: &str, body_sha256: &[u8; 32]) -> Self {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for part in [
            method.as_bytes(),
            path.as_bytes(),
            canonical_query.as_bytes(),
            body_sha256,
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The fingerprint with these bytes, as a store kept it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a store to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", const_hex::encode(self.0))
    }
}

/// An answer as it is kept and sent again: exact status, allowed headers, exact body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredAnswer {
    /// The status, 200–299: nothing else is kept.
    pub status: u16,
    /// Those of [`Self::KEPT_HEADERS`] that it had, in their order.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// The body, byte for byte.
    pub body: Arc<[u8]>,
    /// The id of the call that made it.
    pub request_id: Arc<str>,
}

/// Why an answer is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredAnswerError {
    /// Only 2xx answers are kept: a refusal changed nothing and frees its key.
    #[error("only an answer with status 200 to 299 is kept")]
    Status,
    /// The body is over [`StoredAnswer::MAX_BODY`].
    #[error("an answer of more than 262144 bytes is not kept")]
    TooLarge,
    /// The kept headers and the request id are over [`StoredAnswer::MAX_HEADERS`].
    #[error("an answer with more than 8192 bytes of headers is not kept")]
    HeadersTooLarge,
}

impl StoredAnswer {
    /// The largest body kept, in bytes.
    pub const MAX_BODY: usize = 256 * 1024;
    /// The most bytes of kept headers, names and values, with the request id.
    pub const MAX_HEADERS: usize = 8 * 1024;
    /// The headers that are kept and sent again (wire.md §4). What belongs to one call or one
    /// caller is not among them: cookies, dates, ids, limits, timings, credentials.
    pub const KEPT_HEADERS: [&'static str; 11] = [
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-location",
        "content-type",
        "etag",
        "last-modified",
        "link",
        "location",
        "vary",
    ];

    /// Takes an answer for keeping. Of the headers it keeps [`Self::KEPT_HEADERS`], whatever the
    /// case of their names, which become lower-case.
    ///
    /// # Errors
    /// When it is not a 2xx, or is over a bound.
    pub fn new(
        status: u16,
        headers: Vec<(Arc<str>, Arc<str>)>,
        body: impl Into<Arc<[u8]>>,
        request_id: impl Into<Arc<str>>,
    ) -> Result<Self, StoredAnswerError> {
        let (body, request_id) = (body.into(), request_id.into());
        if !(200..300).contains(&status) {
            return Err(StoredAnswerError::Status);
        }
        if body.len() > Self::MAX_BODY {
            return Err(StoredAnswerError::TooLarge);
        }
        let headers: Vec<(Arc<str>, Arc<str>)> = headers
            .into_iter()
            .filter_map(|(name, value)| {
                let kept = Self::KEPT_HEADERS
                    .into_iter()
                    .find(|kept| kept.eq_ignore_ascii_case(&name))?;
                Some((Arc::from(kept), value))
            })
            .collect();
        let header_bytes = headers.iter().fold(request_id.len(), |sum, (name, value)| {
            sum + name.len() + value.len()
        });
        if header_bytes > Self::MAX_HEADERS {
            return Err(StoredAnswerError::HeadersTooLarge);
        }
        Ok(Self {
            status,
            headers,
            body,
            request_id,
        })
    }
}

/// The right to run the call of a key and to store its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// Whose key.
    pub scope: Scope,
    /// Which key.
    pub key: IdempotencyKey,
    /// Raised by every take-over; a late holder's is too old to write with.
    pub token: FencingToken,
    /// When others may take it over.
    pub expires_at: Timestamp,
}

impl Lease {
    /// A lease of `key`.
    #[must_use]
    pub const fn new(
        scope: Scope,
        key: IdempotencyKey,
        token: FencingToken,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            scope,
            key,
            token,
            expires_at,
        }
    }
}

/// What came of a beginning. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BeginOutcome {
    /// The key was used for another call. Nothing was written.
    Reused,
    /// The call was done; here is its answer. Nothing was written.
    Replay(StoredAnswer),
    /// The first call still runs. Nothing was written.
    InProgress,
    /// Run the call, then complete or abandon the lease.
    Started(Lease),
}

/// What came of storing an answer or of giving a lease back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseOutcome {
    /// The lease was taken over or forgotten. Nothing was written.
    Lost,
    /// It is done.
    Done,
}

/// What came of keeping a lease alive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtendOutcome {
    /// The lease was taken over, completed or forgotten. Nothing was written.
    Lost,
    /// It is ours for longer.
    Extended(Lease),
}

/// How long records and leases live (wire.md §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lifetimes {
    /// How long an answer is kept after it was stored.
    pub record: Duration,
    /// How long a lease lasts without being extended.
    pub lease: Duration,
}

impl Lifetimes {
    /// Lifetimes other than the wire's.
    #[must_use]
    pub const fn new(record: Duration, lease: Duration) -> Self {
        Self { record, lease }
    }
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            record: Duration::from_secs(24 * 3600),
            lease: Duration::from_secs(60),
        }
    }
}
