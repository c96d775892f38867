//! Recommendations: what to do next with a site, said a while after its build began (wire.md §7).
//!
//! 1. What is suggested at once comes with the start's answer. Recommendations come from a
//!    [provider](RecommendProvider), through a queue of their own: 2 at a time and 10 a minute over
//!    all processes, 20 s each, one try, one per project and session within 5 min.
//! 2. They are below builds: nothing begins while [builds wait](BuildsFirst).
//! 3. They are stored first, then announced, as `recommendations_ready` or
//!    `recommendations_failed`. What was stored and not announced is found and announced by
//!    whoever looks next.
//! 4. A failure beside what was suggested at once is `ready` from `quick`, with the error told.
//! 5. A build's stream ends when the build has ended and its recommendations have settled, 30 s
//!    after the build at the latest. For that whoever settles builds leaves the log open and tells
//!    [`build_ended`](Recommendations::build_ended).
//! 6. A reader follows them with a [`RecommendReader`]: what it shows only gets better.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId};
//! use sheen_core::{time::SystemClock, token::FencingToken, wire::SuggestionItem};
//! use sheen_events::recommend::{ClaimOutcome, Items, Key, MemoryRecommendStore, NewRequest};
//! use sheen_events::recommend::{RecommendQueue, RecommendStore, state_of};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryRecommendStore::new(Arc::new(SystemClock::new()), Default::default(), 1000);
//! let (ann, salon) = (UserId::parse("ann")?, ProjectId::parse("salon")?);
//! let (build, session) = (BuildId::parse("bld_1")?, BuildSessionId::parse("bs_1")?);
//! store.request(NewRequest::new(ann.clone(), salon.clone(), build, session.clone())).await?;
//!
//! // Some process takes it, and stores what its provider says.
//! let ClaimOutcome::Claimed(claimed) = store.claim().await? else { panic!("it waits") };
//! let item = SuggestionItem {
//!     id: "alt-texts".into(),
//!     title: "Describe your pictures".into(),
//!     description: "Three pictures have no description.".into(),
//!     category: "accessibility".into(),
//!     prompt: "Describe the pictures for those who cannot see them.".into(),
//!     confidence: 0.9,
//! };
//! store.settle(&claimed.key(), claimed.attempt, Ok(Items::new(vec![item])?)).await?;
//!
//! let record = store.read(&ann, &salon, Some(&session)).await?.ok_or("it is hers")?;
//! let state = state_of(&record);
//! assert_eq!((state.status.as_str(), state.recommendations.as_slice().len()), ("ready", 1));
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
mod provider;
mod race;
mod reader;
mod run;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use decide::{
    Decision, QueueView, after_end, after_step, decide_claim, decide_request, decide_settle,
    may_forget, next_step, overdue, state_of,
};
pub use memory::MemoryRecommendStore;
#[cfg(feature = "postgres")]
pub use postgres::PgRecommendStore;
pub use provider::{
    BuildTokens, BuildsFirst, NobodyWaits, ProviderError, RecommendProvider, WriterToken,
};
pub use reader::{RecommendReader, Showing};
pub use run::{RecommendRunner, RecommendRunnerParts, run};
pub use service::{RecommendParts, Recommendations};
pub use store::{RecommendQueue, RecommendStore};
pub use types::{
    ClaimOutcome, Due, Items, ItemsError, Key, NewRequest, Phase, QueueLimits, RecommendState,
    Record, RequestOutcome, SettleOutcome, Source, Status, Step,
};
