//! Perceived timings (wire.md §13).

use crate::id::BuildSessionId;

use super::fields::{FromFields, ObjectReader};

/// `POST /v1/timings`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimingRequest {
    /// Whose wait it was.
    pub session: BuildSessionId,
    /// The metric's name on the wire; `ttfi` stands as `ttft`.
    pub metric: &'static str,
    /// How long the person waited, in milliseconds; at most [`TimingRequest::MAX_MS`].
    pub milliseconds: u64,
}

impl TimingRequest {
    /// The longest wait: 1 h.
    pub const MAX_MS: u64 = 3_600_000;

    /// What may stand as `metric`, and what it means.
    const METRICS: [(&'static str, &'static str); 6] = [
        ("ttfb_chat", "ttfb_chat"),
        ("sse_connect", "sse_connect"),
        ("ttft", "ttft"),
        ("ttfi", "ttft"),
        ("tt_preview", "tt_preview"),
        ("tt_recs", "tt_recs"),
    ];
}

impl FromFields for TimingRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        let session = body.id("buildSessionId");
        let metric = body.one_of("metric", &Self::METRICS);
        let milliseconds = body.whole("milliseconds", 0, Self::MAX_MS);
        Some(Self {
            session: session?,
            metric: metric?,
            milliseconds: milliseconds?,
        })
    }
}
