//! The family behind one router.

mod answer;
mod app;
mod billing;
mod builds;
mod credits;
mod estimates;
mod events;
mod refusals;
mod start;
mod suggestions;

pub use app::{App, router, router_with};
