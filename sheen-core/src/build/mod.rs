//! Builds: one active build per project, states that never go back, and claims with a fencing
//! token (wire.md §5).
//!
//! 1. `queued → building → deployed | failed`, and `queued → failed`. Nothing leaves an ended state;
//!    the repeat of the end that happened changes nothing ([`Status::transition`]).
//! 2. A project has one queued or building build, unless a start says that it may run beside others.
//! 3. The first user who starts a build for a project owns it. What belongs to another user is «not
//!    found».
//! 4. A session of a user names one build for ever.
//! 5. Who works on a build holds the token of its last claim. The end of a build raises it, so a
//!    worker that was late, or whose build was cancelled, can write nothing any more.
//! 6. A queued build is overdue after 10 min, a building one after 90 s without a heartbeat, from
//!    the very instant on; the sweep ends it as `TIMED_OUT`.
//! 7. Ending a build frees its project in the same step.
//! 8. The store's clock decides, never a caller's.
//!
//! The rules are pure functions ([`decide_start`], [`decide_claim`], [`decide_beat`],
//! [`decide_finish`]); a store loads, decides and applies. [`MemoryBuildStore`] is one, and
//! `build_store_conformance!` (feature `conformance`) tests any other.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_core::build::{
//!     Authority, BeatOutcome, BuildInput, BuildKind, Deadlines, Ending, Finish, FinishOutcome,
//!     MemoryBuildStore, NewBuild, StartOutcome, Status,
//! };
//! use sheen_core::entropy::OsEntropy;
//! use sheen_core::files::{FilePath, FileSet};
//! use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId, VersionId};
//! use sheen_core::seconds::Seconds;
//! use sheen_core::time::{Clock, SystemClock};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (clock, entropy) = (SystemClock::new(), OsEntropy);
//! // At most 1,000 builds. Services hold it as `Arc<dyn BuildStore>` and await its methods; here
//! // the same steps are taken under its lock.
//! let store = MemoryBuildStore::new(Arc::new(clock.clone()), Deadlines::default(), 1_000);
//! let mut builds = store.lock();
//!
//! let (user, project) = (UserId::parse("u1")?, ProjectId::parse("salon")?);
//! let new = |prompt: &str| {
//!     let page = (FilePath::parse("index.html")?, "<h1>Salon</h1>".into());
//!     let input = BuildInput::new(BuildKind::Create, prompt, FileSet::from_iter([page]));
//!     let session = BuildSessionId::generate(&project, clock.now(), &entropy);
//!     let (id, version) = (BuildId::generate(&entropy), VersionId::generate(&entropy));
//!     Ok::<_, Box<dyn std::error::Error>>(NewBuild::new(
//!         id, version, user.clone(), project.clone(), session, input,
//!     ))
//! };
//!
//! // One build of a project at a time.
//! let first = new("Create a salon website")?;
//! let started = builds.start(clock.now(), first.clone())?;
//! assert!(matches!(started, StartOutcome::Started(ref queued) if queued.position == 1));
//! let second = builds.start(clock.now(), new("And another")?)?;
//! assert_eq!(second, StartOutcome::ProjectBusy { active: first.id.clone() });
//!
//! // A worker claims it, says that it is alive, and ends it.
//! let claimed = builds.claim(clock.now()).ok_or("nothing queued")?;
//! assert_eq!(claimed.build.status, Status::Building);
//! let alive = builds.beat(clock.now(), &first.id, claimed.build.token);
//! assert!(matches!(alive, BeatOutcome::Alive { .. }));
//! let ending = Ending::Deployed {
//!     preview_url: "/preview/salon/".into(),
//!     seconds: Seconds::from_u32(42),
//! };
//! let finish = Finish::new(first.id.clone(), Authority::Claim(claimed.build.token), ending);
//! assert!(matches!(builds.finish(clock.now(), &finish), FinishOutcome::Finished(_)));
//!
//! // The answer got lost, so it asks again; nothing happens twice, and the project is free.
//! assert!(matches!(builds.finish(clock.now(), &finish), FinishOutcome::AlreadySo(_)));
//! assert_eq!(builds.check_start(clock.now(), &new("And another")?)?, None);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "conformance")]
pub mod conformance;
mod decide;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
pub mod settled;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use decide::*;
pub use memory::{BuildState, MemoryBuildStore};
#[cfg(feature = "postgres")]
pub use postgres::PgBuildStore;
pub use store::{BuildReader, BuildStore};
pub use types::*;
