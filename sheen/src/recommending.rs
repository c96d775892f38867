//! Recommendations beside builds: when a build's stream ends (wire.md §7).
//!
//! A settlement appends a build's last event and, where recommendations are wanted, leaves its
//! stream open ([`MemoryAdmission::leave_streams_open`]); this observer then ends it, at once where
//! there is nothing to wait for, else when recommendations have settled, 30 s later at the latest.
//!
//! [`MemoryAdmission::leave_streams_open`]: crate::admission::memory::MemoryAdmission::leave_streams_open

use std::error::Error;

use async_trait::async_trait;
use sheen_events::recommend::Recommendations;

use crate::admission::Settled;
use crate::worker::SettledObserver;

/// Ends the streams of settled builds once their recommendations have settled too.
#[derive(Debug, Clone)]
pub struct EndStreams(Recommendations);

impl EndStreams {
    /// Ends them as `recommendations` allow.
    #[must_use]
    pub const fn new(recommendations: Recommendations) -> Self {
        Self(recommendations)
    }
}

#[async_trait]
impl SettledObserver for EndStreams {
    async fn settled(&self, settled: &Settled) -> Result<(), Box<dyn Error + Send + Sync>> {
        let build = &settled.build;
        self.0
            .build_ended(&build.project, &build.session, &build.id)
            .await?;
        Ok(())
    }
}
