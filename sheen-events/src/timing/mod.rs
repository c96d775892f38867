//! How long a person waited, as the person's own client measured it (wire.md §13).
//!
//! 1. Everything is counted from one instant: the person's submit. Not from the request, not from
//!    the answer: what the client does in between is part of the wait.
//! 2. The definitions are frozen; a figure of one version compares with that of the next:
//!
//!    | metric | ends with |
//!    | --- | --- |
//!    | `ttfb_chat` | the first byte of the answer to the submit |
//!    | `sse_connect` | the `connection` event of the session's stream |
//!    | `ttft` (also sent as `ttfi`) | the first event or token of the session that a person can read |
//!    | `tt_preview` | the session's `deploy_completed` |
//!    | `tt_recs` | the session's `recommendations_ready` |
//!
//! 3. Each is measured once a session: what comes again is the same wait, seen again.
//! 4. Two sessions cannot be mixed: a [`Submitted`] becomes the [`SessionTimings`] of one session
//!    and is gone with that, a [`Timing`] is made by one alone and carries its session, and an
//!    event of another session measures nothing.
//! 5. A measure is at most [`Timing::MAX`]; more is refused rather than cut, since it says that a
//!    laptop slept, not that anyone waited.
//! 6. Measures feed a [`TimingRecorder`]; [`Histograms`] is one, of fixed size, without any id.
//!
//! ```
//! use std::time::Duration;
//! use sheen_core::id::BuildSessionId;
//! use sheen_events::timing::{Histograms, Metric, Seen, Submitted, TimingRecorder};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let at = Duration::from_millis; // Of any clock that never goes back.
//! let submitted = Submitted::at(at(1_000));
//! // The answer names the session: from here on there is one.
//! let mut timings = submitted.session(BuildSessionId::parse("bs_1")?);
//!
//! let histograms = Histograms::new();
//! for (seen, session, now) in [
//!     (Seen::FirstByte, "bs_1", at(1_180)),
//!     (Seen::Event("connection"), "bs_1", at(1_250)),
//!     (Seen::Event("deploy_completed"), "bs_0", at(1_260)), // A late one of another session.
//!     (Seen::Event("build_log"), "bs_1", at(1_400)),
//!     (Seen::Event("build_log"), "bs_1", at(1_500)),
//!     (Seen::Event("deploy_completed"), "bs_1", at(9_000)),
//! ] {
//!     for timing in timings.see(&BuildSessionId::parse(session)?, seen, now) {
//!         histograms.record(&timing);
//!     }
//! }
//! let preview = histograms.snapshot(Metric::TtPreview);
//! assert_eq!((preview.count(), preview.sum()), (1, Duration::from_secs(8)));
//! assert_eq!(histograms.snapshot(Metric::Ttft).sum(), Duration::from_millis(400));
//! # Ok(())
//! # }
//! ```
//!
//! A submit belongs to one session:
//!
//! ```compile_fail,E0382
//! # use std::time::Duration;
//! # use sheen_core::id::BuildSessionId;
//! # use sheen_events::timing::Submitted;
//! let submitted = Submitted::at(Duration::ZERO);
//! let first = submitted.session(BuildSessionId::parse("bs_1").unwrap());
//! let second = submitted.session(BuildSessionId::parse("bs_2").unwrap());
//! ```
//!
//! Nor can its timings be doubled, to go on as another's:
//!
//! ```compile_fail,E0599
//! # use std::time::Duration;
//! # use sheen_core::id::BuildSessionId;
//! # use sheen_events::timing::Submitted;
//! let first = Submitted::at(Duration::ZERO).session(BuildSessionId::parse("bs_1").unwrap());
//! let second = first.clone();
//! ```

mod histogram;
mod session;
#[cfg(test)]
mod tests;
mod types;

pub use histogram::{Histogram, Histograms};
pub use session::{Seen, SessionTimings, Submitted};
pub use types::{Metric, Timing, TimingError, TimingRecorder};
