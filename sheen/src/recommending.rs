//! Recommendations beside builds: when a build's stream ends (wire.md §7).
//!
//! A settlement appends a build's last event and, where recommendations are wanted, leaves its
//! stream open ([`MemoryAdmission::leave_streams_open`]); this observer then ends it when
//! recommendations have settled, 30 s later at the latest, or after [`EndStreams::GRACE`] where nobody
//! asked for any: they are asked for after a start, and a build may be over before that.
//!
//! [`MemoryAdmission::leave_streams_open`]: crate::admission::memory::MemoryAdmission::leave_streams_open

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::build::Build;
use sheen_core::error::StoreError;
use sheen_core::runtime::Sleep;
use sheen_events::recommend::{Recommendations, Status};

use crate::admission::Settled;
use crate::worker::SettledObserver;

/// Ends the streams of settled builds once their recommendations have settled too.
#[derive(Debug, Clone)]
pub struct EndStreams {
    recommendations: Recommendations,
    sleep: Arc<dyn Sleep>,
}

impl EndStreams {
    /// How long after its end a build may still be asked recommendations for.
    pub const GRACE: Duration = Duration::from_secs(1);

    const LOOKS: u32 = 20;

    /// Ends them as `recommendations` allow.
    #[must_use]
    pub const fn new(recommendations: Recommendations, sleep: Arc<dyn Sleep>) -> Self {
        Self {
            recommendations,
            sleep,
        }
    }

    async fn is_asked(&self, build: &Build) -> Result<bool, StoreError> {
        let reading = self
            .recommendations
            .state(&build.user, &build.project, Some(&build.session));
        Ok(reading.await?.status != Status::Idle)
    }
}

#[async_trait]
impl SettledObserver for EndStreams {
    async fn settled(&self, settled: &Settled) -> Result<(), Box<dyn Error + Send + Sync>> {
        let build = &settled.build;
        for _ in 0..Self::LOOKS {
            if self.is_asked(build).await? {
                break;
            }
            self.sleep.sleep(Self::GRACE / Self::LOOKS).await;
        }
        self.recommendations
            .build_ended(&build.project, &build.session, &build.id)
            .await?;
        Ok(())
    }
}
