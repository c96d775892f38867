//! The log: events of a build, numbered without gaps (wire.md §7).
//!
//! 1. A build has one stream. Its visible events are numbered 1, 2, 3 … in commit order, so that
//!    a reader needs one number to go on from where it was.
//! 2. Only the writer whose token was raised last may append: a late worker cannot write.
//! 3. An append is all or nothing, and one with a key can be repeated after a lost answer.
//! 4. What was read stays: `epoch` tells a reader when a log was made anew.
//!
//! The contract any log keeps is on [`EventLog`]; [`MemoryEventLog`] keeps it in memory, and with the
//! feature `postgres` `PgEventLog` does in PostgreSQL.
//!
//! ```
//! use std::sync::Arc;
//! use serde_json::json;
//! use sheen_core::{entropy::OsEntropy, id::{BuildId, BuildSessionId, UserId}};
//! use sheen_core::{time::SystemClock, token::FencingToken};
//! use sheen_events::log::{Append, AppendOutcome, EventLog, EventType, MemoryEventLog};
//! use sheen_events::log::{MemoryLogConfig, NewEvent, NewStream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = MemoryEventLog::new(
//!     Arc::new(SystemClock::new()),
//!     Arc::new(OsEntropy),
//!     MemoryLogConfig::default(),
//! );
//! let build = BuildId::parse("bld_1")?;
//! let session = BuildSessionId::parse("bs_1")?;
//! log.open(NewStream::new(build.clone(), UserId::parse("ann")?, session)).await?;
//!
//! let data = json!({"message": "Writing the pages"});
//! let event = NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap())?;
//! let append = Append::new(build.clone(), FencingToken::ZERO, vec![event]).with_key("step 1");
//! let outcome = log.append(append.clone()).await?;
//! assert!(matches!(outcome, AppendOutcome::Appended(events) if events[0].seq == 1));
//! // The answer was lost on the way? Ask again: nothing is written twice.
//! assert!(matches!(log.append(append.clone()).await?, AppendOutcome::Duplicate(_)));
//!
//! // Another process claims the build; from now on the first one writes nothing.
//! log.raise(&build, FencingToken::ZERO.next()).await?;
//! let late = append.with_key("step 2");
//! assert_eq!(log.append(late).await?, AppendOutcome::Fenced);
//!
//! let page = log.read(&build, 0, 50).await?.unwrap();
//! assert_eq!((page.events.len(), page.stream.head), (1, 1));
//! # Ok(())
//! # }
//! ```

mod audit;
#[cfg(feature = "conformance")]
#[doc(hidden)]
pub mod conformance;
#[cfg(feature = "conformance")]
mod conformance_random;
mod decide;
mod encode;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use audit::{AuditLog, AuditPage, AuditPlace};
pub use decide::{AppendDecision, StreamPosition};
pub use encode::{encode_event, encode_row};
pub use memory::{LogState, MemoryEventLog, MemoryLogConfig};
#[cfg(feature = "postgres")]
pub use postgres::PgEventLog;
pub use store::EventLog;
pub use types::*;
