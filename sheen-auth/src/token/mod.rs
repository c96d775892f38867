//! Viewer tokens: a browser may watch one build for ten minutes, and nothing else (wire.md §2).
//!
//! 1. A token is a JWT, HS256 only: `{"sub", "buildId", "scope": "build:events", "iat", "exp"}`.
//! 2. The signature is checked first, over the text as sent; nothing is read from a token that is
//!    not ours. The algorithm is never the token's choice.
//! 3. One accepted encoding per token: base64url without padding, trailing bits zero; a member
//!    given twice is refused.
//! 4. `exp` and `iat` are mandatory whole seconds. The verifier caps the life at ten minutes
//!    itself; at `now == exp` the token has expired.
//! 5. Several secrets verify, the first one signs.
//! 6. [`revocation`] takes a user's tokens back before they expire; whoever verifies asks it too.
//!
//! ```
//! use std::time::Duration;
//! use sheen_auth::token::{TokenError, ViewerTokens, derive_secret};
//! use sheen_core::{id::{BuildId, UserId}, secret::Secret, time::{Clock, SystemClock}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shared = Secret::new("correct-horse-battery-staple-32-bytes-min")?;
//! let tokens = ViewerTokens::new(vec![derive_secret(&shared, "viewer-token")])?;
//!
//! let now = SystemClock::new().now();
//! let (user, build) = (UserId::parse("u_1")?, BuildId::parse("b_1")?);
//! let (token, expires_at) = tokens.issue(&user, &build, now, Duration::from_secs(600));
//!
//! let viewer = tokens.verify(token.expose(), now)?;
//! assert_eq!(viewer.user, user);
//! assert!(viewer.may_watch(&build).is_ok());
//! assert_eq!(viewer.may_watch(&BuildId::parse("b_2")?), Err(TokenError::Scope));
//! assert_eq!(tokens.verify(token.expose(), expires_at), Err(TokenError::Expired));
//! # Ok(())
//! # }
//! ```

mod decide;
mod jws;
pub mod revocation;
#[cfg(test)]
mod tests;
mod types;

pub use decide::{ViewerTokens, derive_secret};
pub use types::{TokenError, Viewer, ViewerToken, ViewerTokensError};
