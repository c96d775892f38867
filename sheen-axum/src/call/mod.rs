//! Who a call is for and what it says, found out before its handler runs (wire.md §§2, 15).
//!
//! 1. The user stands once, in query, path or body (`userId`), or is the one whose reservation the
//!    call names; two different ones are refused. `X-User-ID` is never read.
//! 2. Under a signature that covers neither path nor query only the body's `userId` counts.
//! 3. A wrong user is told together with every other wrong field: all at once.
//! 4. A body is `application/json`, UTF-8, one object; none at all is an empty one. A key that
//!    stands twice, at any depth, is refused.

mod body;
mod extract;
mod json;
mod prepare;
mod user;

pub(crate) use extract::Call;
pub(crate) use prepare::{Preparing, UserRule, prepare};
