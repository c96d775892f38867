//! The work of a build: a folder of files becomes a published site.
//!
//! 1. Every page's local references must lead to a file of the site ([`check`]); a site without
//!    an `index.html` is no site.
//! 2. The files are written into a fresh folder of their own, never elsewhere.
//! 3. A build command, where there is one, runs in that folder without the worker's secrets; its
//!    exit code decides, and a cancel leaves none of its processes behind.
//! 4. A site is published whole, by one rename, or not at all.
//! 5. What its pages lack is recommended ([`lacks`]).

pub mod build;
pub mod check;
pub mod command;
pub mod folder;
pub mod lacks;
mod links;
