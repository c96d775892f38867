//! What the site lacks, as the worker's recommendations.

use std::sync::Arc;

use async_trait::async_trait;
use examples::site::lacks;
use sheen_core::build::BuildReader;
use sheen_core::wire::SuggestionItem;
use sheen_events::recommend::{NewRequest, ProviderError, RecommendProvider};

/// Looks at a project's pages. No model is asked: the same files get the same recommendations.
#[derive(Debug)]
pub(crate) struct Lacks(pub(crate) Arc<dyn BuildReader>);

#[async_trait]
impl RecommendProvider for Lacks {
    async fn recommend(&self, request: &NewRequest) -> Result<Vec<SuggestionItem>, ProviderError> {
        let files = self
            .0
            .project_files(&request.project)
            .await
            .map_err(|_| ProviderError::new("The site's files could not be read."))?;
        Ok(lacks::recommend(&files))
    }
}
