//! URLs that open one thing for one person until they expire (wire.md §12).
//!
//! 1. A signature is bound to method, path, user and expiry: HMAC-SHA256 over these with the length
//!    of each before it, under a key derived for this use alone. No other signature of the family
//!    fits, and no two sets of parts sign alike.
//! 2. The path is signed as on the request line, never decoded. The query is exactly what
//!    [`SignedUrls::sign`] wrote, in one spelling: anything more, less or otherwise is refused.
//! 3. The signature is checked first, in constant time; expiry afterwards. At `now == expires` it
//!    has expired. The verifier caps the life itself.
//! 4. Several secrets verify, the first one signs.
//! 5. A client keeps a download's URL until an hour before its end ([`SignedUrl::is_reusable`]).
//!
//! ```
//! use sheen_auth::signed_url::{SignedUrlError, SignedUrls};
//! use sheen_core::{id::UserId, secret::Secret, time::{Clock, SystemClock}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shared = Secret::new("correct-horse-battery-staple-32-bytes-min")?;
//! let urls = SignedUrls::new(&[&shared])?;
//! let now = SystemClock::new().now();
//! let user = UserId::parse("u_1")?;
//!
//! let url = urls.sign("GET", "/v1/artifacts/v_1.zip", &user, now, SignedUrls::DOWNLOAD_LIFE)?;
//! let (path, query) = url.expose().split_once('?').ok_or("a query")?;
//!
//! let opened = urls.verify("GET", path, query, now)?;
//! assert_eq!(opened.user, user);
//! let other = urls.verify("GET", "/v1/artifacts/v_2.zip", query, now);
//! assert_eq!(other, Err(SignedUrlError::Invalid));
//! let later = urls.verify("GET", path, query, url.expires_at());
//! assert_eq!(later, Err(SignedUrlError::Expired));
//! # Ok(())
//! # }
//! ```

mod decide;
#[cfg(test)]
mod tests;
mod types;

pub use decide::SignedUrls;
pub use types::{Opened, SignedUrl, SignedUrlError, SignedUrlsError};
