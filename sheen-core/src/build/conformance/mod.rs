//! What every store of builds must show: one test for each clause of
//! [`BuildStore`] and [`BuildReader`], and random operations against the memory store.
//!
//! Every case takes a fresh, empty store made with [`Deadlines::default`](super::Deadlines) and
//! room for at least 1,000 builds. The tests want `tokio` with `macros` and `rt-multi-thread`.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_core::build::{Deadlines, MemoryBuildStore};
//! use sheen_core::build::conformance::BuildHarness;
//! use sheen_core::time::{Advance, ManualClock, Timestamp};
//!
//! async fn harness() -> BuildHarness {
//!     let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
//!     let store = Arc::new(MemoryBuildStore::new(clock.clone(), Deadlines::default(), 1_000));
//!     BuildHarness::new(store.clone(), store, Advance::manual(clock))
//! }
//!
//! sheen_core::build_store_conformance!(harness());
//! ```
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case fails by panicking"
)]

mod batches;
mod ends;
mod faults;
mod model;
mod pairs;
mod reads;
mod reaps;
mod starts;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use batches::*;
pub use ends::*;
pub use faults::*;
pub use model::*;
pub use pairs::*;
pub use reads::*;
pub use reaps::*;
pub use starts::*;

use super::store::{BuildReader, BuildStore};
use super::types::{
    Authority, Build, BuildInput, BuildKind, Claimed, Ending, FailureReason, Finish, FinishOutcome,
    NewBuild, Queued, StartOutcome,
};
use crate::files::{FilePath, FileSet};
use crate::id::{BuildId, BuildSessionId, ProjectId, UserId, VersionId, WorkerId};
use crate::seconds::Seconds;
use crate::time::Advance;

/// A fresh, empty store under test, and its clock.
pub struct BuildHarness {
    /// The store.
    pub store: Arc<dyn BuildStore>,
    /// The same store, for reading.
    pub reader: Arc<dyn BuildReader>,
    /// Moves the store's clock.
    pub advance: Advance,
    /// What must outlive the store: a database of the test's own.
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl BuildHarness {
    /// A store, its reader and its clock.
    #[must_use]
    pub fn new(store: Arc<dyn BuildStore>, reader: Arc<dyn BuildReader>, advance: Advance) -> Self {
        Self {
            store,
            reader,
            advance,
            guard: None,
        }
    }

    /// Keeps `guard` until the case is over.
    #[must_use]
    pub fn with_guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }
}

impl fmt::Debug for BuildHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildHarness")
            .field("store", &self.store)
            .field("guarded", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}

/// One test for each clause of a store of builds. The argument is an expression whose value is a
/// future of a [`BuildHarness`](crate::build::conformance::BuildHarness); it is evaluated once a
/// test.
#[macro_export]
macro_rules! build_store_conformance {
    ($harness:expr) => {
        $crate::build_store_conformance! { @each ($harness)
            c01_the_first_start_makes_the_owner
            c01_of_two_users_at_once_one_becomes_the_owner
            c02_another_users_project_is_not_startable
            c03_a_session_names_one_build_for_ever
            c03_one_session_at_once_starts_one_build
            c04_an_active_build_keeps_others_out
            c04_of_any_number_of_starts_at_once_one_succeeds
            c05_a_started_build_is_queued_with_its_input_and_place
            c05_an_id_is_never_given_twice
            c06_a_claim_takes_the_build_queued_longest
            c06_of_any_number_of_claims_at_once_one_gets_it
            c07_a_heartbeat_counts_for_the_last_claim_alone
            c07_an_overdue_build_can_be_kept_alive
            c08_a_finish_by_claim_needs_the_last_token
            c09_a_finish_by_the_owner_needs_the_owner
            c10_the_sweep_ends_only_what_is_overdue
            c11_nothing_leaves_an_ended_state
            c11_of_any_number_of_ends_at_once_one_counts
            c12_a_queued_build_cannot_be_deployed
            c13_a_finish_frees_the_slot_and_ends_the_claim
            c13_a_cancel_of_a_queued_build_leaves_nothing_to_claim
            c14_repeating_a_step_changes_nothing
            c14_a_store_that_fails_comes_to_the_same
            c14_every_write_done_twice_is_done_once
            c15_a_batch_answers_as_its_starts_one_after_another
            c15_one_session_twice_in_a_batch_starts_once
            c15_a_bad_member_harms_nobody
            c15_updates_in_a_batch_are_laid_over_one_another
            c15_of_batches_at_once_each_project_has_one_build
            c16_reaping_ends_what_is_overdue_and_nothing_else
            c16_reaping_goes_by_deadlines_and_keeps_its_limit
            c16_of_any_number_of_reapers_at_once_one_ends_each
            pairs_of_steps_at_once_are_as_one_after_the_other
            r01_what_a_step_returned_is_found
            r02_ownership_is_not_checked_by_reading
            r03_overdue_lists_the_oldest_deadlines_first
            r04_latest_keeps_the_order_and_leaves_out_the_unknown
            r05_project_files_are_those_of_the_last_start
            model_random_operations_equal_those_of_the_memory_store
        }
    };
    (@each ($harness:expr) $($case:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let harness: $crate::build::conformance::BuildHarness = $harness.await;
            $crate::build::conformance::$case(harness).await;
        }
    )+};
}

