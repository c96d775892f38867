//! The reader's state machine.

use std::time::Duration;

use proptest::prelude::*;
use sheen_core::id::BuildSessionId;
use sheen_core::wire::RecommendationsAnswer;

use super::item;
use crate::recommend::{RecommendReader, Showing};

fn session(name: &str) -> BuildSessionId {
    BuildSessionId::parse(name).unwrap()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn answer(
    of: &str,
    status: &str,
    quick: &[&str],
    recommended: &[&str],
    error: Option<&str>,
) -> RecommendationsAnswer {
    RecommendationsAnswer {
        status: status.to_owned().into(),
        ready_source: None,
        quick_suggestions: quick.iter().map(|id| item(id)).collect(),
        recommendations: recommended.iter().map(|id| item(id)).collect(),
        build_session_id: Some(session(of)),
        error: error.map(str::to_owned),
    }
}

#[test]
fn quick_ones_first_then_recommendations_once_they_are_announced() {
    let own = session("s");
    let mut reader = RecommendReader::new(own.clone());
    reader.started(vec![item("qs-seo")]);
    assert_eq!(reader.showing(), Showing::QuickForNow);
    reader.event(&own, "build_log", at(1));
    reader.event(&session("other"), "recommendations_ready", at(2));
    assert!(!reader.is_to_ask(at(1000)));
    reader.event(&own, "recommendations_ready", at(5));
    assert!(reader.is_to_ask(at(5)));
    reader.asking(at(5));
    assert!(!reader.is_to_ask(at(6)));
    // A replica behind says pending: asked again, a while later.
    reader.answered(answer("s", "pending", &["qs-seo"], &[], None));
    assert!(reader.is_to_ask(at(7)));
    reader.asking(at(7));
    reader.answered(answer("other", "ready", &[], &["x"], None));
    assert_eq!(reader.showing(), Showing::QuickForNow);
    reader.answered(answer("s", "ready", &["qs-seo"], &["a", "b"], None));
    assert_eq!(reader.showing(), Showing::Recommendations);
    assert_eq!(reader.items().len(), 2);
    // Nothing that comes late takes them away.
    reader.answered(answer("s", "pending", &[], &[], None));
    reader.event(&own, "recommendations_failed", at(9));
    assert_eq!(reader.showing(), Showing::Recommendations);
    assert!(!reader.is_to_ask(at(9999)));
}

#[test]
fn a_failure_shows_quick_ones_and_the_error() {
    let own = session("s");
    let mut reader = RecommendReader::new(own.clone());
    reader.event(&own, "recommendations_failed", at(3));
    assert!(reader.is_to_ask(at(3)));
    reader.answered(answer("s", "ready", &["qs-seo"], &[], Some("too long")));
    assert_eq!(reader.showing(), Showing::Quick);
    assert_eq!(
        (reader.items().len(), reader.error()),
        (1, Some("too long"))
    );
    let mut bare = RecommendReader::new(own);
    bare.answered(answer("s", "failed", &[], &[], Some("too long")));
    assert_eq!(bare.showing(), Showing::Failure);
    assert!(bare.items().is_empty());
}

#[test]
fn a_lost_announcement_is_asked_for_after_the_build_and_given_up_at_last() {
    let own = session("s");
    let mut reader = RecommendReader::new(own.clone());
    reader.event(&own, "deploy_completed", at(100));
    assert!(!reader.is_to_ask(at(134)));
    assert!(reader.is_to_ask(at(135)));
    // The stream's end says that none will come.
    reader.event(&own, "closed", at(110));
    assert!(reader.is_to_ask(at(110)));
    let (mut now, mut asked) = (110, 0);
    while now < 100_000 {
        if reader.is_to_ask(at(now)) {
            reader.asking(at(now));
            reader.answered(answer("s", "idle", &["qs-seo"], &[], None));
            asked += 1;
        }
        now += 1;
    }
    assert_eq!(asked, 10);
    assert_eq!(reader.showing(), Showing::Quick);
}

const fn rank(showing: Showing) -> u8 {
    match showing {
        Showing::Nothing => 0,
        Showing::QuickForNow => 1,
        Showing::Quick | Showing::Failure => 2,
        Showing::Recommendations => 3,
    }
}

proptest! {
    /// Whatever comes in whatever order: what is shown never gets worse.
    #[test]
    fn what_is_shown_only_gets_better(
        steps in prop::collection::vec((0..9usize, 0..4usize, 0..60u64), 0..80),
    ) {
        let (own, kinds) = (session("s"), [
            "recommendations_ready", "recommendations_failed", "deploy_completed", "closed",
        ]);
        let mut reader = RecommendReader::new(own.clone());
        let (mut now, mut best) = (0, 0);
        for (step, choice, pause) in steps {
            now += pause;
            match step {
                0 => reader.started(vec![item("qs-seo")]),
                1..=3 => reader.event(&own, kinds[choice], at(now)),
                4 => reader.event(&session("other"), kinds[choice], at(now)),
                5 if reader.is_to_ask(at(now)) => reader.asking(at(now)),
                6 => reader.answered(answer("other", "ready", &["q"], &["x"], None)),
                _ => {
                    let status = ["idle", "pending", "ready", "failed"][choice];
                    let recommended = if status == "ready" { &["a"][..] } else { &[] };
                    reader.answered(answer("s", status, &["qs-seo"], recommended, None));
                }
            }
            let showing = rank(reader.showing());
            prop_assert!(showing >= best);
            best = showing;
        }
    }
}
