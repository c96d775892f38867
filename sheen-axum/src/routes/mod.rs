//! The family behind one router.

mod answer;
mod app;
mod batch;
mod billing;
mod builds;
mod credits;
mod estimates;
mod events;
mod messages;
mod recommendations;
mod refusals;
mod replay;
mod start;
mod suggestions;
mod timings;

pub use app::{App, WiringError, router, router_with};
