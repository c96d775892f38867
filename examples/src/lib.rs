//! Programs that show the family at work, and what they share.
//!
//! The programs are `worker` (the family as a server), `drive` (a caller that follows a build)
//! and `sign` (the headers of one call). This library is for them alone and is not published.

pub mod preview;
pub mod settings;
pub mod site;
pub mod sse;
