//! Only signed calls get in (wire.md §§1, 2).
//!
//! 1. The body is taken whole, up to a limit; what is verified is what is served. Above the limit
//!    the call is refused, after the rest was read and dropped.
//! 2. A signature header given twice, or not text, is refused.
//! 3. Method, path and query count as on the request line, also inside a nested router.
//! 4. A viewer token counts only where the layer was told so, and from one place of the request.
//! 5. Who called is in the request's extensions as [`Caller`], the body as [`BufferedBody`].
//! 6. An answer to a v1 call of a key on its way to v2 carries `Deprecation` (RFC 9745).

pub(crate) mod body;
mod caller;
mod headers;
mod layer;
mod token;

pub use body::{BODY_LIMIT, START_BODY_LIMIT};
pub use caller::{BufferedBody, Caller, TokenPlace};
pub use layer::{SignatureLayer, SignatureService, V1_DEPRECATED_SINCE};

use axum::extract::OriginalUri;
use http::{Extensions, Uri};

/// The request line's target: `uri`, unless a nested router cut a prefix off.
pub(crate) fn original_uri<'a>(extensions: &'a Extensions, uri: &'a Uri) -> &'a Uri {
    extensions
        .get::<OriginalUri>()
        .map_or(uri, |original| &original.0)
}
