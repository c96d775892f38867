//! What is measured.

use std::fmt;
use std::time::Duration;

use sheen_core::id::BuildSessionId;

/// A wait with a frozen definition; all of them begin at the submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Metric {
    /// To the first byte of the answer to the submit.
    TtfbChat,
    /// To the `connection` event of the session's stream.
    SseConnect,
    /// To the first event or token of the session that a person can read.
    Ttft,
    /// To the session's `deploy_completed`.
    TtPreview,
    /// To the session's `recommendations_ready`.
    TtRecs,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 5] = [
        Self::TtfbChat,
        Self::SseConnect,
        Self::Ttft,
        Self::TtPreview,
        Self::TtRecs,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TtfbChat => "ttfb_chat",
            Self::SseConnect => "sse_connect",
            Self::Ttft => "ttft",
            Self::TtPreview => "tt_preview",
            Self::TtRecs => "tt_recs",
        }
    }

    /// The metric with this name; `ttfi` is what some clients call `ttft`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = if name == "ttfi" { "ttft" } else { name };
        Self::ALL.into_iter().find(|metric| metric.as_str() == name)
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::TtfbChat => 0,
            Self::SseConnect => 1,
            Self::Ttft => 2,
            Self::TtPreview => 3,
            Self::TtRecs => 4,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One measure of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    session: BuildSessionId,
    metric: Metric,
    waited: Duration,
}

/// Why a wait is no measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be at most 3600000 ms")]
#[non_exhaustive]
pub struct TimingError;

impl Timing {
    /// The longest wait, 1 h: what is longer says that a machine slept.
    pub const MAX: Duration = Duration::from_secs(3600);

    /// What a client says of its session (`POST /v1/timings`).
    ///
    /// # Errors
    /// When it is over [`Timing::MAX`].
    pub fn reported(
        session: BuildSessionId,
        metric: Metric,
        waited: Duration,
    ) -> Result<Self, TimingError> {
        if waited > Self::MAX {
            return Err(TimingError);
        }
        Ok(Self {
            session,
            metric,
            waited,
        })
    }

    /// Whose wait it was.
    #[must_use]
    pub const fn session(&self) -> &BuildSessionId {
        &self.session
    }

    /// What for.
    #[must_use]
    pub const fn metric(&self) -> Metric {
        self.metric
    }

    /// How long.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }
}

/// Takes measures: into [`Histograms`](super::Histograms), or whatever a service counts with. No
/// session may become a label.
pub trait TimingRecorder: fmt::Debug + Send + Sync + 'static {
    /// Takes a measure. Never blocks, never fails.
    fn record(&self, timing: &Timing);
}
