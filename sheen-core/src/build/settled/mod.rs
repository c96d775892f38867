//! Who hears of settled builds, whatever process ends them and whichever tells (wire.md §7): an
//! outbox that is written with a build's end.
//!
//! 1. An observer is registered once, under a lasting name. From then on each build that ends leaves
//!    a delivery for it, in the very step that ends the build: a crash has both or neither.
//! 2. Any process may deliver. It leases deliveries for a while under a fencing token, tells the
//!    observer, and resolves the lease: heard or failed. At least once: who heard and could not say
//!    so hears again.
//! 3. A failed try is made again after a wait that grows ([`wait_after`]), with jitter that follows
//!    from observer, build and attempt. After [`MAX_ATTEMPTS`] the delivery is parked, until an
//!    operator puts it back.
//! 4. A lease that ran out counts as a try, so that a build that ends every process that tells of it
//!    is parked too.
//! 5. Nothing grows without a bound: at most [`MAX_OBSERVERS`] observers, one row a build and
//!    observer until it heard, errors cut at [`MAX_ERROR`] bytes.
//!
//! A [`Courier`] delivers to one [`BuildObserver`]. [`SettledOutbox`] is what it stands on,
//! [`ObserverRegistry`] is for who registers and operates.
//! [`MemoryBuildStore`](super::MemoryBuildStore) is both, and so is the store on PostgreSQL;
//! `settled_outbox_conformance!` (feature `conformance`) tests any other.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_core::build::settled::{
//!     Hearing, Leased, ObserverRegistry, RegisterOutcome, ResolveOutcome, SettledOutbox,
//! };
//! use sheen_core::build::{
//!     Authority, BuildInput, BuildKind, BuildStore, Deadlines, Ending, FailureReason, Finish,
//!     MemoryBuildStore, NewBuild,
//! };
//! use sheen_core::files::FileSet;
//! use sheen_core::id::{
//!     BuildId, BuildSessionId, ObserverId, ProjectId, UserId, VersionId, WorkerId,
//! };
//! use sheen_core::time::SystemClock;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(SystemClock::new());
//! let store = MemoryBuildStore::new(clock, Deadlines::default(), 1_000);
//! let mail = ObserverId::parse("mail")?;
//! assert_eq!(store.register(&mail).await?, RegisterOutcome::Registered);
//!
//! let (user, id) = (UserId::parse("ada")?, BuildId::parse("bld_1")?);
//! let (version, project) = (VersionId::parse("ver_1")?, ProjectId::parse("salon")?);
//! let input = BuildInput::new(BuildKind::Create, "A salon", FileSet::default());
//! let session = BuildSessionId::parse("bs_1")?;
//! store.start(NewBuild::new(id.clone(), version, user.clone(), project, session, input)).await?;
//! let ending = Ending::Failed { reason: FailureReason::Cancelled, error: "Called off.".into() };
//! store.finish(Finish::new(id.clone(), Authority::Owner(user), ending)).await?;
//!
//! let worker = WorkerId::parse("wrk_1")?;
//! let due = store.lease(&mail, &worker, 10).await?.deliveries;
//! assert_eq!((due.len(), &due[0].build.id, due[0].lease.attempt), (1, &id, 1));
//! // Send the mail, then:
//! assert_eq!(store.resolve(&due[0].lease, Hearing::Heard).await?, ResolveOutcome::Done);
//! assert_eq!(store.lease(&mail, &worker, 10).await?, Leased::default());
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "conformance")]
pub mod conformance;
mod courier;
mod decide;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod store;
mod types;

pub use courier::{BuildObserver, Courier, Round, TRY_LIMIT};
pub use decide::{Retry, decide_failed, may_be_tried, wait_after};
pub(super) use memory::{OutboxState, ParkedEntry};
pub use store::{ObserverRegistry, SettledOutbox};
pub use types::*;
