//! How often one source may fail to say who it is.

use std::time::Duration;

use http::HeaderMap;
use sheen_auth::address::{ClientNet, ForwardedFor};
use sheen_auth::limit::{
    LimitFigures, LimitKey, Limiter, Quota, Quotas, Standing, Subject, Verdict,
};
use sheen_core::error::Code;

use crate::limit::{client_network, log_failure};
use crate::problem::Problem;

/// Limits calls that nobody could be recognised in, by the network they come from.
///
/// A source that failed too often is told to wait, before the body of its call is read and any
/// signature is computed, and learns no figure. Of calls at once more may be looked at; no more are
/// told that they failed. Only failures count, and nothing is charged to the principal, key or user that a forged call names:
/// nobody can lock out another. A call that was signed but is late, a replay or of a retired scheme
/// did say who it is, and counts nothing.
#[derive(Debug, Clone)]
pub struct FailureLimit {
    limiter: Limiter,
    forwarded: ForwardedFor,
    quotas: Quotas,
}

/// 60 a minute.
const USUAL: Quota = match Quota::new(60, Duration::from_secs(60)) {
    Ok(quota) => quota,
    Err(_) => panic!("the usual quota is none"),
};

impl FailureLimit {
    /// At most 60 failures a minute of one network, known through trusted hops. Where no address
    /// came through them nothing is limited.
    #[must_use]
    pub fn new(limiter: Limiter, forwarded: ForwardedFor) -> Self {
        Self {
            limiter: limiter.on_each_failure(log_failure),
            forwarded,
            quotas: Quotas::from(USUAL),
        }
    }

    /// The same with other quotas.
    #[must_use]
    pub fn quotas(mut self, quotas: impl Into<Quotas>) -> Self {
        self.quotas = quotas.into();
        self
    }

    /// The hops that addresses are forwarded through.
    #[must_use]
    pub const fn hops(&self) -> ForwardedFor {
        self.forwarded
    }

    /// Where the call comes from, unless that source failed too often.
    pub(super) async fn source(&self, headers: &HeaderMap) -> Result<Option<ClientNet>, Problem> {
        let Some(network) = client_network(self.forwarded, headers) else {
            return Ok(None);
        };
        match self.limiter.peek(&key(network), &self.quotas, 1).await {
            Verdict::Admitted(_) | Verdict::Unchecked => Ok(Some(network)),
            Verdict::Unavailable(error) => Err(Problem::from(error)),
            Verdict::Limited(standing) => Err(wait(&standing)),
            _ => Err(Problem::new(Code::RateLimited)),
        }
    }

    /// Counts a failure of `network`, where `refusal` is one. What cannot be counted, because it is
    /// one too many or the store fails, is what the source is told instead.
    pub(super) async fn count(&self, network: ClientNet, refusal: Code) -> Option<Problem> {
        if !is_failure(refusal) {
            return None;
        }
        match self.limiter.take(&key(network), &self.quotas, 1).await {
            Verdict::Admitted(_) | Verdict::Unchecked => None,
            Verdict::Unavailable(error) => Some(Problem::from(error)),
            Verdict::Limited(standing) => Some(wait(&standing)),
            _ => Some(Problem::new(Code::RateLimited)),
        }
    }
}

fn wait(standing: &Standing) -> Problem {
    let seconds = LimitFigures::of(standing).reset_seconds;
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    Problem::new(Code::RateLimited).retry_after(seconds)
}

const fn key(network: ClientNet) -> LimitKey<'static> {
    LimitKey::new("signature-failures", Subject::Network(network))
}

/// Whether the call could not show who it is from.
const fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::SignatureMissing
            | Code::SignatureInvalid
            | Code::KeyUnknown
            | Code::TimestampInvalid
            | Code::NonceInvalid
            | Code::TokenInvalid
    )
}
