//! [`SiteBuilder`] as what a worker builds with.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use sheen::admission::Settled;
use sheen::builder::{self, BuildError, Builder, Built, Job};
use sheen::worker::SettledObserver;
use sheen_core::build::Status;
use sheen_core::id::BuildId;
use sheen_events::log::EventType;

use super::build::SiteBuilder;
use super::command::Progress;

/// Builds sites for a worker, each to be seen under one address.
#[derive(Debug, Clone)]
pub struct PreviewBuilder {
    sites: Arc<SiteBuilder>,
    origin: Arc<str>,
}

impl PreviewBuilder {
    /// Builds with `sites`; previews are at `{origin}/preview/{buildId}/`. `origin` has no slash
    /// at its end.
    pub fn new(sites: Arc<SiteBuilder>, origin: impl Into<Arc<str>>) -> Self {
        Self {
            sites,
            origin: origin.into(),
        }
    }

    /// Where a build's site can be seen.
    #[must_use]
    pub fn preview_url(&self, build: &BuildId) -> String {
        // An id's characters all stand for themselves in a path.
        format!("{}/preview/{build}/", self.origin)
    }
}

#[async_trait]
impl Builder for PreviewBuilder {
    async fn build(&self, job: &Job, progress: &builder::Progress) -> Result<Built, BuildError> {
        let id = &job.build.id;
        let built = self
            .sites
            .build(
                id,
                &job.input.files,
                &Reported(progress),
                progress.stopped(),
            )
            .await;
        match built {
            Ok(seconds) => Ok(Built::new(self.preview_url(id), seconds)),
            Err(error) => {
                // The person is told what went wrong; the system's own words are for the log.
                let cause = error.source().map(ToString::to_string);
                tracing::info!(build = %id, %error, cause, "build failed");
                Err(BuildError::new(error.to_string()))
            }
        }
    }
}

/// A build that was settled otherwise than as deployed has no preview, though its site may have
/// been published in the moment before.
#[async_trait]
impl SettledObserver for PreviewBuilder {
    async fn settled(&self, settled: &Settled) -> Result<(), Box<dyn Error + Send + Sync>> {
        if settled.build.status == Status::Deployed {
            return Ok(());
        }
        let sites = Arc::clone(&self.sites);
        let id = settled.build.id.clone();
        tokio::task::spawn_blocking(move || sites.unpublish(&id)).await??;
        Ok(())
    }
}

/// A build's lines as events.
struct Reported<'a>(&'a builder::Progress);

impl Reported<'_> {
    fn note(result: Result<(), builder::ProgressError>) {
        // A line that is lost does not spoil a build; one that was taken over is told to stop by
        // `stopped`.
        if let Err(error) = result {
            tracing::debug!(%error, "a build's event was not taken");
        }
    }
}

#[async_trait]
impl Progress for Reported<'_> {
    async fn line(&self, line: &str) {
        Self::note(self.0.log(line).await);
    }

    async fn publishing(&self) {
        let data = serde_json::Map::new();
        Self::note(
            self.0
                .report(EventType::DEPLOY_STARTED, "Publishing the site", data)
                .await,
        );
    }
}
