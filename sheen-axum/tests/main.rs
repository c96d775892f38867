//! The routes in process, over memory stores and a clock that stands still.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "it/answer.rs"]
mod answer;
#[path = "it/bad_input.rs"]
mod bad_input;
#[path = "it/batches.rs"]
mod batches;
#[path = "it/builds.rs"]
mod builds;
#[path = "it/codes.rs"]
mod codes;
#[path = "it/compression.rs"]
mod compression;
#[path = "it/coverage.rs"]
mod coverage;
#[path = "it/doors.rs"]
mod doors;
#[path = "it/events.rs"]
mod events;
#[path = "it/failures.rs"]
mod failures;
#[path = "it/idempotency.rs"]
mod idempotency;
#[path = "it/ids.rs"]
mod ids;
#[path = "it/leases.rs"]
mod leases;
#[path = "it/limits.rs"]
mod limits;
#[path = "it/logs.rs"]
mod logs;
#[path = "it/metrics.rs"]
mod metrics;
#[path = "it/money.rs"]
mod money;
#[path = "it/negatives.rs"]
mod negatives;
#[path = "it/nested.rs"]
mod nested;
#[path = "it/replay.rs"]
mod replay;
#[path = "it/revoked.rs"]
mod revoked;
#[cfg(feature = "serve")]
#[path = "it/serve.rs"]
mod serve;
#[path = "it/signed_urls.rs"]
mod signed_urls;
#[path = "it/sockets.rs"]
mod sockets;
#[path = "it/support.rs"]
mod support;
#[path = "it/talk.rs"]
mod talk;
