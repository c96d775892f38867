//! How often a call may be made (wire.md §11).
//!
//! 1. The layer stands behind the signature and behind whatever puts a [`LimitedBy`] into the
//!    request, and before the idempotency key: a forged call takes nothing of the user it names,
//!    and a repeat counts like any call. [`LimitLayer::behind`] makes both, in this order; alone there
//!    are only limits that count addresses.
//! 2. Every answer of a limited route says where its caller stands: `x-ratelimit-limit`,
//!    `-remaining`, `-reset`, and the IETF's `RateLimit-Policy` and `RateLimit`. A 401 says nothing.
//! 3. A refused call is 429 `RATE_LIMITED` with `Retry-After`. It took nothing.
//! 4. Client addresses are read through trusted hops, or not at all.
//! 5. When the store fails the call passes without figures or is 503, as the
//!    [`Limiter`](sheen_auth::limit::Limiter) was told; each failure is logged.
//! 6. What would count everybody as one is refused when it is made ([`LimitError`]).
//!
//! ```
//! # fn demo(door: sheen_axum::signature::SignatureLayer, limits: std::sync::Arc<sheen_axum::limit::Limits>)
//! #     -> Result<axum::Router, sheen_axum::limit::LimitError> {
//! use axum::{Router, routing::get};
//! use sheen_auth::limit::RouteClass;
//! use sheen_axum::limit::{LimitError, LimitLayer};
//!
//! // A limit of users in front of what tells users apart is none.
//! let blind = LimitLayer::new(limits.clone(), RouteClass::Named);
//! assert_eq!(blind.unwrap_err(), LimitError::NoCaller("user"));
//! let routes = Router::new().route("/mine", get(async || "yours"));
//! Ok(routes.route_layer(LimitLayer::behind(door, limits, RouteClass::Named)?))
//! # }
//! ```

mod layer;
mod rules;

pub use layer::{Identifies, LimitError, LimitLayer, LimitService, LimitedBy};
pub use rules::{
    Limits, RATELIMIT, RATELIMIT_POLICY, X_FORWARDED_FOR, X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING,
    X_RATELIMIT_RESET,
};
pub(crate) use rules::{client_network, log_failure};
