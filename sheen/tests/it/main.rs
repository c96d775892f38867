//! The worker over memory stores: the admission suite, the runner, and callers that vanish.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod conformance;
mod faults;
mod full;
mod lossy;
mod recommending;
mod runner;
mod support;
mod vanishing;
