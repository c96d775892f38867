//! What happened in a build.

pub mod log;
pub mod wake;
