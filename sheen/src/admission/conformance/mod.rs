//! The suite any [`Admission`] must pass: a test per clause.
//!
//! `sheen::admission_conformance!(my_harness().await)` in a test file expands to all of it; the
//! expression makes an [`AdmissionHarness`] anew for each test.

pub mod cases;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sheen_billing::account::{CreditReader, CreditStore, GrantStore};
use sheen_core::build::BuildReader;
use sheen_core::id::{BuildSessionId, ProjectId, UserId, WorkerId};
use sheen_core::idempotency::{Fingerprint, IdempotencyKey, IdempotencyStore, Scope, StoredAnswer};
use sheen_core::runtime::BoxFuture;
use sheen_core::seconds::Seconds;
use sheen_events::log::EventLog;

use super::{Admission, Admit, Admitted, KeyedCall};

/// The rooms under test, empty, with a gift of 100 s a day, no welcome bonus, no user cap and a
/// cap of 10,000 s a project and day.
#[expect(clippy::exhaustive_structs, reason = "made by whoever runs the suite")]
pub struct AdmissionHarness {
    /// The steps.
    pub admission: Arc<dyn Admission>,
    /// Reading builds.
    pub builds: Arc<dyn BuildReader>,
    /// Holds, from outside.
    pub credits: Arc<dyn CreditStore>,
    /// Purchases.
    pub grants: Arc<dyn GrantStore>,
    /// Reading accounts.
    pub accounts: Arc<dyn CreditReader>,
    /// Reading events.
    pub log: Arc<dyn EventLog>,
    /// Kept answers.
    pub idempotency: Arc<dyn IdempotencyStore>,
    /// Moves the stores' clock.
    pub advance: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
    /// What must live as long as the stores: a database, a folder.
    pub guard: Box<dyn std::any::Any + Send + Sync>,
}

impl fmt::Debug for AdmissionHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionHarness")
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}

/// The gift of a harness, in seconds.
pub const GIFT: u32 = 100;

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a valid id")
}

pub(crate) fn project(name: &str) -> ProjectId {
    ProjectId::parse(name).expect("a valid id")
}

pub(crate) fn worker(name: &str) -> WorkerId {
    WorkerId::parse(name).expect("a valid id")
}

pub(crate) fn session(name: &str) -> BuildSessionId {
    BuildSessionId::parse(name).expect("a valid id")
}

/// A call of `user` under `key` that says `what`.
pub(crate) fn call(user_name: &str, key: &str, what: &str) -> KeyedCall {
    let principal = sheen_core::id::PrincipalId::parse("front").expect("a valid id");
    KeyedCall::new(
        Scope::new(principal, user(user_name)),
        IdempotencyKey::parse(key.as_bytes()).expect("a valid key"),
        Fingerprint::of("POST", what, "", &[0; 32]),
    )
}

/// The start of build `id` by `user_name` for `project_name`, at 40 s.
pub(crate) fn admit(id: &str, user_name: &str, project_name: &str) -> Admit {
    use sheen_core::build::{BuildInput, BuildKind, NewBuild};
    use sheen_core::id::{BuildId, VersionId};
    let build = NewBuild::new(
        BuildId::parse(id).expect("a valid id"),
        VersionId::parse(&format!("v-{id}")).expect("a valid id"),
        user(user_name),
        project(project_name),
        session(&format!("s-{id}")),
        BuildInput::new(
            BuildKind::Create,
            "A site",
            sheen_core::files::FileSet::default(),
        ),
    );
    let render = |admitted: &Admitted| {
        let queued = &admitted.queued;
        let body = format!("{} at {}", queued.build.id, queued.position);
        StoredAnswer::new(202, Vec::new(), body.into_bytes(), "req_1")
    };
    Admit::new(None, build, Seconds::from_u32(40), Arc::new(render))
}

/// Expands to the whole suite over the harness that the expression makes anew for each test.
#[macro_export]
macro_rules! admission_conformance {
    ($harness:expr) => {
        $crate::admission_conformance!(@cases $harness;
            c01_an_admission_makes_build_hold_stream_and_answer_together
            c02_refusals_stand_in_their_order
            c03_equal_calls_at_once_are_admitted_once
            c04_a_refused_admission_leaves_everything_as_it_was
            c05_a_claim_raises_the_token_and_tells_the_log
            c06_a_heartbeat_keeps_build_and_hold_alive
            c07_a_settlement_ends_build_hold_and_stream
            c08_of_settlements_at_once_one_settles
            c09_a_late_token_appends_nothing
            c10_a_build_whose_hold_is_gone_is_not_deployed
            c11_a_reserve_for_a_project_claims_it_if_it_goes_through
            c12_repeats_change_nothing_further
        );
    };
    (@cases $harness:expr; $($case:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::admission::conformance::cases::$case($harness).await;
        }
    )*};
}
