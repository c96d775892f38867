//! The worker side of an AI app builder: who may call, one build at a time, paid from credits that
//! can neither be spent twice nor lost, with every step readable live and afterwards.
//!
//! [`worker`] has the steps, [`admission`] their atomic form across rooms, [`builder`] what a
//! service supplies, and [`runner`] the loop that drives it.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod admission;
pub mod builder;
pub mod memory;
pub mod runner;
mod stop;
pub mod worker;
