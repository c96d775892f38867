//! What the door counts (wire.md §13).

use metrics::{counter, gauge};
use sheen_auth::signature::{Examined, Gate, GateObserver, Mode, Refusal, Report};
use sheen_core::time::Timestamp;

/// Counts every verification: `signature_verifications_total{scheme,outcome}`,
/// `signature_mismatch_total` (one scheme would be accepted, the other not) and
/// `replays_blocked_total`. Whatever [recorder](https://docs.rs/metrics) is installed gets them.
///
/// `scheme` is that of the signature that fitted, else `none`; `outcome` is `accepted` or the
/// refusal's code in lower case. Both are closed sets: no caller's text is ever a label.
///
/// Hand it to [`Gate::observed_by`](sheen_auth::signature::Gate::observed_by).
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SignatureMetrics;

impl SignatureMetrics {
    /// Counts to the recorder that is installed.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl GateObserver for SignatureMetrics {
    fn examined(&self, examined: &Examined) {
        let refusal = examined.verdict.as_ref().err().copied();
        let scheme = scheme_of(&examined.report);
        let outcome = outcome_of(refusal);
        counter!("signature_verifications_total", "scheme" => scheme, "outcome" => outcome)
            .increment(1);
        if examined.report.mismatch() {
            counter!("signature_mismatch_total").increment(1);
        }
        if refusal == Some(Refusal::NonceReplayed) {
            counter!("replays_blocked_total").increment(1);
        }
    }
}

fn scheme_of(report: &Report) -> &'static str {
    report.scheme.map_or("none", |scheme| scheme.as_str())
}

const fn outcome_of(refusal: Option<Refusal>) -> &'static str {
    match refusal {
        None => "accepted",
        Some(Refusal::QueryNotUtf8) => "query_not_utf8",
        Some(Refusal::Missing) => "signature_missing",
        Some(Refusal::TimestampInvalid) => "timestamp_invalid",
        Some(Refusal::NonceInvalid) => "nonce_invalid",
        Some(Refusal::KeyUnknown) => "key_unknown",
        Some(Refusal::Invalid) => "signature_invalid",
        Some(Refusal::V1Retired) => "signature_v1_retired",
        Some(Refusal::TimestampOutsideWindow) => "timestamp_outside_window",
        Some(Refusal::ReplayStoreUnavailable) => "replay_store_unavailable",
        Some(Refusal::NonceReplayed) => "nonce_replayed",
        Some(_) => "other",
    }
}

/// Sets the gauges of how far the keys of `gate` have come from v1 to v2, as of `now`: to be called
/// when metrics are about to be read.
///
/// - `signature_keys{mode}`: how many keys are in each mode; `signature_keys_latched`.
/// - `signature_keys_on_v1`: how many were seen on v1 in the last 24 h.
/// - `signature_keys_not_ready`: how many `enforce-v2` would shut out or has seen nothing of.
/// - `signature_would_refuse`: how many calls were let in that `enforce-v2` would refuse, since each
///   key's count began.
/// - `signature_store_failures`, `signature_timestamp_only`: since the process started.
///
/// Keys have no label of their own; [`Gate::readiness`] names them.
pub fn record_readiness(gate: &Gate, now: Timestamp) {
    const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
    let readiness = gate.readiness();
    for mode in Mode::ALL {
        let keys = readiness.keys.iter().filter(|key| key.mode == mode).count();
        gauge!("signature_keys", "mode" => mode.as_str()).set(figure(keys as u64));
    }
    let latched = readiness.keys.iter().filter(|key| key.latched).count();
    gauge!("signature_keys_latched").set(figure(latched as u64));
    let on_v1 = readiness.on_v1_since(now.minus(DAY)).count();
    gauge!("signature_keys_on_v1").set(figure(on_v1 as u64));
    let not_ready = readiness.keys.iter().filter(|key| !key.is_ready()).count();
    gauge!("signature_keys_not_ready").set(figure(not_ready as u64));
    let would_refuse = readiness.keys.iter().map(|key| key.would_refuse).sum();
    gauge!("signature_would_refuse").set(figure(would_refuse));
    gauge!("signature_store_failures").set(figure(readiness.store_failures));
    gauge!("signature_timestamp_only").set(figure(readiness.timestamp_only));
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
const fn figure(count: u64) -> f64 {
    count as f64
}
