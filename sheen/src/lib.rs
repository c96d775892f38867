//! The worker side of an AI app builder: who may call, one build at a time, paid from credits that
//! can neither be spent twice nor lost, with every step readable live and afterwards.
//!
//! [`worker`] has the steps, [`admission`] their atomic form across rooms, [`builder`] what a
//! service supplies, and [`runner`] the loop that drives it. [`memory`] has every room in memory,
//! wired; with the feature `postgres`, `postgres` has them on PostgreSQL.
//!
//! A builder, a worker over memory rooms, a build from start to preview:
//!
//! ```
//! use std::sync::Arc;
//!
//! use sheen::admission::{AdmitOutcome, Admitted};
//! use sheen::builder::{BuildError, Builder, Built, Job, Progress};
//! use sheen::memory::{MemoryConfig, MemoryRooms};
//! use sheen::runner::{RunnerConfig, RunnerParts};
//! use sheen::worker::{Start, Worker};
//! use sheen_core::build::{BuildInput, BuildKind, Status};
//! use sheen_core::entropy::OsEntropy;
//! use sheen_core::files::{FilePath, FileSet};
//! use sheen_core::id::{ProjectId, UserId, WorkerId};
//! use sheen_core::idempotency::StoredAnswer;
//! use sheen_core::mode::permit;
//! use sheen_core::runtime::TokioRuntime;
//! use sheen_core::seconds::Seconds;
//! use sheen_core::time::SystemClock;
//! use sheen_events::wake::Wake as _;
//!
//! #[derive(Debug)]
//! struct Upper;
//!
//! #[async_trait::async_trait]
//! impl Builder for Upper {
//!     async fn build(&self, job: &Job, progress: &Progress) -> Result<Built, BuildError> {
//!         for (path, content) in job.input.files.iter() {
//!             progress.log(&format!("{path}: {}", content.to_uppercase())).await?;
//!         }
//!         Ok(Built::new("https://preview.example/1/", Seconds::from_u32(2)))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (clock, entropy) = (Arc::new(SystemClock::new()), Arc::new(OsEntropy));
//! let runtime = Arc::new(TokioRuntime);
//! let rooms = MemoryRooms::new(MemoryConfig::default(), clock, entropy);
//! let parts = rooms.parts(runtime.clone(), runtime.clone(), Vec::new());
//! let worker = Arc::new(Worker::new(parts));
//! let runner = sheen::runner::start(RunnerParts {
//!     worker: worker.clone(),
//!     builder: Arc::new(Upper),
//!     credits: rooms.credits.clone(),
//!     records: rooms.idempotency.clone(),
//!     id: WorkerId::generate(&OsEntropy),
//!     spawn: runtime.clone(),
//!     sleep: runtime,
//!     config: RunnerConfig::default(),
//! });
//!
//! let files = FileSet::from_iter([(FilePath::parse("index.html")?, "<h1>Salon</h1>".into())]);
//! let input = BuildInput::new(BuildKind::Create, "Create a salon website", files);
//! // What the caller is told, kept under its idempotency key where it has one.
//! let answer = |admitted: &Admitted| {
//!     let id = admitted.queued.build.id.to_string();
//!     StoredAnswer::new(202, Vec::new(), id.into_bytes(), "req_1")
//! };
//! let ada = UserId::parse("ada")?;
//! let start = Start::new(ada.clone(), ProjectId::parse("salon")?, input, Arc::new(answer));
//! // Plan mode has no permit, so it cannot get here.
//! let AdmitOutcome::Admitted(admitted, _) = worker.start(permit(None, None)?, start).await? else {
//!     panic!("refused")
//! };
//! let id = admitted.queued.build.id;
//! // Listen before looking: what rings in between is not missed.
//! let mut listener = rooms.wake.listen(&id);
//! let build = loop {
//!     let found = worker.build(&ada, &id).await?.ok_or("it was there")?;
//!     if !found.build.status.is_active() {
//!         break found.build;
//!     }
//!     listener.rung().await;
//! };
//! assert_eq!(build.status, Status::Deployed);
//! assert_eq!(build.preview_url.as_deref(), Some("https://preview.example/1/"));
//! assert!(runner.shutdown().await);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod admission;
pub mod builder;
pub mod measuring;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod recommending;
pub mod runner;
mod stop;
pub mod worker;
