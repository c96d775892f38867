//! The example worker behind and before programs that a machine may not have: nginx, Chromium.
//! `cargo xtask prove nginx browser` installs and runs them; `cargo test` alone does not.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod browser;
#[path = "../it/cutter.rs"]
mod cutter;
mod guarded;
mod nginx;
mod steps;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "the ordinary tests need more of it")]
mod support;
mod webdriver;
