//! Signed calls to a worker. For the examples alone: retries and the rest are a client's work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Response, Url};
use serde_json::Value;
use sheen_auth::signature::{SignError, Signer, SigningKey};
use sheen_core::entropy::Entropy;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::secret::Secret;
use sheen_core::time::Clock;

/// How long a call may take (wire.md §3). A stream has no such limit.
const TIMEOUT: Duration = Duration::from_secs(15);
/// More than this is no answer of a worker.
const MAX_ANSWER: usize = 4 << 20;

/// Calls one worker as one user.
#[derive(Debug)]
pub struct Caller {
    http: reqwest::Client,
    base: Url,
    signer: Signer,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is the same page or it is not")]
pub enum Page {
    /// The one whose tag was sent.
    Same,
    /// Another one.
    News {
        /// The answer's body.
        body: Vec<u8>,
        /// Its tag.
        etag: Option<String>,
    },
}

/// Why a call brought no answer to use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The address is not one of the worker's.
    #[error("{0:?} is not an address of this worker")]
    Address(String),
    /// The request cannot be signed.
    #[error("the request cannot be signed")]
    Sign(#[from] SignError),
    /// The worker could not be reached, or the connection broke.
    #[error("the worker at {address} could not be reached")]
    Http {
        /// Which worker.
        address: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The worker refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The answer is not what the wire says.
    #[error("the worker's answer could not be read: {0}")]
    Answer(String),
}

/// A worker's refusal (wire.md §3).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable code; empty when there was none, as from a proxy.
    pub code: String,
    /// Words for people.
    pub message: String,
    /// What else was told.
    pub data: Option<Value>,
    /// How long the worker wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the worker answered {} {}: {}",
            self.status, self.code, self.message
        )?;
        match &self.data {
            Some(data) => write!(f, " {data}"),
            None => Ok(()),
        }
    }
}

impl Caller {
    /// Calls the worker at `base`, signing with `secret`.
    ///
    /// # Errors
    /// When `base` is not an `http` address without path and query.
    pub fn new(
        base: &str,
        secret: Secret,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, CallError> {
        let bad = || CallError::Address(base.to_owned());
        let base = Url::parse(base)
            .ok()
            .filter(|url| url.scheme() == "http" && url.path() == "/" && url.query().is_none());
        let base = base.ok_or_else(bad)?;
        let id = KeyId::parse("example").map_err(|_| bad())?;
        let principal = PrincipalId::parse("example").map_err(|_| bad())?;
        let http = reqwest::Client::builder()
            // A signature is for one address: it must not be carried to another.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(TIMEOUT)
            .build()
            .map_err(|source| CallError::Http {
                address: base.to_string(),
                source,
            })?;
        let signer = Signer::new(SigningKey::new(id, principal, secret));
        Ok(Self {
            http,
            base,
            signer,
            clock,
            entropy,
        })
    }

    /// An address as the worker gave it, whole or relative.
    ///
    /// # Errors
    /// When it is none.
    pub fn address(&self, reference: &str) -> Result<Url, CallError> {
        self.base
            .join(reference)
            .map_err(|_| CallError::Address(reference.to_owned()))
    }

    /// Sends a signed request and takes its answer's JSON.
    ///
    /// # Errors
    /// When it cannot be sent, is refused, or is not answered with JSON.
    pub async fn json(
        &self,
        method: Method,
        reference: &str,
        body: Option<&Value>,
    ) -> Result<Value, CallError> {
        let body = body.map(Value::to_string);
        let request = self.request(method, reference, body, &[])?.timeout(TIMEOUT);
        let answer = self.read(self.send(request).await?).await?;
        serde_json::from_slice(&answer).map_err(|error| CallError::Answer(error.to_string()))
    }

    /// Opens an event stream after `last` events.
    ///
    /// # Errors
    /// When it cannot be opened, is refused, or is not an event stream.
    pub async fn stream(&self, reference: &str, last: u64) -> Result<Response, CallError> {
        let last = last.to_string();
        let mut headers = vec![
            ("accept", "text/event-stream"),
            ("cache-control", "no-store"),
        ];
        if last != "0" {
            headers.push(("last-event-id", last.as_str()));
        }
        let response = self
            .send(self.request(Method::GET, reference, None, &headers)?)
            .await?;
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        // Its parameters say nothing: an event stream is always UTF-8.
        let essence = kind
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        if response.status() == 204 || essence.eq_ignore_ascii_case("text/event-stream") {
            Ok(response)
        } else {
            Err(CallError::Answer("not an event stream".to_owned()))
        }
    }

    /// Asks for a page of events.
    ///
    /// # Errors
    /// When it cannot be asked for, or is refused.
    pub async fn page(
        &self,
        reference: &str,
        cursor: Option<&str>,
        waited: Duration,
        if_none_match: Option<&str>,
    ) -> Result<Page, CallError> {
        let mut url = self.address(reference)?;
        url.query_pairs_mut()
            .append_pair("intervalMs", &waited.as_millis().to_string());
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let tag = if_none_match.map(|tag| ("if-none-match", tag));
        let headers: Vec<_> = tag.into_iter().collect();
        let request = self.request(Method::GET, url.as_str(), None, &headers)?;
        let response = match self.send(request.timeout(TIMEOUT)).await {
            Err(CallError::Refused(refusal)) if refusal.status == 304 => return Ok(Page::Same),
            sent => sent?,
        };
        let etag = response.headers().get("etag");
        let etag = etag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let body = self.read(response).await?;
        Ok(Page::News { body, etag })
    }

    fn request(
        &self,
        method: Method,
        reference: &str,
        body: Option<String>,
        headers: &[(&'static str, &str)],
    ) -> Result<reqwest::RequestBuilder, CallError> {
        let url = self.address(reference)?;
        if url.origin() != self.base.origin() {
            return Err(CallError::Address(reference.to_owned()));
        }
        let signed = self.signer.sign(
            method.as_str(),
            url.path(),
            url.query(),
            body.as_deref().unwrap_or_default().as_bytes(),
            self.clock.now(),
            &*self.entropy,
        )?;
        let mut request = self.http.request(method, url);
        for (name, value) in signed.iter().chain(headers.iter().copied()) {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        Ok(request)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, CallError> {
        let response = request.send().await.map_err(|source| self.broken(source))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let retry_after = retry_after(&response);
        let body = self.read(response).await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Err(CallError::Refused(Refusal {
            status,
            code: text("error"),
            message: text("message"),
            data: body.get("data").filter(|data| !data.is_null()).cloned(),
            retry_after,
        }))
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, CallError> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.broken(source))?
        {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(CallError::Answer("it is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn broken(&self, source: reqwest::Error) -> CallError {
        // The address is told once, without a query.
        CallError::Http {
            address: self.base.to_string(),
            source: source.without_url(),
        }
    }
}

/// What the worker says of waiting, at most 5 minutes (wire.md §3). sheen sends seconds.
fn retry_after(response: &Response) -> Option<Duration> {
    const LONGEST: u64 = 300;
    ["retry-after", "x-ratelimit-reset"]
        .iter()
        .find_map(|name| {
            let seconds: u64 = response
                .headers()
                .get(*name)?
                .to_str()
                .ok()?
                .trim()
                .parse()
                .ok()?;
            Some(Duration::from_secs(seconds.min(LONGEST)))
        })
}
