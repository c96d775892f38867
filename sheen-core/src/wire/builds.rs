//! A build as its owner sees it.

use serde::{Deserialize, Serialize};

use crate::build::{Build, FailureReason, Status};
use crate::id::{BuildId, BuildSessionId, ProjectId, VersionId};
use crate::seconds::Seconds;
use crate::time::Timestamp;

/// The answer to `GET /v1/builds/{id}` and to a cancel (wire.md §5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct BuildAnswer {
    /// The build.
    pub build_id: BuildId,
    /// The version it makes.
    pub version_id: VersionId,
    /// Its project.
    pub project_id: ProjectId,
    /// What the caller calls it.
    pub build_session_id: BuildSessionId,
    /// Where it stands.
    pub status: Status,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<FailureReason>,
    /// Where the result can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_url: Option<String>,
    /// When it was admitted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// What it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Seconds>,
}

impl From<&Build> for BuildAnswer {
    fn from(build: &Build) -> Self {
        Self {
            build_id: build.id.clone(),
            version_id: build.version.clone(),
            project_id: build.project.clone(),
            build_session_id: build.session.clone(),
            status: build.status,
            reason: build.reason,
            preview_url: build.preview_url.as_deref().map(str::to_owned),
            created_at: build.created_at,
            updated_at: build.updated_at,
            seconds: build.seconds,
        }
    }
}

/// The answer to `POST /v1/builds/{id}/viewer-token`. The token is a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct ViewerTokenAnswer {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for ViewerTokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewerTokenAnswer")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
