//! What a service supplies.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sheen_core::build::BuildReader;
use sheen_core::error::StoreError;
use sheen_core::id::BuildId;
use sheen_core::token::FencingToken;
use sheen_core::wire::SuggestionItem;

use super::types::NewRequest;

/// Makes recommendations: a model, or rules.
#[async_trait]
pub trait RecommendProvider: fmt::Debug + Send + Sync + 'static {
    /// Recommendations for a build, the best first. It is asked once; a future that takes longer
    /// than [`try_limit`](super::QueueLimits::try_limit) is dropped.
    ///
    /// # Errors
    /// When there are none; the text is shown to the person.
    async fn recommend(&self, request: &NewRequest) -> Result<Vec<SuggestionItem>, ProviderError>;
}

/// Why there are no recommendations, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ProviderError {
    /// What went wrong; cut at [`ProviderError::MAX`] bytes where it is kept.
    pub message: Arc<str>,
}

impl ProviderError {
    /// The longest message that is kept, in bytes.
    pub const MAX: usize = 2_000;

    /// A failure, in words for people.
    pub fn new(message: impl Into<Arc<str>>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// Whether builds wait, so that recommendations do.
pub trait BuildsFirst: fmt::Debug + Send + Sync + 'static {
    /// Whether a build waits for its turn now: then no recommendation begins.
    fn builds_wait(&self) -> bool;
}

/// Where builds are made elsewhere: recommendations are in nobody's way.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to add to it")]
pub struct NobodyWaits;

impl BuildsFirst for NobodyWaits {
    fn builds_wait(&self) -> bool {
        false
    }
}

/// The token under which a build's stream takes events.
#[async_trait]
pub trait WriterToken: fmt::Debug + Send + Sync + 'static {
    /// The build's token as it is now; `None` when there is no such build.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn token(&self, build: &BuildId) -> Result<Option<FencingToken>, StoreError>;
}

/// The tokens of builds in a store.
#[derive(Debug, Clone)]
pub struct BuildTokens(Arc<dyn BuildReader>);

impl BuildTokens {
    /// The tokens of the builds that `builds` reads.
    #[must_use]
    pub fn new(builds: Arc<dyn BuildReader>) -> Self {
        Self(builds)
    }
}

#[async_trait]
impl WriterToken for BuildTokens {
    async fn token(&self, build: &BuildId) -> Result<Option<FencingToken>, StoreError> {
        let found = self.0.get(build).await?;
        Ok(found.map(|queued| queued.build.token))
    }
}