pub(in crate::build) const SECOND: Duration = Duration::from_secs(1);
/// Past the default deadline of a building build.
const SILENCE: Duration = Duration::from_secs(91);
/// Past the default deadline of a queued build.
pub(in crate::build) const LONG_WAIT: Duration = Duration::from_secs(601);
/// How many callers stand at the door at once.
const CROWD: u32 = 64;

pub(in crate::build) fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn project(name: &str) -> ProjectId {
    ProjectId::parse(name).unwrap()
}

pub(in crate::build) fn worker() -> WorkerId {
    WorkerId::parse("wrk_conformance").unwrap()
}

fn files(content: &str) -> FileSet {
    FileSet::from_iter([(FilePath::parse("index.html").unwrap(), content.into())])
}

/// Build `n` of user `who` for `of`, in a session of its own.
pub(in crate::build) fn new_build(n: u32, who: &str, of: &str) -> NewBuild {
    let mut input = BuildInput::new(BuildKind::Create, format!("prompt {n}"), files("<h1>"));
    input.metadata = Some(r#"{"n":1,"é":"漢"}"#.into());
    NewBuild::new(
        BuildId::parse(&format!("bld_{n}")).unwrap(),
        VersionId::parse(&format!("ver_{n}")).unwrap(),
        user(who),
        project(of),
        BuildSessionId::parse(&format!("bs_{n}")).unwrap(),
        input,
    )
}

pub(in crate::build) fn failed(reason: FailureReason) -> Ending {
    Ending::Failed {
        reason,
        error: "it broke".into(),
    }
}

pub(in crate::build) fn deployed() -> Ending {
    Ending::Deployed {
        preview_url: "/preview/here/".into(),
        seconds: Seconds::from_u32(42),
    }
}

impl BuildHarness {
    pub(in crate::build) async fn started(&self, new: NewBuild) -> Queued {
        match self.store.start(new).await.unwrap() {
            StartOutcome::Started(queued) => queued,
            refused => panic!("not started: {refused:?}"),
        }
    }

    async fn claimed(&self) -> Claimed {
        let claimed = self.store.claim(&worker()).await.unwrap();
        claimed.expect("there is a queued build")
    }

    /// Starts build `n` of user `u` for project `p` and claims it.
    pub(in crate::build) async fn building(&self, n: u32) -> Build {
        self.started(new_build(n, "u", "p")).await;
        self.claimed().await.build
    }

    pub(in crate::build) async fn finish(
        &self,
        build: &BuildId,
        by: Authority,
        ending: Ending,
    ) -> FinishOutcome {
        let finish = Finish::new(build.clone(), by, ending);
        self.store.finish(finish).await.unwrap()
    }

    pub(in crate::build) async fn finished(
        &self,
        build: &BuildId,
        by: Authority,
        ending: Ending,
    ) -> Build {
        match self.finish(build, by, ending).await {
            FinishOutcome::Finished(build) => build,
            refused => panic!("not finished: {refused:?}"),
        }
    }

    pub(in crate::build) async fn row(&self, build: &BuildId) -> Build {
        let found = self.reader.get(build).await.unwrap();
        found.expect("the build is there").build
    }

    /// The row must be just as it was.
    async fn unchanged(&self, before: &Build) {
        assert_eq!(self.row(&before.id).await, *before);
    }
}

/// Runs `call` for 0, 1, … at once on tasks of their own, and gives the answers in order.
pub(in crate::build) async fn crowd<F, T>(call: impl Fn(u32) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(CROWD as usize));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..CROWD {
        let call = call(n);
        let start = Arc::clone(&start);
        tasks.spawn(async move {
            start.wait().await;
            (n, call.await)
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(n, _)| *n);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
