//! Only signed calls get in (wire.md §§1, 2).
//!
//! 1. The body is taken whole, up to a limit; what is verified is what is served. Above the limit
//!    the call is refused, after the rest was read and dropped. So is a call whose signature has
//!    not the form of one, with none of its body kept.
//! 2. A signature header given twice, or not text, is refused.
//! 3. Method, path and query count as on the request line, also inside a nested router.
//! 4. A viewer token counts only where the layer was told so, and from one place of the request.
//! 5. Who called is in the request's extensions as [`Caller`], the body as [`BufferedBody`].
//! 6. A viewer token that was taken back is none, where the layer was told who knows
//!    ([`Viewers::revoked_by`]).
//! 7. A source that fails too often waits, where the layer was told so ([`FailureLimit`]).
//! 8. What bodies hold in all before their callers are known, and how long one may take, is bounded
//!    where the layer was told so ([`Intake`]).
//! 9. Of HTTP/1 only targets in origin form are taken: what else stands on the line is not signed.
//! 10. A signature decides where one is there, whatever token stands beside it.
//! 11. An answer to a v1 call of a key on its way to v2 carries `Deprecation` (RFC 9745) and, where
//!     set, `Sunset` ([`Deprecation`]).
//!
//! ```
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use axum::{Extension, Router, body::Body, routing::post};
//! use sheen_auth::replay::MemoryReplayStore;
//! use sheen_auth::signature::{Gate, KeyRing, Mode, Signer, SigningKey, Verifier};
//! use sheen_axum::signature::{Caller, SignatureLayer};
//! use sheen_core::entropy::OsEntropy;
//! use sheen_core::id::{KeyId, PrincipalId};
//! use sheen_core::secret::Secret;
//! use sheen_core::time::{Clock, SystemClock};
//! use tower::ServiceExt;
//!
//! let key = || -> Result<_, Box<dyn std::error::Error>> {
//!     let secret = Secret::new("a secret of at least thirty-two bytes")?;
//!     Ok(SigningKey::new(KeyId::parse("k1")?, PrincipalId::parse("web")?, secret))
//! };
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
//! let verifier = Verifier::new(KeyRing::new(vec![key()?])?, Mode::EnforceV2);
//! let replay = Arc::new(MemoryReplayStore::new(clock.clone(), 1000));
//! let gate = Arc::new(Gate::new(verifier, replay, clock.clone()));
//! let who = |Extension(caller): Extension<Caller>| async move {
//!     caller.principal().map_or_else(String::new, ToString::to_string)
//! };
//! let app = Router::new().route("/who", post(who)).layer(SignatureLayer::new(gate));
//!
//! let signed = Signer::new(key()?).sign("POST", "/who", None, b"", clock.now(), &OsEntropy)?;
//! let mut call = http::Request::post("/who");
//! for (name, value) in signed.iter() {
//!     call = call.header(name, value);
//! }
//! let answer = app.clone().oneshot(call.body(Body::empty())?).await?;
//! assert_eq!(answer.status(), 200);
//! let unsigned = http::Request::post("/who").body(Body::empty())?;
//! assert_eq!(app.oneshot(unsigned).await?.status(), 401);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(demo()).unwrap();
//! ```

pub(crate) mod body;
mod caller;
mod deprecation;
mod failures;
mod headers;
mod intake;
mod layer;
mod metrics;
mod token;

pub use body::{BODY_LIMIT, START_BODY_LIMIT};
pub use caller::{BufferedBody, Caller, TokenPlace};
pub use deprecation::{Deprecation, DeprecationError, V1_DEPRECATED_SINCE};
pub use failures::FailureLimit;
pub use intake::Intake;
pub use layer::{SignatureLayer, SignatureService};
pub use metrics::{SignatureMetrics, record_readiness};
pub use token::Viewers;

use axum::extract::OriginalUri;
use http::{Extensions, Uri};

/// The request line's target: `uri`, unless a nested router cut a prefix off.
pub(crate) fn original_uri<'a>(extensions: &'a Extensions, uri: &'a Uri) -> &'a Uri {
    extensions
        .get::<OriginalUri>()
        .map_or(uri, |original| &original.0)
}
