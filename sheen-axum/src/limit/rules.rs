//! Asking the limiter, and what an answer says of it.

use std::fmt::Display;

use http::{HeaderMap, HeaderName, HeaderValue};
use sheen_auth::address::{ClientNet, ForwardedFor};
use sheen_auth::limit::{
    LimitFigures, LimitTable, Limiter, PolicyField, PolicyName, RateLimitField, RouteClass,
    Standing, Verdict, Who,
};
use sheen_core::error::{Code, StoreError};

use super::layer::LimitedBy;
use crate::problem::Problem;

/// `x-forwarded-for`.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `x-ratelimit-limit`.
pub const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// `x-ratelimit-remaining`.
pub const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// `x-ratelimit-reset`.
pub const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// `ratelimit` (draft-ietf-httpapi-ratelimit-headers).
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `ratelimit-policy` (draft-ietf-httpapi-ratelimit-headers).
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Which limits hold, who counts them, and how addresses are known.
#[derive(Debug, Clone)]
pub struct Limits {
    limiter: Limiter,
    table: LimitTable,
    forwarded: Option<ForwardedFor>,
}

impl Limits {
    /// The limits of `table`, counted by `limiter`. No address is known.
    #[must_use]
    pub fn new(limiter: Limiter, table: LimitTable) -> Self {
        Self {
            limiter: limiter.on_each_failure(log_failure),
            table,
            forwarded: None,
        }
    }

    /// The same with addresses forwarded through trusted hops; `None` when there are none.
    #[must_use]
    pub const fn forwarded(mut self, forwarded: Option<ForwardedFor>) -> Self {
        self.forwarded = forwarded;
        self
    }

    /// The hops that addresses are forwarded through.
    #[must_use]
    pub const fn hops(&self) -> Option<ForwardedFor> {
        self.forwarded
    }

    /// Whether client addresses can be known at all.
    #[must_use]
    pub const fn knows_addresses(&self) -> bool {
        self.forwarded.is_some()
    }

    /// The client's network, as far as it is known.
    #[must_use]
    pub fn network(&self, headers: &HeaderMap) -> Option<ClientNet> {
        client_network(self.forwarded?, headers)
    }

    /// Takes one call of `class` by this caller: what its answer says of the limit, or the refusal
    /// with the same headers.
    pub(super) async fn admit(
        &self,
        class: RouteClass,
        by: &LimitedBy,
        headers: &HeaderMap,
    ) -> Result<HeaderMap, (Problem, HeaderMap)> {
        let who = Who::new()
            .user(by.user.as_ref())
            .principal(by.principal.as_ref())
            .network(self.network(headers));
        let limit = self.table.limit(class, &who);
        match self.limiter.take(&limit.key, &limit.quotas, 1).await {
            Verdict::Admitted(standing) => Ok(told(limit.key.limit(), &standing)),
            Verdict::Limited(standing) => {
                let figures = LimitFigures::of(&standing);
                let wait = u32::try_from(figures.reset_seconds).unwrap_or(u32::MAX);
                let problem = Problem::new(Code::RateLimited).retry_after(wait);
                Err((problem, told(limit.key.limit(), &standing)))
            }
            Verdict::Unchecked => Ok(HeaderMap::new()),
            Verdict::Unavailable(error) => Err((Problem::from(error), HeaderMap::new())),
            // One call is never too dear; a verdict that this code does not know does not pass.
            _ => Err((Problem::new(Code::RateLimited), HeaderMap::new())),
        }
    }
}

/// The client's network, through the hops that are trusted.
pub(crate) fn client_network(forwarded: ForwardedFor, headers: &HeaderMap) -> Option<ClientNet> {
    let lines = headers.get_all(&X_FORWARDED_FOR).iter();
    forwarded.client(lines.map(HeaderValue::as_bytes))
}

pub(crate) fn log_failure(error: &StoreError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(%error, cause, "the limits' store failed");
}

fn told(name: &str, standing: &Standing) -> HeaderMap {
    let figures = LimitFigures::of(standing);
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(X_RATELIMIT_LIMIT, figures.limit.into());
    headers.insert(X_RATELIMIT_REMAINING, figures.remaining.into());
    headers.insert(X_RATELIMIT_RESET, figures.reset_seconds.into());
    if let Some(name) = PolicyName::new(name) {
        put(
            &mut headers,
            RATELIMIT_POLICY,
            &PolicyField(name, standing.quotas()),
        );
        put(&mut headers, RATELIMIT, &RateLimitField(name, standing));
    }
    headers
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &impl Display) {
    if let Ok(value) = HeaderValue::try_from(value.to_string()) {
        headers.insert(name, value);
    }
}
