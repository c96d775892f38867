//! What the door counts, and what clients say they waited (wire.md §13).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use sheen_auth::replay::MemoryReplayStore;
use sheen_auth::signature::{Gate, Headers, KeyRing, Mode, Request, Scratch, Signer, Verifier};
use sheen_axum::signature::{SignatureMetrics, record_readiness};
use sheen_axum::timing::TimingMetrics;
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::BuildSessionId;
use sheen_core::time::{Clock, ManualClock, Timestamp};
use sheen_events::timing::{Metric, Timing, TimingRecorder};

use crate::support::key;

/// Each metric with its labels, and its figure.
fn figures(recorder: &DebuggingRecorder) -> BTreeMap<String, u64> {
    let snapshot = recorder.snapshotter().snapshot().into_vec();
    let figure = |value: &DebugValue| match value {
        DebugValue::Counter(count) => *count,
        DebugValue::Gauge(figure) => format!("{}", figure.into_inner()).parse().unwrap(),
        DebugValue::Histogram(_) => panic!("the door has no histogram"),
    };
    let line = |key: &metrics_util::CompositeKey| {
        let mut labels: Vec<_> = key
            .key()
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        labels.sort();
        format!("{}{{{}}}", key.key().name(), labels.join(","))
    };
    let lines = snapshot.iter();
    lines
        .map(|(key, _, _, value)| (line(key), figure(value)))
        .collect()
}

#[test]
fn verifications_mismatches_and_replays_are_counted_under_closed_labels() {
    let start = Timestamp::parse_rfc3339("2026-11-20T10:30:00Z").unwrap();
    let clock = Arc::new(ManualClock::at(start));
    let verifier = Verifier::new(KeyRing::new(vec![key()]).unwrap(), Mode::Dual);
    let replay = Arc::new(MemoryReplayStore::new(clock.clone(), 1000));
    let gate = Gate::new(verifier, replay, clock.clone());
    let gate = gate.observed_by(Arc::new(SignatureMetrics::new()));
    let signer = Signer::new(key()).with_v1();
    let both = signer.sign("GET", "/", None, b"", start, &SeededEntropy::new(1));
    let both = both.unwrap();
    let wrong = "0".repeat(64);
    let v1 = Headers {
        signature: both.signature.as_deref(),
        ..Headers::default()
    };
    let half = Headers {
        sig_v2: Some(&wrong),
        ..both.as_headers()
    };
    let odd = Headers {
        key_id: Some("a-label-that-must-not-be"),
        ..both.as_headers()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let mut scratch = Scratch::new();
            for headers in [
                both.as_headers(),
                both.as_headers(),
                v1,
                half,
                odd,
                Headers::default(),
            ] {
                let request = Request::new("GET", "/", None, headers, b"");
                let _ = gate.admit(&request, &mut scratch).await;
            }
        });
        record_readiness(&gate, clock.now());
    });
    let told = figures(&recorder);
    let verifications = |scheme: &str, outcome: &str| {
        let line = format!("signature_verifications_total{{outcome={outcome},scheme={scheme}}}");
        told.get(&line).copied()
    };
    assert_eq!(verifications("v2", "accepted"), Some(1), "{told:?}");
    assert_eq!(verifications("v2", "nonce_replayed"), Some(1));
    assert_eq!(verifications("v1", "accepted"), Some(1));
    assert_eq!(verifications("none", "signature_missing"), Some(1));
    assert_eq!(verifications("none", "key_unknown"), Some(1));
    let rejected = ["v1", "none"].map(|scheme| verifications(scheme, "signature_invalid"));
    assert!(rejected.contains(&Some(1)), "{told:?}");
    assert_eq!(told["signature_mismatch_total{}"], 1);
    assert_eq!(told["replays_blocked_total{}"], 1);
    assert_eq!(told["signature_keys{mode=dual}"], 1);
    assert_eq!(told["signature_keys{mode=enforce-v2}"], 0);
    assert_eq!(told["signature_keys_on_v1{}"], 1);
    assert_eq!(told["signature_keys_not_ready{}"], 1);
    assert_eq!(told["signature_would_refuse{}"], 1);
    assert!(
        told.keys()
            .all(|line| !line.contains("a-label") && !line.contains("k1"))
    );
}

#[test]
fn each_wait_is_in_its_metrics_histogram_in_seconds_without_a_label() {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        for metric in Metric::ALL {
            let session = BuildSessionId::parse("bs_1").unwrap();
            let wait = Timing::reported(session, metric, Duration::from_millis(1_500));
            TimingMetrics::new().record(&wait.unwrap());
        }
    });
    let told = recorder.snapshotter().snapshot().into_vec();
    let mut names: Vec<String> = told
        .iter()
        .map(|(key, _, _, value)| {
            assert_eq!(key.key().labels().count(), 0);
            assert_eq!(*value, DebugValue::Histogram(vec![1.5.into()]));
            key.key().name().to_owned()
        })
        .collect();
    names.sort();
    let all = ["sse_connect", "tt_preview", "tt_recs", "ttfb_chat", "ttft"];
    assert_eq!(names, all);
}
