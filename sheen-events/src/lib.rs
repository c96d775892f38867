#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod feed;
pub mod log;
pub mod stream;
pub mod wake;
