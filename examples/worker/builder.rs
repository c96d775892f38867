//! The site builder as the worker's [`Builder`].

use std::sync::Arc;

use async_trait::async_trait;
use examples::site::build::SiteBuilder;
use examples::site::command;
use serde_json::Map;
use sheen::admission::Settled;
use sheen::builder::{BuildError, Builder, Built, Job, Progress};
use sheen::worker::SettledObserver;
use sheen_core::build::Status;
use sheen_events::log::EventType;

/// Writes a build's files, checks their links, runs the build command and publishes the result.
#[derive(Debug)]
pub(crate) struct Sites {
    pub(crate) sites: Arc<SiteBuilder>,
    /// What stands before `/preview/`.
    pub(crate) preview_origin: String,
}

#[async_trait]
impl Builder for Sites {
    async fn build(&self, job: &Job, progress: &Progress) -> Result<Built, BuildError> {
        let files = &job.input.files;
        let plan = format!("Checking and publishing {} files.", files.len());
        progress
            .report(EventType::PLAN_STARTED, &plan, Map::new())
            .await?;
        let lines = Lines(progress);
        let seconds = self
            .sites
            .build(&job.build.id, files, &lines, progress.stopped())
            .await
            .map_err(|error| BuildError::new(with_causes(&error)))?;
        if progress.is_stopped() {
            // Called off while it was being published.
            let _ = self.sites.unpublish(&job.build.id);
            return Err(BuildError::new("the build was stopped"));
        }
        let url = format!("{}/preview/{}/", self.preview_origin, job.build.id);
        Ok(Built::new(url, seconds))
    }
}

/// Takes back the site of a build that was called off when it had just been published.
#[derive(Debug)]
pub(crate) struct Unpublish(pub(crate) Arc<SiteBuilder>);

#[async_trait]
impl SettledObserver for Unpublish {
    async fn settled(
        &self,
        settled: &Settled,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if settled.build.status == Status::Failed {
            self.0.unpublish(&settled.build.id)?;
        }
        Ok(())
    }
}

/// The error and what caused it: the person who started the build is who can mend it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Passes a command's lines on as events.
struct Lines<'a>(&'a Progress);

#[async_trait]
impl command::Progress for Lines<'_> {
    async fn line(&self, line: &str) {
        if let Err(error) = self.0.log(line).await {
            tracing::debug!(%error, "a line was not logged");
        }
    }

    async fn publishing(&self) {
        let said = self.0.report(
            EventType::DEPLOY_STARTED,
            "Publishing your site.",
            Map::new(),
        );
        if let Err(error) = said.await {
            tracing::debug!(%error, "the deployment was not announced");
        }
    }
}
