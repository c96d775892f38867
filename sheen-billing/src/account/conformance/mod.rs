//! The suite every credit store must pass: one test per clause of the contracts at
//! [`CreditStore`], [`GrantStore`], [`CreditReader`], [`CreditSweep`] and [`CreditAudit`].
//!
//! Give [`credit_store_conformance!`](crate::credit_store_conformance) an async function that makes
//! a fresh, empty store of some policy, its clock at noon UTC; it expands to a `#[tokio::test]` per
//! clause, so the calling crate needs tokio with `macros` and `rt-multi-thread`.
//!
//! ```no_run
//! use std::sync::Arc;
//! use sheen_billing::account::{CreditPolicy, MemoryCreditStore};
//! use sheen_billing::account::conformance::CreditHarness;
//! use sheen_core::time::{ManualClock, Timestamp};
//!
//! async fn harness(policy: CreditPolicy) -> CreditHarness {
//!     let noon = Timestamp::from_millis(43_200_000);
//!     let clock = Arc::new(ManualClock::at(noon));
//!     let store = Arc::new(MemoryCreditStore::new(clock.clone(), policy, 1_000));
//!     let locked = store.clone();
//!     CreditHarness::new(
//!         store,
//!         move |duration| {
//!             clock.advance(duration);
//!             Box::pin(async {})
//!         },
//!         move |_user, meanwhile| {
//!             let (locked, runtime) = (locked.clone(), tokio::runtime::Handle::current());
//!             let held = tokio::task::spawn_blocking(move || {
//!                 let _guard = locked.lock();
//!                 runtime.block_on(meanwhile);
//!             });
//!             Box::pin(async { held.await.expect("the lock was held") })
//!         },
//!     )
//! }
//!
//! sheen_billing::credit_store_conformance!(harness);
//! # fn main() {}
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "these are the bodies of tests"
)]

mod close;
mod grant;
mod read;
mod refund;
mod reserve;
mod sweep;
mod verify;
mod whole;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sheen_core::id::{OperationId, PaymentId, ProjectId, ReservationId, UserId};
use sheen_core::runtime::BoxFuture;
use sheen_core::seconds::Seconds;
use tokio::task::JoinSet;

use super::{
    AccountView, Bucket, Commit, CommitOutcome, Committed, CreditAudit, CreditPolicy, CreditReader,
    CreditStore, CreditSweep, Entry, GrantStore, Place, Purchase, PurchaseOutcome, Release,
    ReleaseOutcome, Released, Reserve, ReserveOutcome, Reserved, Totals,
};
use super::{Refund, RefundOutcome, Refunded};

#[doc(hidden)]
pub use self::{close::*, grant::*, read::*, refund::*, reserve::*, sweep::*, verify::*, whole::*};

