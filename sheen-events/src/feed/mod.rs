//! The feed: a build's events in pages, for readers who ask again and again (wire.md §7).
//!
//! 1. A page has at most 50 events, those of the build's user only; to all others the build does
//!    not exist, and that is judged before a cursor or a tag is looked at.
//! 2. The cursor is opaque. A changed one, another build's, one of a log made anew or one ahead of
//!    it is invalid; an instant is read as «after this».
//! 3. The tag is bound to the viewer and to all the page is made of but `nextPollMs`; a tag that
//!    fits gets «not modified», and the closing of a stream changes it.
//! 4. [`Feed::remembering`] reads the log for news only: how a stream stands is believed until a
//!    wake-up, 15 s at most, and 2 s where wake-ups may be lost.
//! 5. The next poll is in 4 s after news; after none ×1.5, at least 3 s, at most 15 s.
//!
//! ```
//! use std::sync::Arc;
//! use serde_json::json;
//! use sheen_core::{entropy::OsEntropy, id::{BuildId, BuildSessionId, UserId}};
//! use sheen_core::{time::SystemClock, token::FencingToken};
//! use sheen_events::feed::{Feed, PollOutcome, PollRequest};
//! use sheen_events::log::{Append, EventLog, EventType, MemoryEventLog, NewEvent, NewStream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log: Arc<dyn EventLog> = Arc::new(MemoryEventLog::new(
//!     Arc::new(SystemClock::new()),
//!     Arc::new(OsEntropy),
//!     Default::default(),
//! ));
//! let (ann, build) = (UserId::parse("ann")?, BuildId::parse("bld_1")?);
//! log.open(NewStream::new(build.clone(), ann.clone(), BuildSessionId::parse("bs_1")?)).await?;
//! let data = json!({"message": "Writing the pages"});
//! let event = NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap())?;
//! log.append(Append::new(build.clone(), FencingToken::ZERO, vec![event])).await?;
//!
//! let feed = Feed::new(log);
//! let PollOutcome::Page(page) = feed.poll(&ann, &build, PollRequest::new()).await? else {
//!     panic!("it is her build");
//! };
//! assert_eq!((page.events.len(), page.next_poll_ms), (1, 4000));
//!
//! // She has it all; asked again with its tag, the page that follows is not sent.
//! let mut next = PollRequest::new();
//! next.cursor = Some(&page.cursor);
//! let PollOutcome::Page(empty) = feed.poll(&ann, &build, next).await? else { panic!() };
//! next.if_none_match = Some(&empty.etag);
//! let again = feed.poll(&ann, &build, next).await?;
//! assert!(matches!(again, PollOutcome::NotModified { next_poll_ms: 6000, .. }));
//!
//! // Nobody else can tell that the build exists.
//! let bob = UserId::parse("bob")?;
//! assert_eq!(feed.poll(&bob, &build, next).await?, PollOutcome::NotFound);
//! # Ok(())
//! # }
//! ```

mod cursor;
mod decide;
mod etag;
mod heads;
#[cfg(test)]
mod heads_tests;
mod seek;
mod service;
#[cfg(test)]
mod tests;
mod types;

pub use cursor::{Cursor, CursorError, Position};
pub use decide::next_interval;
pub use etag::if_none_match;
pub use heads::FeedConfig;
pub(crate) use seek::seq_at;
pub use service::Feed;
pub(crate) use types::number;
pub use types::{PageLimit, PollOutcome, PollPage, PollRequest, Shape};
