//! Events of builds: a log, a feed to poll, a stream to follow, and what wakes their readers.
//!
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod feed;
pub mod log;
pub mod message;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod reader;
pub mod recommend;
pub mod replay;
pub mod retention;
mod sealed;
pub mod stream;
pub mod timing;
pub mod wake;
