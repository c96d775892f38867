//! The contract in memory, the bounds, the runner, the reader.

mod reader;
mod runner;

use std::sync::Arc;

use sheen_core::error::StoreErrorKind;
use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId};
use sheen_core::locale::Locale;
use sheen_core::time::{Advance, ManualClock, Timestamp};
use sheen_core::wire::SuggestionItem;

use super::conformance::{LIMITS, RecommendHarness};
use super::*;

async fn harness() -> RecommendHarness {
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let store = MemoryRecommendStore::new(clock.clone(), LIMITS, 1000);
    RecommendHarness::new(Arc::new(store), Advance::manual(clock))
}

crate::recommend_store_conformance!(harness());

fn item(id: &str) -> SuggestionItem {
    SuggestionItem {
        id: id.to_owned().into(),
        title: "t".into(),
        description: "d".into(),
        category: "ui".into(),
        prompt: "p".into(),
        confidence: 0.5,
    }
}

fn items(ids: &[&str]) -> Items {
    Items::new(ids.iter().map(|id| item(id)).collect()).unwrap()
}

fn wish(session: &str, quick: &[&str]) -> NewRequest {
    let request = NewRequest::new(
        UserId::parse("ann").unwrap(),
        ProjectId::parse("p").unwrap(),
        BuildId::parse(&format!("b-{session}")).unwrap(),
        BuildSessionId::parse(session).unwrap(),
    );
    request.with_quick(Locale::En, items(quick))
}

#[test]
fn lists_are_bounded_and_each_refusal_says_why() {
    let twenty: Vec<_> = (0..20).map(|n| item(&n.to_string())).collect();
    assert!(Items::new(twenty.clone()).is_ok());
    let mut more = twenty;
    more.push(item("more"));
    let mut unsure = item("a");
    unsure.confidence = f64::NAN;
    let mut sure = item("a");
    sure.confidence = 1.01;
    let mut large = item("a");
    large.prompt = "x".repeat(Items::MAX_BYTES).into();
    let mut nul = item("a");
    nul.description = "a\0b".into();
    for (list, error) in [
        (more, ItemsError::TooMany),
        (vec![unsure], ItemsError::Confidence),
        (vec![sure], ItemsError::Confidence),
        (vec![item("a"), item("a")], ItemsError::Id),
        (vec![item("")], ItemsError::Id),
        (vec![large], ItemsError::TooLarge),
        (vec![nul], ItemsError::Nul),
    ] {
        assert_eq!(Items::new(list), Err(error));
    }
    let some = items(&["a", "b"]);
    assert_eq!(Items::from_json(&some.to_json()).unwrap(), some);
}

#[test]
fn a_failure_beside_what_was_suggested_is_ready_from_quick_with_the_error_told() {
    let told = |quick: &[&str], phase: Phase| {
        let mut record = Record::new(wish("s", quick), Timestamp::EPOCH);
        record.phase = phase;
        let state = state_of(&record);
        assert_eq!(state.quick, items(quick));
        assert_eq!(state.session, Some(record.request.session));
        (
            state.status.as_str(),
            state.source.map(Source::as_str),
            state.recommendations.as_slice().len(),
            state.error.as_deref().map(str::to_owned),
        )
    };
    let quick = &["qs-seo"][..];
    let failed = || Phase::Failed("too long".into());
    let error = Some("too long".to_owned());
    assert_eq!(told(quick, Phase::Queued), ("pending", None, 0, None));
    assert_eq!(told(quick, Phase::Running), ("pending", None, 0, None));
    let ready = Phase::Ready(items(&["a", "b"]));
    assert_eq!(told(quick, ready), ("ready", Some("ai"), 2, None));
    assert_eq!(
        told(quick, failed()),
        ("ready", Some("quick"), 0, error.clone())
    );
    assert_eq!(told(&[], failed()), ("failed", None, 0, error));
    assert_eq!(RecommendState::idle(None).status.as_str(), "idle");
}

#[tokio::test]
async fn a_full_store_refuses_and_knows_repeats() {
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let store = MemoryRecommendStore::new(clock, QueueLimits::default(), 1);
    store.request(wish("s1", &[])).await.unwrap();
    let refused = store.request(wish("s2", &[])).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Full);
    let known = store.request(wish("s1", &[])).await.unwrap();
    assert!(matches!(known, RequestOutcome::Known(_)));
}

#[test]
fn the_limits_are_those_of_the_wire() {
    let limits = QueueLimits::default();
    assert_eq!((limits.concurrency, limits.per_minute), (2, 10));
    let seconds = [limits.try_limit, limits.repeat_within, limits.stream_waits];
    assert_eq!(seconds.map(|it| it.as_secs()), [20, 300, 30]);
}
