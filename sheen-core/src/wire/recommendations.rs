//! Recommendations of a build (wire.md §7).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::suggestions::SuggestionItem;
use crate::id::BuildSessionId;

/// The answer to `GET /v1/projects/{id}/recommendations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct RecommendationsAnswer {
    /// `idle`, `pending`, `ready` or `failed`.
    pub status: Cow<'static, str>,
    /// What is ready: `quick`, `ai`, or nothing.
    pub ready_source: Option<Cow<'static, str>>,
    /// What was suggested at once.
    pub quick_suggestions: Vec<SuggestionItem>,
    /// What was recommended.
    pub recommendations: Vec<SuggestionItem>,
    /// For which build session.
    pub build_session_id: Option<BuildSessionId>,
    /// Why there are no recommendations, for people.
    pub error: Option<String>,
}
