//! Viewer tokens in requests.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use sheen_auth::token::revocation::Revocations;
use sheen_auth::token::{TokenError, Viewer, ViewerTokens};
use sheen_core::time::Clock;

use super::caller::TokenPlace;
use super::original_uri;
use crate::problem::Problem;
use crate::query::Query;

/// What browsers may show instead of a signature.
#[derive(Debug, Clone)]
pub struct Viewers {
    tokens: Arc<ViewerTokens>,
    clock: Arc<dyn Clock>,
    revocations: Option<Arc<Revocations>>,
}

impl Viewers {
    /// One of `tokens`, judged by `clock`.
    #[must_use]
    pub const fn new(tokens: Arc<ViewerTokens>, clock: Arc<dyn Clock>) -> Self {
        Self {
            tokens,
            clock,
            revocations: None,
        }
    }

    /// The same, unless `revocations` knows that it was taken back.
    #[must_use]
    pub fn revoked_by(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// When it is none, or nobody can say whether it was taken back.
    pub(super) async fn judge(&self, token: &str) -> Result<Viewer, Problem> {
        let viewer = self.tokens.verify(token, self.clock.now())?;
        if let Some(revocations) = &self.revocations
            && revocations.is_revoked(&viewer).await?
        {
            return Err(TokenError::Invalid.into());
        }
        Ok(viewer)
    }
}

/// The viewer token of a request, if it has one.
///
/// # Errors
/// When it has more than one.
pub(super) fn find(parts: &Parts) -> Result<Option<(String, TokenPlace)>, Problem> {
    let mut lines = parts.headers.get_all(AUTHORIZATION).iter();
    let (line, None) = (lines.next(), lines.next()) else {
        return Err(Problem::field(
            "authorization",
            "duplicate",
            "must be given once",
        ));
    };
    let bearer = line.and_then(|line| bearer_of(line.as_bytes()));
    let uri = original_uri(&parts.extensions, &parts.uri);
    let query = match uri.query() {
        // Only a query that can hold a token is decoded here.
        Some(raw) if raw.contains("access") || raw.contains('%') => Query::parse(Some(raw))?,
        _ => Query::default(),
    };
    match (bearer, query.one("access_token")?) {
        (Some(_), Some(_)) => Err(Problem::field(
            "access_token",
            "conflict",
            "must stand in the header or in the query, not in both",
        )),
        (Some(token), None) => Ok(Some((token, TokenPlace::Header))),
        (None, Some(token)) => Ok(Some((token.to_owned(), TokenPlace::Query))),
        (None, None) => Ok(None),
    }
}

/// The token of `Bearer …`; what is not text is a token that does not verify.
fn bearer_of(line: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    // `Bearer` alone shows an empty token, as `access_token=` does.
    let (scheme, token) = line.split_once(' ').unwrap_or((line, ""));
    let bearer = scheme.eq_ignore_ascii_case("bearer");
    bearer.then(|| token.trim().to_owned())
}
