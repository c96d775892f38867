//! A call repeated with the same `Idempotency-Key` happens once (wire.md §4).
//!
//! 1. The key counts on POST, PUT and PATCH, within principal and user ([`Owner`]); without a key
//!    the call runs as always. A key that is not one, or that is given twice, is refused.
//! 2. The first call runs under a lease in a task of its own: a caller that hangs up does not cut
//!    the effect from its record.
//! 3. A repeat gets the stored status, allowed headers and exact bytes, `Idempotency-Replayed: true`
//!    and `x-original-request-id`; while the first runs it is told to come again, or waits as long
//!    as `Prefer: wait=N` says, at most 10 s; another call under the key is refused.
//! 4. Only 2xx answers are stored, and of those not the ones that say so ([`Whole::unkept`]). A refusal, an error and a panic free the key: the same call may
//!    be made again. So does a time limit inside the layer, which is a refusal; one outside of it
//!    is a caller that hung up.
//! 5. Routes are registered with [`post`], [`put`] and [`patch`], which take handlers whose answers
//!    can be kept, by type ([`Whole`]). Around a route registered otherwise a 2xx answer that cannot
//!    be kept exactly (a stream, trailers, a body over the bound, a kept header that is no text) is
//!    passed on as it is and logged as an error; nothing of it is stored. The call was done, so its
//!    key is not freed; its lease lapses.
//! 6. A store that fails refuses the call before it runs.
//!
//! It stands inside the [signature layer](crate::signature), which has the body, and behind
//! whatever puts an [`Owner`] into the request. A keyed call with a body that came another way is
//! refused (500): its repeats could not be told from other calls.
//!
//! ```
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use axum::{Extension, Router, body::Body, routing::post};
//! use sheen_axum::idempotency::{IdempotencyLayer, Owner};
//! use sheen_core::id::{PrincipalId, UserId};
//! use sheen_core::idempotency::{MemoryIdempotencyStore, Scope};
//! use sheen_core::runtime::TokioRuntime;
//! use sheen_core::time::SystemClock;
//! use tower::ServiceExt;
//!
//! let clock = Arc::new(SystemClock::new());
//! let store = Arc::new(MemoryIdempotencyStore::new(clock, Default::default(), 1000));
//! let runtime = Arc::new(TokioRuntime);
//! // A service finds out whose keys they are; here everything is one user's.
//! let owner = Owner::Scope(Scope::new(PrincipalId::parse("web")?, UserId::parse("u1")?));
//! let app = Router::new()
//!     .route("/orders", post(|| async { (http::StatusCode::CREATED, "order 1") }))
//!     .layer(IdempotencyLayer::new(store, runtime.clone(), runtime))
//!     .layer(Extension(owner));
//!
//! let call = || http::Request::post("/orders").header("idempotency-key", "k1").body(Body::empty());
//! assert_eq!(app.clone().oneshot(call()?).await?.status(), 201);
//! let again = app.oneshot(call()?).await?;
//! assert_eq!((again.status().as_u16(), &again.headers()["idempotency-replayed"]), (201, &"true".parse()?));
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(demo()).unwrap();
//! ```

mod keyed;
mod layer;
mod patience;
mod run;
mod whole;

pub use keyed::{IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, X_ORIGINAL_REQUEST_ID};
pub(crate) use keyed::{answer_from, fingerprint_of, in_progress, key_of, replayed, reused};
pub use layer::{IdempotencyLayer, IdempotencyService, Owner};
pub(crate) use patience::Patience;
pub use whole::{AnswersWhole, Whole, patch, post, put};
