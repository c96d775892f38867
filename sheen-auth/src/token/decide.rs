//! Issuing and judging viewer tokens.

use std::fmt;
use std::time::Duration;

use hmac::Mac as _;
use serde_json::{Map, Value};
use sheen_core::id::{BuildId, UserId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

use super::jws::{self, Key};
use super::types::{TokenError, Viewer, ViewerToken, ViewerTokensError};
use crate::keyed;

const SCOPE: &str = "build:events";

/// How far ahead of ours the clock of an issuer may be.
const ISSUER_AHEAD_SECONDS: u64 = 60;

/// Issues viewer tokens with the first secret and verifies them with each.
pub struct ViewerTokens {
    keys: Vec<Key>,
}

impl ViewerTokens {
    /// The longest life of a token, whoever issued it.
    pub const MAX_LIFE: Duration = Duration::from_secs(600);
    /// The most secrets, and so the most signatures tried for one token.
    pub const MAX_SECRETS: usize = 4;

    /// Tokens of these secrets, the first of which signs.
    ///
    /// # Errors
    /// When there is none, or more than [`Self::MAX_SECRETS`].
    pub fn new(secrets: Vec<Secret>) -> Result<Self, ViewerTokensError> {
        if secrets.is_empty() {
            return Err(ViewerTokensError::Empty);
        }
        if secrets.len() > Self::MAX_SECRETS {
            return Err(ViewerTokensError::TooMany);
        }
        let keys = secrets.iter().map(keyed).collect();
        Ok(Self { keys })
    }

    /// A token with which `user` may watch `build`, and when it ends: `ttl` from now in whole
    /// seconds, at least one and at most [`Self::MAX_LIFE`].
    #[must_use]
    pub fn issue(
        &self,
        user: &UserId,
        build: &BuildId,
        now: Timestamp,
        ttl: Duration,
    ) -> (ViewerToken, Timestamp) {
        let iat = u64::try_from(now.as_seconds()).unwrap_or(0);
        let life = ttl.min(Self::MAX_LIFE).as_secs().max(1);
        let exp = iat.saturating_add(life);
        // No id holds a character that JSON escapes. Written out, the bytes do not depend on how
        // serde_json orders members, which another crate's feature changes.
        let claims = format!(
            r#"{{"sub":"{user}","buildId":"{build}","scope":"{SCOPE}","iat":{iat},"exp":{exp}}}"#
        );
        (
            ViewerToken::new(jws::sign(&self.keys[0], &claims)),
            instant(exp),
        )
    }

    /// Whose token it is and what it lets them watch. May be asked again until it expires.
    ///
    /// # Errors
    /// When it is not one of ours, has expired, or is for another use.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Viewer, TokenError> {
        let claims = jws::verify(&self.keys, token).ok_or(TokenError::Invalid)?;
        read(&claims, now)
    }
}

impl fmt::Debug for ViewerTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewerTokens")
            .field("secrets", &self.keys.len())
            .finish_non_exhaustive()
    }
}

fn read(claims: &Map<String, Value>, now: Timestamp) -> Result<Viewer, TokenError> {
    let text = |name| {
        claims
            .get(name)
            .and_then(Value::as_str)
            .ok_or(TokenError::Invalid)
    };
    let seconds = |name| {
        claims
            .get(name)
            .and_then(Value::as_u64)
            .ok_or(TokenError::Invalid)
    };
    let user = UserId::parse(text("sub")?).map_err(|_| TokenError::Invalid)?;
    let build = BuildId::parse(text("buildId")?).map_err(|_| TokenError::Invalid)?;
    let scope = text("scope")?;
    let (iat, exp) = (seconds("iat")?, seconds("exp")?);
    // Whom it is for and from when it counts must be understood where given (RFC 7519 §4.1.3,
    // §4.1.5); the wire's tokens say neither.
    if claims.contains_key("aud") || claims.contains_key("nbf") {
        return Err(TokenError::Invalid);
    }
    let now_seconds = u64::try_from(now.as_seconds()).unwrap_or(0);
    let ahead = iat > now_seconds.saturating_add(ISSUER_AHEAD_SECONDS);
    let life = exp.checked_sub(iat).ok_or(TokenError::Invalid)?;
    if ahead || life == 0 || life > ViewerTokens::MAX_LIFE.as_secs() {
        return Err(TokenError::Invalid);
    }
    let expires_at = instant(exp);
    if now >= expires_at {
        return Err(TokenError::Expired);
    }
    if scope != SCOPE {
        return Err(TokenError::Scope);
    }
    Ok(Viewer::new(user, build, instant(iat), expires_at))
}

fn instant(seconds: u64) -> Timestamp {
    let millis = i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1000);
    Timestamp::from_millis(millis)
}

/// A secret of its own for `context`, made from `shared`: HMAC-SHA256 over `sheen/{context}/v1`.
///
/// What one derived secret signs never fits under another or under `shared`.
#[must_use]
#[expect(
    clippy::missing_panics_doc,
    reason = "the length is fixed, so it cannot"
)]
pub fn derive_secret(shared: &Secret, context: &str) -> Secret {
    let message = format!("sheen/{context}/v1");
    let derived = keyed(shared).chain_update(message).finalize().into_bytes();
    #[expect(
        clippy::expect_used,
        reason = "SHA-256 gives 32 bytes, the least a secret has"
    )]
    Secret::new(derived.to_vec()).expect("32 bytes are a secret")
}
