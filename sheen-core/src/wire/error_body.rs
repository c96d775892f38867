//! What every refusal looks like (wire.md §3).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::Timestamp;

/// A refusal. `error` is a text, so that a client keeps a code it does not know as it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct ErrorBody {
    /// The code.
    pub error: String,
    /// What happened, for people; never to be matched on.
    pub message: String,
    /// What belongs to the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
    /// The call it answers.
    pub request_id: String,
    /// When it was answered.
    pub timestamp: Timestamp,
}
