//! The example worker as its users meet it: a process, real HTTP, real signatures.

mod builds;
mod drive;
mod shutdown;
mod starts;
mod streams;
mod support;
