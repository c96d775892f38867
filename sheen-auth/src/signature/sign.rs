//! The caller's side: headers for a request.

use std::fmt;

use sheen_core::entropy::Entropy;
use sheen_core::time::Timestamp;

use super::body::sha256;
use super::key::SigningKey;
use super::parse;
use super::query::{QueryNotUtf8, canonical_query};
use super::text::SignedText;
use super::types::Headers;

/// Signs requests: v2, and v1 beside it where the worker still wants it.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    with_v1: bool,
    names_key: bool,
}

/// Why a request cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The method is not an RFC 9110 token of at most 32 characters.
    #[error("the method is not a token")]
    Method,
    /// Path or query cannot stand on a request line, or the path does not begin with `/`.
    #[error("the request target must begin with / and hold no space or control character")]
    Target,
    /// No verifier would take it.
    #[error(transparent)]
    Query(#[from] QueryNotUtf8),
}

impl Signer {
    /// Signs with `key`, v2 alone.
    #[must_use]
    pub const fn new(key: SigningKey) -> Self {
        Self {
            key,
            with_v1: false,
            names_key: false,
        }
    }

    /// Signs v1 beside v2, for a worker that has not reached `dual`.
    #[must_use]
    pub const fn with_v1(mut self) -> Self {
        self.with_v1 = true;
        self
    }

    /// Sends the key's id, so that the worker need not try its others.
    #[must_use]
    pub const fn naming_key(mut self) -> Self {
        self.names_key = true;
        self
    }

    /// The headers for one sending of a request, `path` and `query` (what follows the `?`) exactly
    /// as they will stand on the request line. Sending it again needs headers of its own.
    ///
    /// # Errors
    /// When no verifier would accept such a request.
    pub fn sign(
        &self,
        method: &str,
        path: &str,
        query: Option<&str>,
        body: &[u8],
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<SignedHeaders, SignError> {
        if !parse::is_method(method) {
            return Err(SignError::Method);
        }
        if !parse::is_target(path, query) {
            return Err(SignError::Target);
        }
        let mut canonical = String::new();
        canonical_query(query.unwrap_or(""), &mut canonical)?;
        let mut random = [0_u8; 16];
        entropy.fill(&mut random);
        let nonce = const_hex::encode(random);
        // Thirteen digits are milliseconds whatever the year.
        let timestamp = format!("{:013}", now.as_millis().max(0));
        let mut text = Vec::new();
        SignedText {
            method,
            path,
            canonical_query: canonical.as_bytes(),
            body_sha256: &sha256(body),
            nonce: &nonce,
            timestamp: &timestamp,
        }
        .append_to(&mut text);
        let signature = self.with_v1.then(|| {
            let mark: &[u8] = if query.is_some() { b"?" } else { b"" };
            let query = query.unwrap_or("").as_bytes();
            const_hex::encode(self.key.sign(&[body, path.as_bytes(), mark, query]))
        });
        Ok(SignedHeaders {
            sig_v2: const_hex::encode(self.key.sign(&[&text])),
            timestamp,
            nonce,
            signature,
            key_id: self.names_key.then(|| self.key.id().as_str().to_owned()),
        })
    }
}

/// The headers of one signed request.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedHeaders {
    /// `x-sheen-sig-v2`.
    pub sig_v2: String,
    /// `x-sheen-timestamp`, in milliseconds.
    pub timestamp: String,
    /// `x-sheen-nonce`.
    pub nonce: String,
    /// `x-sheen-signature`, where v1 was asked for.
    pub signature: Option<String>,
    /// `x-sheen-key-id`, where the signer names its key.
    pub key_id: Option<String>,
}

impl SignedHeaders {
    /// Names and values, to be put on a request.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let always = [
            ("x-sheen-sig-v2", self.sig_v2.as_str()),
            ("x-sheen-timestamp", self.timestamp.as_str()),
            ("x-sheen-nonce", self.nonce.as_str()),
        ];
        let signature = self.signature.as_deref().map(|v| ("x-sheen-signature", v));
        let key_id = self.key_id.as_deref().map(|v| ("x-sheen-key-id", v));
        always.into_iter().chain(signature).chain(key_id)
    }

    /// The same as a verifier reads them.
    #[must_use]
    pub fn as_headers(&self) -> Headers<'_> {
        Headers::from_pairs(self.iter())
    }
}

impl fmt::Debug for SignedHeaders {
    /// Names alone: whoever reads a log could present the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}
