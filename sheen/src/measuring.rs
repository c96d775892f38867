//! What builds used, as samples of the estimates to come (wire.md §6).

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use sheen_billing::estimate::{Estimator, OperationType, ProjectSize, Sample};
use sheen_core::build::{BuildKind, BuildReader, Status};
use sheen_core::id::OperationId;

use crate::admission::Settled;
use crate::worker::SettledObserver;

/// What a build of this kind is estimated as.
pub(crate) const fn operation_of(kind: BuildKind) -> OperationType {
    match kind {
        BuildKind::Update => OperationType::Update,
        _ => OperationType::MainBuild,
    }
}

/// Records what each deployed build used, once, by the build's id. What failed or was cancelled
/// says nothing of how long the work takes.
#[derive(Debug, Clone)]
pub struct MeasureBuilds {
    estimator: Arc<Estimator>,
    builds: Arc<dyn BuildReader>,
}

impl MeasureBuilds {
    /// Records with `estimator`, whose worker's builds are in `builds`.
    #[must_use]
    pub const fn new(estimator: Arc<Estimator>, builds: Arc<dyn BuildReader>) -> Self {
        Self { estimator, builds }
    }
}

#[async_trait]
impl SettledObserver for MeasureBuilds {
    async fn settled(&self, settled: &Settled) -> Result<(), Box<dyn Error + Send + Sync>> {
        let build = &settled.build;
        let (Status::Deployed, Some(used), Some(hold)) = (build.status, build.seconds, &build.hold)
        else {
            return Ok(());
        };
        let files = self.builds.project_files(&build.project).await?.len();
        self.estimator
            .record(Sample::new(
                OperationId::derive(&["build", build.id.as_str()]),
                operation_of(build.kind),
                ProjectSize::of_files(files),
                hold.seconds,
                used,
            ))
            .await?;
        Ok(())
    }
}
