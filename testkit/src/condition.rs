//! Waiting for what another process or task will do.

use std::future::Future;
use std::time::Duration;

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(10);
/// After how many looks (about a minute) a test gives up. Never a measure of speed.
const LOOKS: u32 = 6_000;

/// Looks at `condition` until it holds.
///
/// # Panics
/// When it does not hold after about a minute; `what` says what was waited for.
#[expect(
    clippy::disallowed_methods,
    reason = "no event tells of another process's end"
)]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if condition() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("waited in vain: {what}");
}

/// Looks at `condition` until it holds; other tasks run meanwhile.
///
/// # Panics
/// When it does not hold after about a minute; `what` says what was waited for.
pub async fn until_async<F>(what: &str, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    for _ in 0..LOOKS {
        if condition().await {
            return;
        }
        pause().await;
    }
    panic!("waited in vain: {what}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "no event tells of another session's lock wait"
)]
async fn pause() {
    tokio::time::sleep(PAUSE).await;
}
