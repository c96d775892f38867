//! A build as its owner sees it.

use serde::{Deserialize, Serialize};

use crate::build::{Build, FailureReason, ProjectLatest, Status};
use crate::error::Fields;
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

/// A project in the answer to `GET /v1/projects/batch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct ProjectItem {
    /// The project.
    pub project_id: ProjectId,
    /// The build admitted last; `null` before the first one.
    pub latest_build: Option<BuildAnswer>,
}

impl From<&ProjectLatest> for ProjectItem {
    fn from(found: &ProjectLatest) -> Self {
        Self {
            project_id: found.project.clone(),
            latest_build: found.build.as_ref().map(BuildAnswer::from),
        }
    }
}

/// The answer to `GET /v1/projects/batch?ids=a,b`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct ProjectsAnswer {
    /// In the order they were asked for, unknown ones and other people's left out.
    pub projects: Vec<ProjectItem>,
}

impl ProjectsAnswer {
    /// How many projects one call may ask about.
    pub const MAX_PROJECTS: usize = 100;

    /// Reads the parameter `ids`: one to [`MAX_PROJECTS`](Self::MAX_PROJECTS) ids with commas
    /// between them. What is wrong is noted in `fields`.
    pub fn read_ids(ids: &str, fields: &mut Fields) -> Vec<ProjectId> {
        if ids.is_empty() {
            fields.refuse("ids", "required", "is required");
            return Vec::new();
        }
        if ids.split(',').nth(Self::MAX_PROJECTS).is_some() {
            let message = format!("must be at most {} ids", Self::MAX_PROJECTS);
            fields.refuse("ids", "too_many", message);
            return Vec::new();
        }
        let mut read = Vec::new();
        for (index, id) in ids.split(',').enumerate() {
            match ProjectId::parse(id) {
                Ok(id) => read.push(id),
                Err(error) => {
                    fields.refuse(format!("ids[{index}]"), error.code(), error.to_string());
                }
            }
        }
        read
    }
}
