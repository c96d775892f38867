//! Programs that show the family at work, and what they share.
//!
//! The programs are `worker` (the family as a server), `drive` (a caller that follows a build),
//! `sign` (the headers of one call), `retain` and `revoke` (for its operator), `multi_process` (stores that processes share) and
//! `custom_store` (a store of one's own). This library is for them alone and is not published.

pub mod bar;
pub mod call;
pub mod crew;
pub mod follow;
pub mod preview;
pub mod quote;
pub mod rollout;
pub mod secret;
pub mod settings;
pub mod site;

/// Begins the names of the keys of Redis under which the worker keeps whose viewer tokens were taken
/// back.
pub const REVOKED: &str = "sheen:revoked:";

/// Tells an error and what led to it, each on a line of its own, on standard error.
pub fn report(error: &(dyn std::error::Error + 'static)) {
    use std::io::Write;
    let mut text = format!("error: {error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!("  because {error}\n");
        cause = error.source();
    }
    // Nobody is left to be told when standard error is closed.
    let _closed = std::io::stderr().write_all(text.as_bytes());
}
