//! The stream: a build's events as they happen, as `text/event-stream`, server side (wire.md §7).
//!
//! 1. The log is the only way to a viewer; a wake-up only says «look», and a viewer also looks by
//!    itself every 5 s at the latest. Each seq comes once, in order.
//! 2. First comes `connection`, at once; after what had happened by then `caught_up`, once; after
//!    the last event of a closed build `closed`, and the end.
//! 3. A reader resumes after the seq it has. What retention took is said (`gap`); a seq that is
//!    not of this log makes it all begin again (`reset`).
//! 4. At the token's end comes `token_expired` with the cursor, and no frame after it.
//! 5. A comment every 15 s when idle, also beside a slow read.
//! 6. A viewer holds one page of events at most, whatever the backlog. A full service refuses the
//!    next viewer and drops none; only the place of a stream that should have ended a minute ago,
//!    and whose reader takes nothing, is given to another.
//! 7. The viewers of a build share what is read of its log: a frame is encoded once, and a wake-up
//!    is one read, however many they are; wake-ups that come faster share one.
//! 8. A stream ends after about 30 minutes, to be opened again; those opened together, apart.
//! 9. A shutdown ends a stream after what the log has by then, or after 2 s.
//!
//! There are no HTTP types here: [`EventStream`] is a `futures_core::Stream` of bytes, and an
//! [`Abort`] as its last item asks for a connection closed without its final chunk. It comes
//! [`StreamConfig::abort_delay`] after the last frame, so that the frame is on the line by then.
//!
//! ```
//! use std::sync::Arc;
//! use futures_util::StreamExt;
//! use serde_json::json;
//! use sheen_core::{entropy::OsEntropy, id::{BuildId, BuildSessionId, UserId}};
//! use sheen_core::{runtime::TokioRuntime, time::SystemClock, token::FencingToken};
//! use sheen_events::log::{Append, EventLog, EventType, MemoryEventLog, NewEvent, NewStream};
//! use sheen_events::stream::{Ended, OpenOutcome, Resume, StreamRequest, StreamService};
//! use sheen_events::wake::{MemoryWake, Wake};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(SystemClock::new());
//! let log: Arc<dyn EventLog> = Arc::new(MemoryEventLog::new(
//!     clock.clone(),
//!     Arc::new(OsEntropy),
//!     Default::default(),
//! ));
//! let wake = Arc::new(MemoryWake::new());
//! let sleep = Arc::new(TokioRuntime);
//! let streams =
//!     StreamService::new(log.clone(), wake.clone(), sleep, clock, Default::default());
//!
//! let (ann, build) = (UserId::parse("ann")?, BuildId::parse("bld_1")?);
//! log.open(NewStream::new(build.clone(), ann.clone(), BuildSessionId::parse("bs_1")?)).await?;
//! let request = StreamRequest::new(ann, build.clone());
//! let OpenOutcome::Open(mut stream) = streams.open(request.clone()).await? else {
//!     panic!("it is her build");
//! };
//! let first = stream.next().await.unwrap()?;
//! assert!(first.starts_with(b"event: connection\ndata: {\"type\":\"connection\""));
//!
//! // An event is appended, committed, and then rung for.
//! let data = json!({"message": "Writing the pages"});
//! let event = NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap())?;
//! log.append(Append::new(build.clone(), FencingToken::ZERO, vec![event])).await?;
//! wake.ring(&build);
//! let frame = stream.next().await.unwrap()?;
//! assert!(frame.starts_with(b"id: 1\nevent: build_log\ndata: {\"id\":\"1\",\"seq\":1,"));
//!
//! // The connection breaks; she comes back with what she has, and the build ends.
//! drop(stream);
//! log.close(&build).await?;
//! let resume = Resume::from_request(Some("1"), None, None);
//! let OpenOutcome::Open(mut stream) = streams.open(request.resume(resume)).await? else {
//!     panic!("it is her build");
//! };
//! while stream.next().await.is_some() {}
//! assert_eq!((stream.ended(), streams.active()), (Some(Ended::Closed), 0));
//! # Ok(())
//! # }
//! ```

mod body;
mod encode;
mod places;
mod resume;
mod service;
mod shelf;
mod tail;
#[cfg(test)]
mod tests;
mod types;
mod viewer;

pub use body::EventStream;
pub use encode::{encode_frame, retry_frame};
pub use resume::{Resume, Resumed};
pub use service::StreamService;
pub use types::{Abort, Ended, OpenOutcome, StreamConfig, StreamRequest};
