//! A small log of chats for those who help users (wire.md §12): who said what, in the course of
//! which build, and which call it followed from.
//!
//! 1. An entry holds the beginning of a text, 2 KiB at the most; the conversation has the whole.
//! 2. There are three look-ups: a [user's](Lookup::User) activity, a [build's](Lookup::Build)
//!    context, and a [correlation id](Lookup::Correlation).
//! 3. Entries are kept for 30 days, then removed in bounded batches.
//! 4. It is for operators: nothing here asks who looks.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_core::{id::{BuildId, MessageId, UserId}, time::SystemClock};
//! use sheen_events::message::support::{ChatKind, ChatLog, CorrelationId, Excerpt, Lookup};
//! use sheen_events::message::support::{MemoryChatLog, NewChatEntry};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = MemoryChatLog::new(Arc::new(SystemClock::new()), 100_000);
//! let correlation = CorrelationId::parse("req_7d1e")?;
//! let entry = NewChatEntry::new(
//!     MessageId::parse("msg_1")?,
//!     UserId::parse("ann")?,
//!     correlation.clone(),
//!     ChatKind::Asked,
//!     Excerpt::of("Why is my booking page empty?"),
//! );
//! let build = BuildId::parse("bld_1")?;
//! log.record(entry.during(build.clone())).await?;
//!
//! let of_the_build = log.find(&Lookup::Build(build), None, 50).await?;
//! let of_the_call = log.find(&Lookup::Correlation(correlation), None, 50).await?;
//! assert_eq!(of_the_build, of_the_call);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "conformance")]
#[doc(hidden)]
pub mod conformance;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use memory::MemoryChatLog;
#[cfg(feature = "postgres")]
pub use postgres::PgChatLog;
pub use service::expire_all;
pub use store::ChatLog;
pub use types::{
    ChatEntry, ChatKind, CorrelationId, CorrelationIdError, Excerpt, Lookup, NewChatEntry,
    RETENTION,
};
