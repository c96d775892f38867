//! Conversations in memory: the contract, the bounds, cursors.

use std::sync::Arc;

use proptest::prelude::*;
use sheen_core::error::{Fields, StoreErrorKind};
use sheen_core::id::{MessageId, ProjectId, UserId};
use sheen_core::time::{ManualClock, Timestamp};

use super::*;
use crate::feed::PageLimit;

fn store(config: MemoryMessageConfig) -> MemoryMessageStore {
    MemoryMessageStore::new(Arc::new(ManualClock::at(Timestamp::EPOCH)), config)
}

fn project(name: &str) -> ProjectId {
    ProjectId::parse(name).unwrap()
}

fn ann() -> UserId {
    UserId::parse("ann").unwrap()
}

fn said(name: &str, id: &str, text: &str) -> NewMessage {
    let content = Content::parse(text).unwrap();
    NewMessage::new(
        MessageId::parse(id).unwrap(),
        project(name),
        ann(),
        Role::User,
        content,
    )
}

mod contract {
    use sheen_core::time::Advance;

    use super::*;
    use crate::message::conformance::MessageHarness;

    async fn harness() -> MessageHarness {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let store = MemoryMessageStore::new(clock.clone(), MemoryMessageConfig::default());
        MessageHarness::new(Arc::new(store), Advance::manual(clock))
    }

    crate::message_store_conformance!(harness());
}

#[test]
fn content_is_bounded_and_each_refusal_says_why() {
    for (text, error) in [
        (String::new(), ContentError::Empty),
        (" \n\t".to_owned(), ContentError::Empty),
        ("a\0b".to_owned(), ContentError::Nul),
        ("x".repeat(Content::MAX + 1), ContentError::TooLong),
    ] {
        assert_eq!(Content::parse(&text), Err(error));
    }
    assert!(Content::parse(&"x".repeat(Content::MAX)).is_ok());
    assert!(ContentError::TooLong.to_string().contains("65536"));
}

#[tokio::test]
async fn a_full_store_refuses_forgets_nothing_and_knows_repeats() {
    let few = MemoryMessageConfig {
        max_messages: 2,
        ..Default::default()
    };
    let small = MemoryMessageConfig {
        max_bytes: 4,
        ..Default::default()
    };
    for store in [store(few), store(small)] {
        store.append(said("p", "m1", "ab")).await.unwrap();
        store.append(said("p", "m2", "cd")).await.unwrap();
        for name in ["p", "q"] {
            let refused = store.append(said(name, "m3", "e")).await.unwrap_err();
            assert_eq!(refused.kind, StoreErrorKind::Full);
        }
        let again = store.append(said("p", "m1", "ab")).await.unwrap();
        assert!(matches!(again, MessageOutcome::Duplicate(_)));
        let page = store.page(&ann(), &project("p"), 0, 9).await.unwrap();
        assert_eq!(page.unwrap().head, 2);
        // The refused conversation was not begun.
        let nobody = UserId::parse("bob").unwrap();
        let page = store.page(&nobody, &project("q"), 0, 9).await.unwrap();
        assert_eq!(page.unwrap().head, 0);
    }
}

#[tokio::test]
async fn pages_lead_to_the_end_and_a_wrong_cursor_is_told() {
    let conversations = Conversations::new(Arc::new(store(MemoryMessageConfig::default())));
    for n in 0..7 {
        let message = said("p", &format!("m{n}"), &format!("text {n}"));
        conversations.append(message).await.unwrap();
    }
    let limit = PageLimit::new(3).unwrap();
    let read = async |cursor: Option<&str>, user: &str| {
        let mut request = PageRequest::new();
        request.cursor = cursor;
        request.limit = limit;
        let user = UserId::parse(user).unwrap();
        conversations
            .page(&user, &project("p"), request)
            .await
            .unwrap()
    };
    let (mut texts, mut cursor, mut sizes) = (Vec::new(), None, Vec::new());
    loop {
        let ReadOutcome::Page(page) = read(cursor.as_deref(), "ann").await else {
            panic!("it is her project")
        };
        sizes.push(page.messages.len());
        texts.extend(page.messages.into_iter().map(|m| m.content.to_string()));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [3, 3, 1]);
    let expected: Vec<String> = (0..7).map(|n| format!("text {n}")).collect();
    assert_eq!(texts, expected);

    let of_another = MessageCursor::after(3).encode(&project("q"));
    let ahead = MessageCursor::after(8).encode(&project("p"));
    for wrong in ["x", of_another.as_str(), &ahead] {
        assert_eq!(read(Some(wrong), "ann").await, ReadOutcome::CursorInvalid);
        // Whose it is comes first.
        assert_eq!(read(Some(wrong), "eve").await, ReadOutcome::NotFound);
    }
}

#[test]
fn a_query_is_read_and_every_bad_parameter_is_named() {
    let mut fields = Fields::new();
    let query = [("limit", "7"), ("cursor", "abc"), ("userId", "ann")];
    let request = PageRequest::from_query(&mut fields, query);
    assert_eq!((request.cursor, request.limit.get()), (Some("abc"), 7));
    for limit in ["0", "51", "+5", "", "x", "99999999999999999999"] {
        PageRequest::from_query(&mut fields, [("limit", limit)]);
    }
    let doubled = [
        ("limit", "1"),
        ("cursor", "a"),
        ("limit", "1"),
        ("cursor", "b"),
    ];
    PageRequest::from_query(&mut fields, doubled);
    let wrong = fields.finish().unwrap_err().0;
    assert_eq!(wrong.len(), 8);
    assert_eq!((wrong[6].code, wrong[7].code), ("duplicate", "duplicate"));
}

proptest! {
    /// A11 of the failures: short, and of characters that need no escaping anywhere.
    #[test]
    fn a11_a_cursor_comes_back_for_its_project_alone(seq: u64, flip in 0..23usize) {
        let cursor = MessageCursor::after(seq);
        let text = cursor.encode(&project("p"));
        prop_assert_eq!(text.len(), MessageCursor::TEXT_LEN);
        prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        prop_assert_eq!(MessageCursor::decode(&text, &project("p")), Ok(cursor));
        prop_assert!(MessageCursor::decode(&text, &project("q")).is_err());
        let mut changed = text.into_bytes();
        changed[flip] = if changed[flip] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(MessageCursor::decode(&changed, &project("p")).is_err());
    }
}
