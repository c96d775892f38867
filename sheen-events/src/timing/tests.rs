//! Definitions, bounds, and that sessions do not mix.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use sheen_core::id::BuildSessionId;
use std::time::Duration;

fn session(name: &str) -> BuildSessionId {
    BuildSessionId::parse(name).unwrap()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn seen_at(timings: &mut SessionTimings, seen: Seen<'_>, now: u64) -> Vec<(Metric, u64)> {
    let own = timings.session().clone();
    let complete = timings.see(&own, seen, ms(now)).into_iter();
    let plain = complete.map(|timing| {
        assert_eq!(*timing.session(), own);
        let waited = u64::try_from(timing.waited().as_millis()).unwrap();
        (timing.metric(), waited)
    });
    plain.collect()
}

#[test]
fn names_are_those_of_the_wire_and_ttfi_is_ttft() {
    let names = Metric::ALL.map(Metric::as_str);
    assert_eq!(
        names,
        ["ttfb_chat", "sse_connect", "ttft", "tt_preview", "tt_recs"]
    );
    for metric in Metric::ALL {
        assert_eq!(Metric::from_name(metric.as_str()), Some(metric));
        assert_eq!(Metric::ALL[metric.index()], metric);
    }
    assert_eq!(Metric::from_name("ttfi"), Some(Metric::Ttft));
    assert_eq!(Metric::from_name("TTFT"), None);
}

#[test]
fn each_wait_begins_at_the_submit_and_is_measured_once() {
    let mut timings = Submitted::at(ms(500)).session(session("bs_1"));
    assert_eq!(
        seen_at(&mut timings, Seen::FirstByte, 620),
        [(Metric::TtfbChat, 120)]
    );
    assert_eq!(
        seen_at(&mut timings, Seen::Event("connection"), 700),
        [(Metric::SseConnect, 200)]
    );
    for control in ["caught_up", "closed", "token_expired"] {
        assert_eq!(seen_at(&mut timings, Seen::Event(control), 705), []);
    }
    assert_eq!(
        seen_at(&mut timings, Seen::Event("build_queued"), 710),
        [(Metric::Ttft, 210)]
    );
    assert_eq!(seen_at(&mut timings, Seen::Token, 720), []);
    assert_eq!(
        seen_at(&mut timings, Seen::Event("deploy_completed"), 60_500),
        [(Metric::TtPreview, 60_000)]
    );
    // A reconnect sends events again: the same waits, seen again.
    assert_eq!(seen_at(&mut timings, Seen::Event("connection"), 61_000), []);
    assert_eq!(
        seen_at(&mut timings, Seen::Event("deploy_completed"), 61_000),
        []
    );
    assert_eq!(
        seen_at(&mut timings, Seen::Event("recommendations_ready"), 62_500),
        [(Metric::TtRecs, 62_000)]
    );
    // A failed build has no preview.
    let mut failed = Submitted::at(ms(0)).session(session("bs_2"));
    let seen = seen_at(&mut failed, Seen::Event("deploy_failed"), 9);
    assert_eq!(seen, [(Metric::Ttft, 9)]);
}

#[test]
fn a_wait_that_is_too_long_is_no_measure_and_is_not_measured_later() {
    let mut timings = Submitted::at(ms(0)).session(session("bs_1"));
    assert_eq!(seen_at(&mut timings, Seen::FirstByte, 3_600_001), []);
    assert_eq!(seen_at(&mut timings, Seen::FirstByte, 10), []);
    let longest = Timing::reported(session("s"), Metric::Ttft, Timing::MAX);
    assert_eq!(longest.unwrap().waited(), Timing::MAX);
    let longer = Timing::reported(session("s"), Metric::Ttft, Timing::MAX + ms(1));
    assert_eq!(longer, Err(TimingError));
}

#[test]
fn buckets_hold_their_bounds_and_counts_are_cumulative() {
    let histograms = Histograms::new();
    for millis in [0, 50, 51, 100, 599_999, 600_000, 600_001, 3_600_000] {
        let timing = Timing::reported(session("s"), Metric::SseConnect, ms(millis)).unwrap();
        histograms.record(&timing);
    }
    let counted = histograms.snapshot(Metric::SseConnect);
    let at = |bound: Option<u64>| {
        let mut all = counted.cumulative();
        all.find(|(up_to, _)| *up_to == bound.map(ms)).unwrap().1
    };
    assert_eq!((at(Some(50)), at(Some(100)), at(Some(200))), (2, 4, 4));
    assert_eq!((at(Some(600_000)), at(None)), (6, 8));
    assert_eq!(counted.count(), 8);
    assert_eq!(counted.sum(), ms(5_400_201));
    assert_eq!(histograms.snapshot(Metric::Ttft).count(), 0);
}

#[test]
fn nothing_is_lost_between_threads() {
    let histograms = Arc::new(Histograms::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..1000 {
                    let timing = Timing::reported(session("s"), Metric::TtRecs, ms(n));
                    histograms.record(&timing.unwrap());
                }
            });
        }
    });
    let counted = histograms.snapshot(Metric::TtRecs);
    assert_eq!((counted.count(), counted.sum()), (4000, ms(4 * 499_500)));
}

proptest! {
    /// Two sessions at once, everything that is seen told to both: each measures its own alone.
    #[test]
    fn two_sessions_never_mix(
        seen in prop::collection::vec((0..2usize, 0..6usize, 0..5_000u64), 0..60),
    ) {
        let kinds = [
            Seen::FirstByte,
            Seen::Token,
            Seen::Event("connection"),
            Seen::Event("build_log"),
            Seen::Event("deploy_completed"),
            Seen::Event("recommendations_ready"),
        ];
        let sessions = [session("bs_a"), session("bs_b")];
        let submits = [ms(100), ms(700)];
        let begin = |n: usize| Submitted::at(submits[n]).session(sessions[n].clone());
        let (mut both, mut alone) = ([begin(0), begin(1)], [begin(0), begin(1)]);
        for (whose, kind, now) in seen {
            let (kind, now) = (kinds[kind], ms(now));
            let expected = alone[whose].see(&sessions[whose], kind, now);
            let mut got = Vec::new();
            for timings in &mut both {
                got.extend(timings.see(&sessions[whose], kind, now));
            }
            for timing in &got {
                prop_assert_eq!(timing.session(), &sessions[whose]);
                prop_assert_eq!(timing.waited(), now.saturating_sub(submits[whose]));
            }
            prop_assert_eq!(got, expected);
        }
    }
}
