//! The words every sheen room shares, and the slices that need no other room.
//!
//! Words: [`id`], [`time`], [`seconds`], [`entropy`], [`runtime`], [`secret`], [`error`],
//! [`token`], [`locale`], [`settings`], [`wire`]. Slices: [`build`], [`idempotency`], [`files`],
//! [`mode`], [`suggest`].
//!
//! With no feature on, nothing here knows an async runtime, a database or HTTP.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod build;
pub mod entropy;
pub mod error;
pub mod files;
pub mod id;
pub mod idempotency;
pub mod locale;
pub mod mode;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
pub mod runtime;
pub mod seconds;
pub mod secret;
pub mod settings;
pub mod suggest;
pub mod time;
pub mod token;
pub mod wire;
