//! Requests and answers as they stand on the wire (wire.md §§3–8, 12, 13), without logic.
//!
//! 1. A request is read field by field from its JSON object, so that every wrong field is named at
//!    once; what a request does not know is ignored.
//! 2. `null` is the same as absent. Of a key given twice the last counts, as in `JSON.parse`.
//! 3. A whole number must be written as one: `1.0` and `1e2` are not.
//! 4. The user is no part of a request here: a call may name it in query, path or body.
//! 5. Answers are camelCase; what is absent is left out unless the wire says `null`.
//!
//! ```
//! use sheen_core::error::Fields;
//! use sheen_core::wire::{FromFields, ObjectReader, ReserveRequest};
//!
//! let serde_json::Value::Object(body) = serde_json::json!({"seconds": 0, "ttlSeconds": "1h"}) else {
//!     unreachable!()
//! };
//! let mut fields = Fields::new();
//! let request = ReserveRequest::read(&mut ObjectReader::new(body, &mut fields));
//! assert!(request.is_none());
//! let wrong: Vec<_> = fields.finish().unwrap_err().0.into_iter().map(|f| (f.field, f.code)).collect();
//! assert_eq!(wrong, [
//!     ("operationId".into(), "required"),
//!     ("seconds".into(), "out_of_range"),
//!     ("ttlSeconds".into(), "wrong_type"),
//! ]);
//! ```

mod batch;
mod billing;
mod builds;
mod credits;
mod error_body;
mod estimate;
mod fields;
mod messages;
mod recommendations;
mod replay;
mod start;
mod suggestions;
#[cfg(test)]
mod tests;
mod timings;

pub use batch::{BatchMember, BatchStartRequest};
pub use billing::{
    BalanceAnswer, BalanceItem, BatchBalanceAnswer, BatchBalanceRequest, CheckSufficientAnswer,
    CheckSufficientRequest, CreditAnswer, CreditRequest, HistoryAnswer, HistoryItem, PackageHint,
};
pub use builds::{BuildAnswer, ProjectItem, ProjectsAnswer, ViewerTokenAnswer};
pub use credits::{
    BalanceFigures, CommitAnswer, CommitRequest, ReleaseAnswer, ReleaseRequest, ReserveAnswer,
    ReserveRequest, UsageFigures,
};
pub use error_body::ErrorBody;
pub use estimate::{Confidence, EstimateAnswer, EstimateRequest, OperationType, ProjectSize};
pub use fields::{FromFields, ObjectReader};
pub use messages::{MessageItem, MessagesAnswer};
pub use recommendations::RecommendationsAnswer;
pub use replay::ReplayRequest;
pub use start::{HeldSeconds, StartAnswer, StartRequest};
pub use suggestions::{AnalysisFields, SuggestRequest, SuggestionItem, SuggestionsAnswer};
pub use timings::TimingRequest;
