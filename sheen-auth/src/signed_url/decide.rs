//! Signing and judging URLs.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use sheen_core::id::UserId;
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

use super::types::{Opened, SignedUrl, SignedUrlError, SignedUrlsError};
use crate::keyed;
use crate::token::derive_secret;

/// Signs URLs with the first secret and verifies them with each.
pub struct SignedUrls {
    keys: Vec<Hmac<Sha256>>,
}

const CONTEXT: &str = "signed-url";
const MAX_PATH: usize = 4096;
const MAX_METHOD: usize = 16;

impl SignedUrls {
    /// How long a download's URL lives (wire.md §12).
    pub const DOWNLOAD_LIFE: Duration = Duration::from_secs(24 * 3600);
    /// How long before its end a client stops using it again (wire.md §12).
    pub const REUSE_MARGIN: Duration = Duration::from_secs(3600);
    /// The longest life of a URL, whoever signed it.
    pub const MAX_LIFE: Duration = Self::DOWNLOAD_LIFE;
    /// The most secrets, and so the most signatures tried for one URL.
    pub const MAX_SECRETS: usize = 4;

    /// URLs under keys derived from these secrets, the first of which signs.
    ///
    /// # Errors
    /// When there is none, or more than [`Self::MAX_SECRETS`].
    pub fn new(secrets: &[&Secret]) -> Result<Self, SignedUrlsError> {
        if secrets.is_empty() {
            return Err(SignedUrlsError::NoSecret);
        }
        if secrets.len() > Self::MAX_SECRETS {
            return Err(SignedUrlsError::TooManySecrets);
        }
        let keys = secrets
            .iter()
            .map(|secret| keyed(&derive_secret(secret, CONTEXT)));
        Ok(Self {
            keys: keys.collect(),
        })
    }

    /// `path` with a query that lets `user` send `method` to it for `life` from `now` in whole
    /// seconds, at least one and at most [`Self::MAX_LIFE`].
    ///
    /// # Errors
    /// When method or path are none that could stand on a request line.
    pub fn sign(
        &self,
        method: &str,
        path: &str,
        user: &UserId,
        now: Timestamp,
        life: Duration,
    ) -> Result<SignedUrl, SignedUrlsError> {
        check(method, path)?;
        let now = u64::try_from(now.as_seconds()).unwrap_or(0);
        let expires = now.saturating_add(life.min(Self::MAX_LIFE).as_secs().max(1));
        let tag = message(&self.keys[0], method, path, user.as_str(), expires).finalize();
        let tag = const_hex::encode(tag.into_bytes());
        let text = format!("{path}?expires={expires}&userId={user}&signature={tag}");
        Ok(SignedUrl::new(text, instant(expires)))
    }

    /// Whom the URL serves that `method`, `path` and `query` (what follows the `?`) of a request
    /// line make. A server that answers HEAD as GET passes `GET` for it.
    ///
    /// # Errors
    /// When it is not one of ours for this method and path, or has expired.
    pub fn verify(
        &self,
        method: &str,
        path: &str,
        query: &str,
        now: Timestamp,
    ) -> Result<Opened, SignedUrlError> {
        check(method, path).map_err(|_| SignedUrlError::Invalid)?;
        let parts = Parts::read(query).ok_or(SignedUrlError::Invalid)?;
        let fits = |key: &Hmac<Sha256>| {
            let message = message(key, method, path, parts.user.as_str(), parts.expires);
            message.verify_slice(&parts.signature).is_ok()
        };
        if !self.keys.iter().any(fits) {
            return Err(SignedUrlError::Invalid);
        }
        let expires_at = instant(parts.expires);
        // A second more: the signer rounds its own clock down, ours may be behind it.
        let latest = now.plus(Self::MAX_LIFE).plus(CLOCK_AHEAD);
        if now >= expires_at || expires_at > latest {
            return Err(SignedUrlError::Expired);
        }
        Ok(Opened::new(parts.user, expires_at))
    }
}

/// How far ahead of ours a signer's clock may be.
const CLOCK_AHEAD: Duration = Duration::from_secs(60);

impl fmt::Debug for SignedUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedUrls")
            .field("secrets", &self.keys.len())
            .finish_non_exhaustive()
    }
}

fn check(method: &str, path: &str) -> Result<(), SignedUrlsError> {
    let is_method = (1..=MAX_METHOD).contains(&method.len())
        && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_method {
        return Err(SignedUrlsError::Method);
    }
    let stands = |byte: u8| byte.is_ascii_graphic() && byte != b'?' && byte != b'#';
    if path.len() > MAX_PATH || !path.starts_with('/') || !path.bytes().all(stands) {
        return Err(SignedUrlsError::Path);
    }
    Ok(())
}

/// Every part with its length before it: no two sets of parts make the same bytes.
fn message(key: &Hmac<Sha256>, method: &str, path: &str, user: &str, expires: u64) -> Hmac<Sha256> {
    let mut mac = key.clone();
    for part in [method, path, user] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.update(&expires.to_be_bytes());
    mac
}

struct Parts {
    expires: u64,
    user: UserId,
    signature: [u8; 32],
}

impl Parts {
    /// Exactly `expires=…&userId=…&signature=…`.
    fn read(query: &str) -> Option<Self> {
        let rest = query.strip_prefix("expires=")?;
        let (expires, rest) = rest.split_once("&userId=")?;
        let (user, signature) = rest.split_once("&signature=")?;
        // Digits as they are written, without a sign or zeros in front.
        let is_number = expires.bytes().all(|byte| byte.is_ascii_digit())
            && !expires.starts_with('0')
            && expires.len() <= 12;
        let is_hex = signature.len() == 64
            && signature
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_number || !is_hex {
            return None;
        }
        let mut bytes = [0; 32];
        const_hex::decode_to_slice(signature, &mut bytes).ok()?;
        Some(Self {
            expires: expires.parse().ok()?,
            user: UserId::parse(user).ok()?,
            signature: bytes,
        })
    }
}

fn instant(seconds: u64) -> Timestamp {
    let millis = i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1000);
    Timestamp::from_millis(millis)
}
