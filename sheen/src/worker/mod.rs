//! The worker: start, step, heartbeat, finish, cancel, sweep.
//!
//! 1. Whoever starts a build needs a [`BuildPermit`](sheen_core::mode::BuildPermit), which plan
//!    mode cannot make.
//! 2. Every change goes through one step of [`Admission`](crate::admission::Admission); readers
//!    are rung after it is committed.
//! 3. Ending a build tells the builder of this process to stop, whoever ended it.
//! 4. Observers hear of a settled build at least once, after the settlement.

mod observer;
mod service;
mod types;

pub use observer::{MAX_TRIES, SettledObserver};
pub use service::{Parts, Worker};
pub use types::Start;
