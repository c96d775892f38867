//! The example worker as its users meet it: a process, real HTTP, real signatures.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod builds;
mod credits;
mod cutter;
mod drive;
mod interop;
mod multi_process;
mod old_readers;
mod operator;
mod pollers;
mod retain;
mod shutdown;
mod starts;
mod streams;
mod support;
mod talk;
mod workers;
