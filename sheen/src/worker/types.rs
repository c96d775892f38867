//! What a worker is told and how it is set up.

use std::fmt;
use std::sync::Arc;

use sheen_core::build::BuildInput;
use sheen_core::id::{BuildSessionId, ProjectId, UserId};

use crate::admission::{KeyedCall, Render};

/// The wish to have something built.
#[derive(Clone)]
#[non_exhaustive]
pub struct Start {
    /// Who asks.
    pub user: UserId,
    /// For which project.
    pub project: ProjectId,
    /// What the caller calls it; one is made when it does not say.
    pub session: Option<BuildSessionId>,
    /// What to build.
    pub input: BuildInput,
    /// Whether it may run beside another build of the project.
    pub allow_concurrent: bool,
    /// The call's idempotency key, where it came with one.
    pub call: Option<KeyedCall>,
    /// Makes the answer from what was admitted.
    pub render: Arc<Render>,
}

impl Start {
    /// A start in a session of its own.
    #[must_use]
    pub fn new(user: UserId, project: ProjectId, input: BuildInput, render: Arc<Render>) -> Self {
        Self { user, project, session: None, input, allow_concurrent: false, call: None, render }
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("user", &self.user)
            .field("project", &self.project)
            .field("session", &self.session)
            .field("input", &self.input)
            .field("allow_concurrent", &self.allow_concurrent)
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
