//! The log in memory: the contract and its bounds.

use std::sync::Arc;

use sheen_core::error::StoreErrorKind;
use sheen_core::id::{MessageId, UserId};
use sheen_core::time::{Advance, ManualClock, Timestamp};

use super::conformance::ChatLogHarness;
use super::*;

async fn harness() -> ChatLogHarness {
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let log = MemoryChatLog::new(clock.clone(), 10_000);
    ChatLogHarness::new(Arc::new(log), Advance::manual(clock))
}

crate::chat_log_conformance!(harness());

#[test]
fn correlation_ids_are_what_the_header_lets_in() {
    for good in ["x", "req_7d1e", "!~", &"a".repeat(128)] {
        assert_eq!(CorrelationId::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "a b", "é", "a\n", &"a".repeat(129)] {
        assert!(CorrelationId::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn an_excerpt_is_cut_between_characters_and_has_no_nul() {
    let cut = Excerpt::of(&format!("a{}", "é".repeat(Excerpt::MAX)));
    assert_eq!(cut.as_str().len(), Excerpt::MAX - 1);
    assert!(cut.as_str().ends_with('é'));
    assert_eq!(Excerpt::of("a\0b").as_str(), "ab");
}

#[tokio::test]
async fn a_full_log_refuses_knows_repeats_and_has_room_after_expiry() {
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let log = MemoryChatLog::new(clock.clone(), 2);
    let entry = |id: &str| {
        NewChatEntry::new(
            MessageId::parse(id).unwrap(),
            UserId::parse("ann").unwrap(),
            CorrelationId::parse("c").unwrap(),
            ChatKind::Failed,
            Excerpt::of(""),
        )
    };
    log.record(entry("m1")).await.unwrap();
    log.record(entry("m2")).await.unwrap();
    let refused = log.record(entry("m3")).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Full);
    assert!(log.record(entry("m1")).await.is_ok());
    clock.advance(RETENTION);
    assert_eq!(log.expire(1).await.unwrap(), 1);
    assert!(log.record(entry("m3")).await.is_ok());
}
