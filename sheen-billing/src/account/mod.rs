//! Accounts of AI seconds: buckets, holds and double entries (wire.md §6).
//!
//! # Rules
//!
//! 1. An account has three buckets, spent in this order: the gift of the day, the welcome bonus,
//!    what was bought. Free before paid, what ends before what stays.
//! 2. The first step that succeeds on an account brings the welcome bonus, once ever; the first of
//!    a UTC day brings that day's gift, once. A sweep is no such step, a read neither.
//! 3. A gift is void from 00:00 UTC on: what is left of it becomes breakage. In a hold it can
//!    still be charged; what the hold gives back of it is breakage.
//! 4. A hold takes its seconds out of the buckets at once and remembers which slices fund it. It
//!    ends once: committed, released or expired.
//! 5. A commit charges what was used, slice by slice in that order, and gives the rest back to the
//!    buckets it came from. Use beyond the hold is charged as far as seconds are available; the
//!    shortfall is told, and no figure becomes negative. A hold made with [`Overage::Reject`]
//!    refuses it instead and stays open.
//! 6. A hold is expired at the very instant of its expiry, swept or not.
//! 7. Operation ids are unique per account and kind. A repeat gets its first answer; a refusal
//!    writes nothing, so its id is free.
//! 8. Daily caps count what holds reserved that UTC day hold or charged, and stand before credits.
//!    A project has one owner (wire.md §15), so its sum is kept with the account that reserves.
//! 9. Every change is an [`Entry`] that moves seconds from one [`Place`] to another, so granted =
//!    available + held + charged + breakage always. Entries are never changed or removed.
//! 10. A refund is an operation of its own. Of a charge, it gives seconds back to the buckets they
//!     came from, what was bought first; of a purchase, it takes bought seconds back. Never more
//!     than was charged or bought, in parts or whole; what was charged stays charged.
//! 11. The tables that a hold was quoted by are kept with it ([`Terms`]).
//! 12. A clock that steps back stays, for gifts, usage and caps, on the last day an account saw.
//!
//! The rules live in [`decide`], pure; the stores' numbered contracts stand at [`CreditStore`],
//! [`GrantStore`], [`CreditReader`], [`CreditSweep`] and [`CreditAudit`], and the `conformance` feature tests them.
//!
//! # A build, paid
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use sheen_billing::account::*;
//! use sheen_core::id::{OperationId, PaymentId, UserId};
//! use sheen_core::seconds::Seconds;
//! use sheen_core::time::{Clock, ManualClock, Timestamp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(ManualClock::at(Timestamp::parse_rfc3339("2026-11-20T23:59:00Z")?));
//! let store = MemoryCreditStore::new(clock.clone(), CreditPolicy::default(), 1_000);
//! let ada = UserId::parse("ada")?;
//!
//! // Before the build: hold its estimate. The day's gift of 900 s pays first.
//! let hold = Reserve::new(ada.clone(), OperationId::parse("build-7")?, Seconds::from_u32(180));
//! let ReserveOutcome::Reserved(held) = store.reserve(hold.clone()).await? else { panic!() };
//! assert_eq!(held.balance.daily_gift.get(), 720);
//! assert_eq!(held.balance.welcome_bonus.get(), 1800);
//!
//! // An answer that got lost is asked for again: nothing is held twice.
//! assert_eq!(store.reserve(hold).await?, ReserveOutcome::AlreadyReserved(held.clone()));
//!
//! // It ends after midnight. Yesterday's slice is charged, its rest is void, today's gift is whole.
//! clock.advance(Duration::from_secs(120));
//! let used = Commit::new(held.reservation, OperationId::parse("build-7")?, Seconds::from_u32(100));
//! let CommitOutcome::Committed(paid) = store.commit(used).await? else { panic!() };
//! assert_eq!((paid.charged.get(), paid.returned.get()), (100, 0));
//! assert_eq!(paid.balance.daily_gift.get(), 900);
//!
//! // A purchase is credited once, however often the payment provider calls.
//! let purchase = Purchase::new(ada.clone(), PaymentId::parse("pay-1")?, Seconds::from_u32(3600));
//! store.credit(purchase.clone()).await?;
//! let PurchaseOutcome::AlreadyCredited(balance) = store.credit(purchase).await? else { panic!() };
//! assert_eq!(balance.paid.get(), 3600);
//!
//! assert!(store.totals(&ada).await?.is_conserved());
//! # Ok(())
//! # }
//! ```

mod arrival;
mod audit;
pub mod decide;
mod group;
mod history;
mod ledger;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod refund;
mod store;
mod types;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use arrival::{PurchaseWait, PurchaseWaitError};
pub use audit::{Audit, Books, Drift, Figure};
pub use group::{GroupCommit, GroupSettings};
pub use history::{History, HistoryLines, HistoryOutcome, HistoryPage};
pub use ledger::*;
pub use memory::{CreditState, MemoryCreditStore};
#[cfg(feature = "postgres")]
pub use postgres::PgCreditStore;
pub use refund::{HoldStanding, HoldView, Refund, RefundOf, RefundOutcome, Refunded};
pub use store::{CreditAudit, CreditReader, CreditStore, CreditSweep, GrantStore};
pub use types::*;
