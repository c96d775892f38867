//! The rule, the memory store, the limiter and what answers say. The lines are those of the
//! catalogue of failures for rate limits, L1 to L11; L7 is in `tests/it`, L8 in `address`, L10 with
//! the layers.

mod figures;
mod laws;
mod limiter;
mod memory;
mod table;