type Advance = dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync;
type WhileLocked = dyn Fn(UserId, BoxFuture<'static, ()>) -> BoxFuture<'static, ()> + Send + Sync;

/// A fresh store and a hand on its clock.
pub struct CreditHarness {
    store: Arc<dyn CreditStore>,
    grants: Arc<dyn GrantStore>,
    reader: Arc<dyn CreditReader>,
    sweep: Arc<dyn CreditSweep>,
    audit: Arc<dyn CreditAudit>,
    advance: Arc<Advance>,
    while_locked: Box<WhileLocked>,
    remembers: bool,
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for CreditHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreditHarness")
            .field("store", &self.store)
            .field("guard", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}

impl CreditHarness {
    /// An empty store, its clock at noon UTC.
    ///
    /// `advance` moves the store's clock forward. `while_locked` takes whatever a step on the
    /// user's account has to wait for, awaits the future it is given, and lets go.
    pub fn new<S>(
        store: Arc<S>,
        advance: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
        while_locked: impl Fn(UserId, BoxFuture<'static, ()>) -> BoxFuture<'static, ()>
        + Send
        + Sync
        + 'static,
    ) -> Self
    where
        S: CreditStore + GrantStore + CreditReader + CreditSweep + CreditAudit,
    {
        Self {
            store: store.clone(),
            grants: store.clone(),
            reader: store.clone(),
            sweep: store.clone(),
            audit: store,
            advance: Arc::new(advance),
            while_locked: Box::new(while_locked),
            remembers: true,
            guard: None,
        }
    }

    /// For a store that remembers nothing from call to call: it may leave every one of
    /// [several](CreditStore::several) batches.
    #[must_use]
    pub const fn remembering_nothing(mut self) -> Self {
        self.remembers = false;
        self
    }

    /// Keeps `guard`, a database say, alive as long as the store is used.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    async fn forward(&self, seconds: u64) {
        (self.advance)(Duration::from_secs(seconds)).await;
    }

    /// Noon to a minute before midnight.
    async fn to_the_evening(&self) {
        self.forward(12 * 3600 - 60).await;
    }

    /// A minute before midnight to a minute after.
    async fn past_midnight(&self) {
        self.forward(120).await;
    }

    async fn reserve(&self, reserve: &Reserve) -> ReserveOutcome {
        self.store.reserve(reserve.clone()).await.unwrap()
    }

    async fn hold(&self, reserve: &Reserve) -> Reserved {
        match self.reserve(reserve).await {
            ReserveOutcome::Reserved(reserved) => reserved,
            other => panic!("not reserved: {other:?}"),
        }
    }

    async fn commit(&self, hold: &ReservationId, operation: &str, seconds: u32) -> CommitOutcome {
        let commit = Commit::new(hold.clone(), op(operation), secs(seconds));
        self.store.commit(commit).await.unwrap()
    }

    async fn charge(&self, hold: &ReservationId, operation: &str, seconds: u32) -> Committed {
        match self.commit(hold, operation, seconds).await {
            CommitOutcome::Committed(committed) => committed,
            other => panic!("not committed: {other:?}"),
        }
    }

    async fn release(&self, hold: &ReservationId, operation: &str) -> ReleaseOutcome {
        let release = Release::new(hold.clone(), op(operation));
        self.store.release(release).await.unwrap()
    }

    async fn give_back(&self, hold: &ReservationId, operation: &str) -> Released {
        match self.release(hold, operation).await {
            ReleaseOutcome::Released(released) => released,
            other => panic!("not released: {other:?}"),
        }
    }

    async fn credit(&self, name: &str, payment: &str, seconds: u32) -> PurchaseOutcome {
        let purchase = Purchase::new(user(name), pay(payment), secs(seconds));
        self.grants.credit(purchase).await.unwrap()
    }

    async fn refund(&self, refund: &Refund) -> RefundOutcome {
        self.grants.refund(refund.clone()).await.unwrap()
    }

    async fn undo(&self, refund: &Refund) -> Refunded {
        match self.refund(refund).await {
            RefundOutcome::Refunded(refunded) => refunded,
            other => panic!("not refunded: {other:?}"),
        }
    }

    async fn view(&self, name: &str) -> AccountView {
        let views = self.reader.views(&[user(name)]).await.unwrap();
        assert_eq!(views.len(), 1);
        views[0]
    }

    async fn entries(&self, name: &str) -> Vec<Entry> {
        let user = user(name);
        self.reader.entries(&user, 0, u32::MAX).await.unwrap()
    }

    async fn totals(&self, name: &str) -> Totals {
        self.reader.totals(&user(name)).await.unwrap()
    }

    /// Checks conservation, and that the entries alone give the balances (C13).
    async fn check_books(&self, names: &[&str]) {
        let all = self.reader.ledger_totals().await.unwrap();
        assert!(all.is_conserved(), "{all:?}");
        for name in names {
            assert_eq!(self.audit.verify(&user(name)).await.unwrap(), []);
            let entries = self.entries(name).await;
            let mut sums = Totals::NONE;
            for bucket in Bucket::ALL {
                let of_bucket = entries.iter().filter(|entry| entry.bucket == bucket);
                let mut sum = Totals::NONE;
                for entry in of_bucket {
                    assert!(!entry.seconds.is_zero());
                    assert_ne!(entry.to, Place::Granted);
                    sum.shift(entry.from, entry.to, entry.seconds).unwrap();
                }
                assert!(sum.is_conserved(), "{bucket:?} {sum:?}");
                sums = sums.checked_add(&sum).unwrap();
            }
            let numbers: Vec<u64> = entries.iter().map(|entry| entry.number).collect();
            let wanted: Vec<u64> = (1..=numbers.len() as u64).collect();
            assert_eq!(numbers, wanted, "numbers from 1 without gaps");
            assert_eq!(self.totals(name).await, sums, "{name}");
        }
    }
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn op(name: &str) -> OperationId {
    OperationId::parse(name).unwrap()
}

fn pay(name: &str) -> PaymentId {
    PaymentId::parse(name).unwrap()
}

fn project(name: &str) -> ProjectId {
    ProjectId::parse(name).unwrap()
}

const fn secs(seconds: u32) -> Seconds {
    Seconds::from_u32(seconds)
}

fn wish(operation: &str, seconds: u32) -> Reserve {
    Reserve::new(user("ada"), op(operation), secs(seconds))
}

fn brief(operation: &str, seconds: u32, ttl: u64) -> Reserve {
    Reserve {
        ttl: Duration::from_secs(ttl),
        ..wish(operation, seconds)
    }
}

fn gifts(daily_gift: u32, welcome_bonus: u32) -> CreditPolicy {
    CreditPolicy {
        daily_gift: secs(daily_gift),
        welcome_bonus: secs(welcome_bonus),
        ..CreditPolicy::default()
    }
}

/// Runs all at once, in tasks of their own, and gives what came of them in no order.
async fn at_once<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let mut set = JoinSet::new();
    for task in tasks {
        set.spawn(task);
    }
    set.join_all().await
}

/// One `#[tokio::test]` per clause of the contracts of a credit store, on the harness that an
/// `async fn(CreditPolicy) -> CreditHarness` makes. See
/// [`account::conformance`](crate::account::conformance).
#[macro_export]
macro_rules! credit_store_conformance {
    ($harness:expr) => {
        $crate::credit_store_conformance! { @each $harness;
            c01_concurrent_reserves_never_sum_above_what_was_available
            c02_a_reserve_takes_gift_then_bonus_then_paid
            c03_first_touches_give_each_gift_once
            c04_a_repeat_gets_the_first_answer_and_other_numbers_conflict
            c05_a_refusal_writes_nothing
            c06_a_commit_charges_in_order_and_returns_the_rest
            c07_a_commit_above_the_hold_tells_the_shortfall
            c08_a_hold_ends_once
            c09_a_hold_past_its_expiry_is_expired_swept_or_not
            c10_an_extension_never_shortens_and_ends_within_a_day
            c11_a_batch_is_its_commands_in_order
            c12_caps_count_the_days_holds_and_stand_before_credits
            c13_nothing_is_lost_and_nothing_made
            c14_a_hold_nobody_knows_is_not_found
            c15_the_clock_is_read_after_the_lock
            c16_each_of_several_batches_is_done_whole_or_left
            c17_no_more_holds_are_open_than_the_policy_allows
            g1_a_payment_is_credited_once_over_all_accounts
            g2_two_payments_are_two_credits
            g3_what_goes_out_of_range_is_refused_whole
            g4_a_refund_gives_back_or_takes_back
            g4_what_a_late_commit_took_of_the_new_gift_is_given_back
            g5_refunds_never_sum_above_what_they_are_of
            g6_a_repeated_refund_gets_the_first_answer
            r1_a_view_shows_what_a_reserve_could_take
            r2_entries_come_in_order_after_the_one_named
            r3_totals_are_of_one_instant
            r4_a_hold_is_told_as_it_was_agreed
            s1_a_sweep_takes_the_oldest_expired_first
            s2_a_void_gift_in_an_expired_hold_is_breakage
            s3_sweeping_twice_releases_nothing_twice
            v1_steps_of_the_same_instant_are_no_drift
            v2_pages_go_through_every_account_once
        }
    };
    (@each $harness:expr; $($case:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            $crate::account::conformance::$case($harness).await;
        }
    )*};
}
