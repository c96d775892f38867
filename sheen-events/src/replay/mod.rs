//! Replay: a build's log from a seq on, whole, as lines of JSON or as one array (wire.md §7).
//!
//! 1. What follows is the log as it stood when the replay was opened: up to its head then, or up to
//!    the seq that was asked for. So a replay ends, and a closed build's is the same each time.
//! 2. The build's user gets the visible events; to all others the build does not exist. Operators
//!    get all, in commit order, through [`Replay::open_all`], which wants another trait of the log.
//! 3. It is read page by page as it is taken: a slow reader holds one page and no more.
//! 4. What retention took before is told in [`ReplayHead::floor`]. What it takes meanwhile, a log made
//!    anew and a failing store end the body with an error: no reader takes a part for the whole.
//! 5. It writes nothing.
//!
//! There are no HTTP types here: [`ReplayBody`] is a `futures_core::Stream` of bytes.
//!
//! ```
//! use std::sync::Arc;
//! use futures_util::TryStreamExt;
//! use serde_json::json;
//! use sheen_core::{entropy::OsEntropy, id::{BuildId, BuildSessionId, UserId}};
//! use sheen_core::{time::SystemClock, token::FencingToken};
//! use sheen_events::log::{Append, EventLog, EventType, MemoryEventLog, NewEvent, NewStream};
//! use sheen_events::replay::{Replay, ReplayOutcome, ReplayRequest};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = Arc::new(MemoryEventLog::new(
//!     Arc::new(SystemClock::new()),
//!     Arc::new(OsEntropy),
//!     Default::default(),
//! ));
//! let (ann, build) = (UserId::parse("ann")?, BuildId::parse("bld_1")?);
//! log.open(NewStream::new(build.clone(), ann.clone(), BuildSessionId::parse("bs_1")?)).await?;
//! for message in ["Writing the pages", "Checking the links"] {
//!     let data = json!({"message": message});
//!     let event = NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap())?;
//!     log.append(Append::new(build.clone(), FencingToken::ZERO, vec![event])).await?;
//! }
//!
//! let replay = Replay::new(log);
//! let ReplayOutcome::Replay(head, body) = replay.open(&ann, &build, ReplayRequest::from(2)).await?
//! else {
//!     panic!("it is her build");
//! };
//! assert_eq!((head.from, head.to, head.floor), (2, 2, 0));
//! let lines = body.try_collect::<Vec<_>>().await?.concat();
//! assert!(lines.starts_with(br#"{"id":"2","seq":2,"#) && lines.ends_with(b"}\n"));
//!
//! // Nobody else can tell that the build exists.
//! let bob = UserId::parse("bob")?;
//! let refused = replay.open(&bob, &build, ReplayRequest::from(1)).await?;
//! assert!(matches!(refused, ReplayOutcome::NotFound));
//! # Ok(())
//! # }
//! ```

mod body;
mod decide;
mod service;
#[cfg(test)]
mod tests;
mod types;

pub use body::ReplayBody;
pub use service::Replay;
pub use types::{ReplayError, ReplayFormat, ReplayHead, ReplayOutcome, ReplayRequest};
