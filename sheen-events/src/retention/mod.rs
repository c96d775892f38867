//! Retention: events are kept for 45 days, then counted and removed (wire.md §7).
//!
//! 1. What goes is counted per day, type and status in the step that removes it: killed at any
//!    point, counts and kept events together are what was written.
//! 2. It goes by whole days, the oldest first, in batches. Nothing of a run is remembered between
//!    two batches: the next run goes on.
//! 3. A run that would take over half of all events removes none, unless it is told to.
//! 4. The floor of each log is stored, so that readers are told of what is gone when nothing is left.
//! 5. Conversations are kept; the log of chats for support has a time of its own
//!    ([`expire_all`](crate::message::support::expire_all)).
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use serde_json::json;
//! use sheen_core::{entropy::OsEntropy, id::{BuildId, BuildSessionId, UserId}};
//! use sheen_core::{time::ManualClock, time::Timestamp, token::FencingToken};
//! use sheen_events::log::{Append, EventLog, EventType, MemoryEventLog, NewEvent, NewStream};
//! use sheen_events::retention::{MemoryRetention, Retention, RetentionConfig, RetentionOutcome};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(ManualClock::at(Timestamp::parse_rfc3339("2026-01-01T00:00:00Z")?));
//! let log = MemoryEventLog::new(clock.clone(), Arc::new(OsEntropy), Default::default());
//! let log = Arc::new(log);
//! let build = BuildId::parse("bld_1")?;
//! let session = BuildSessionId::parse("bs_1")?;
//! log.open(NewStream::new(build.clone(), UserId::parse("ann")?, session)).await?;
//! let data = json!({"message": "Writing the pages"});
//! let event = NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap())?;
//! log.append(Append::new(build.clone(), FencingToken::ZERO, vec![event])).await?;
//!
//! clock.advance(Duration::from_secs(60 * 86_400));
//! let store = Arc::new(MemoryRetention::new(log.clone(), clock));
//! let mut config = RetentionConfig::default();
//! let refused = Retention::new(store.clone(), config).run(|_| ()).await?;
//! assert_eq!(refused, RetentionOutcome::OverHalf { due: 1, total: 1 });
//!
//! config.allow_over_half = true;
//! let retention = Retention::new(store, config);
//! let outcome = retention.run(|progress| {
//!     println!("{} of {}", progress.removed, progress.due);
//! });
//! assert_eq!(outcome.await?, RetentionOutcome::Done { removed: 1 });
//! // A reader is told that something was there.
//! let page = log.read(&build, 0, 50).await?.unwrap();
//! assert_eq!((page.events.len(), page.stream.head, page.stream.floor), (0, 1, 1));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "conformance")]
#[doc(hidden)]
pub mod conformance;
mod decide;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use memory::MemoryRetention;
#[cfg(feature = "postgres")]
pub use postgres::PgRetention;
pub use service::Retention;
pub use store::RetentionStore;
pub use types::{
    DailyCount, DayCount, MIN_AGE, Progress, RETENTION, Removal, RetentionConfig, RetentionOutcome,
    Survey,
};
