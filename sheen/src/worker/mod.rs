//! The worker: start, step, heartbeat, finish, cancel, sweep.
//!
//! 1. Whoever starts a build needs a [`BuildPermit`](sheen_core::mode::BuildPermit), which plan
//!    mode cannot make.
//! 2. Every change goes through one step of [`Admission`](crate::admission::Admission); readers
//!    are rung after it is committed.
//! 3. Ending a build tells the builder of this process to stop, whoever ended it.
//! 4. Observers hear of a settled build after the settlement, at least once while the process
//!    lives.
//! 5. A caller that goes away takes neither a settlement nor what follows from it along.

mod observer;
mod service;
mod settling;
mod types;

pub use observer::{MAX_PENDING, MAX_TRIES, SettledObserver, TRY_LIMIT};
pub use service::{Parts, Worker};
pub use types::Start;
