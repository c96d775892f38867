//! Admission: the atomic steps across rooms.
//!
//! A build touches an idempotency record, a project, an account, the queue and a log. Each step
//! over them is one, so that no crash, cancellation or second process can see half of it. The
//! rules are clauses C1–C12 of [`Admission`].

mod closing;
#[cfg(feature = "conformance")]
pub mod conformance;
mod events;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
mod refusal;
mod store;
mod types;

pub use store::Admission;
pub use types::{
    Admit, AdmitOutcome, Admitted, Charge, KeyedCall, ProjectReserveOutcome, Render, SettleOutcome,
    Settled, operation_id,
};
