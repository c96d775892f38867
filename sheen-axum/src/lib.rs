//! A worker over HTTP: layers, extractors and routers for axum.
//!
//! [`router`] is the whole family behind one `Router`, [`router_with`] beside routes of your own. Each layer is of use alone:
//! [`request_id`], [`timing`], [`mod@panic`], [`signature`], [`signed_url`], [`limit`],
//! [`idempotency`], [`cors`]. With feature `serve`, `serve` is a server for it with bounds on what a
//! connection may cost. [`problem`] is the only place where an error becomes a status.
//!
//! A call passes request id, timing, panic guard, signature, [its user](signature::Caller), limit,
//! key, handler, in this order, which is the order of refusals of wire.md §15.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod call;
pub mod cors;
pub mod idempotency;
pub mod limit;
pub mod panic;
pub mod problem;
mod query;
pub mod request_id;
mod revocation;
mod routes;
#[cfg(feature = "serve")]
pub mod serve;
pub mod signature;
pub mod signed_url;
pub mod timing;
mod vary;

pub use routes::{App, WiringError, router, router_with};
