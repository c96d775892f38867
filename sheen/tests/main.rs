//! The worker over memory stores: the admission suite, the runner, and callers that vanish.

mod conformance;
mod runner;
mod support;
mod vanishing;
