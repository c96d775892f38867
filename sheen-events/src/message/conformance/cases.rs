//! The clauses, one test each.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use sheen_core::error::StoreError;
use sheen_core::id::{MessageId, ProjectId, UserId};
use sheen_core::runtime::BoxFuture;

use super::MessageHarness;
use crate::message::types::{Content, Message, MessageOutcome, MessagePage, NewMessage, Role};

type Appending<'a> = BoxFuture<'a, Result<MessageOutcome, StoreError>>;

/// Runs futures at once on the calling task, and gives what each gave, in order.
async fn join_all<'a, T: Send + Unpin>(
    futures: impl IntoIterator<Item = BoxFuture<'a, T>>,
) -> Vec<T> {
    let mut slots: Vec<(Option<BoxFuture<'a, T>>, Option<T>)> =
        futures.into_iter().map(|f| (Some(f), None)).collect();
    poll_fn(|cx| {
        for (future, done) in &mut slots {
            if let Some(running) = future
                && let Poll::Ready(value) = running.as_mut().poll(cx)
            {
                *done = Some(value);
                *future = None;
            }
        }
        if slots.iter().all(|(future, _)| future.is_none()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    slots.into_iter().filter_map(|(_, done)| done).collect()
}

pub(super) fn said(project: &str, user: &str, id: &str, text: &str) -> NewMessage {
    NewMessage::new(
        MessageId::parse(id).unwrap(),
        ProjectId::parse(project).unwrap(),
        UserId::parse(user).unwrap(),
        Role::User,
        Content::parse(text).unwrap(),
    )
}

async fn appended(h: &MessageHarness, message: NewMessage) -> Message {
    match h.store.append(message).await.unwrap() {
        MessageOutcome::Appended(message) => message,
        other => panic!("expected Appended, got {other:?}"),
    }
}

async fn page(h: &MessageHarness, project: &str, after: u64, limit: u32) -> MessagePage {
    let (user, project) = (
        UserId::parse("ann").unwrap(),
        ProjectId::parse(project).unwrap(),
    );
    let page = h.store.page(&user, &project, after, limit).await.unwrap();
    page.unwrap()
}

fn seqs(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

/// C1.
pub async fn c01_messages_are_numbered_without_gaps_by_any_number_of_writers(h: MessageHarness) {
    appended(&h, said("p", "ann", "first", "x")).await;
    let writers = (0..8).map(|writer| {
        let h = &h;
        Box::pin(async move {
            let mut own = Vec::new();
            for n in 0..20 {
                // Refusals in between must leave no hole.
                let stranger = said("p", "eve", &format!("e{writer}-{n}"), "x");
                let refused = h.store.append(stranger).await.unwrap();
                assert_eq!(refused, MessageOutcome::NotOwner);
                let changed = said("p", "ann", "first", "y");
                let refused = h.store.append(changed).await.unwrap();
                assert_eq!(refused, MessageOutcome::Conflict);
                let message = said("p", "ann", &format!("m{writer}-{n}"), "x");
                own.push(appended(h, message).await.seq);
            }
            assert!(own.is_sorted(), "writer {writer} saw {own:?}");
            own
        }) as BoxFuture<'_, Vec<u64>>
    });
    let mut given = join_all(writers).await.concat();
    given.sort_unstable();
    assert_eq!(given, (2..=161).collect::<Vec<u64>>());
    let page = page(&h, "p", 0, 1000).await;
    assert_eq!(seqs(&page.messages), (1..=161).collect::<Vec<u64>>());
}

/// C2.
pub async fn c02_a_reader_never_sees_past_a_message_it_could_not_see(h: MessageHarness) {
    const EACH: u64 = 40;
    let writer = |writer: u64| {
        let h = &h;
        Box::pin(async move {
            for n in 0..EACH {
                appended(h, said("p", "ann", &format!("m{writer}-{n}"), "x")).await;
            }
        }) as BoxFuture<'_, ()>
    };
    let reader = Box::pin(async {
        let mut seen = 0;
        while seen < 3 * EACH {
            let page = page(&h, "p", seen, 7).await;
            assert!(page.head >= seen, "the head went back");
            for message in page.messages {
                assert_eq!(message.seq, seen + 1, "a message was skipped");
                seen = message.seq;
            }
            yield_once().await;
        }
    }) as BoxFuture<'_, ()>;
    join_all([writer(0), writer(1), writer(2), reader]).await;
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// C3.
pub async fn c03_a_repeat_writes_nothing_and_another_text_is_a_conflict(h: MessageHarness) {
    let first = appended(&h, said("p", "ann", "m1", "hello")).await;
    h.advance.by(Duration::from_secs(60)).await;
    let again = h.store.append(said("p", "ann", "m1", "hello")).await;
    assert_eq!(again.unwrap(), MessageOutcome::Duplicate(first));
    let changed = h.store.append(said("p", "ann", "m1", "hallo")).await;
    assert_eq!(changed.unwrap(), MessageOutcome::Conflict);
    let mut other = said("p", "ann", "m1", "hello");
    other.role = Role::Assistant;
    let changed = h.store.append(other).await;
    assert_eq!(changed.unwrap(), MessageOutcome::Conflict);
    assert_eq!(page(&h, "p", 0, 9).await.messages.len(), 1);
}

/// C3, also of a conversation that none of them has begun.
pub async fn c03_of_equal_appends_at_once_one_is_appended(h: MessageHarness) {
    for id in ["m1", "m2"] {
        let same = || h.store.append(said("p", "ann", id, "hello")) as Appending<'_>;
        let outcomes = join_all((0..16).map(|_| same())).await;
        let (mut fresh, mut repeats) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            match outcome.unwrap() {
                MessageOutcome::Appended(message) => fresh.push(message),
                MessageOutcome::Duplicate(message) => repeats.push(message),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((fresh.len(), repeats.len()), (1, 15));
        assert!(repeats.iter().all(|message| *message == fresh[0]));
    }
    assert_eq!(page(&h, "p", 0, 9).await.head, 2);
}

/// C4.
pub async fn c04_a_conversation_is_its_first_users(h: MessageHarness) {
    appended(&h, said("p", "ann", "m1", "hello")).await;
    // Whatever the id: a stranger does not learn that there is such a message.
    for id in ["m1", "m2"] {
        let outcome = h.store.append(said("p", "eve", id, "hello")).await;
        assert_eq!(outcome.unwrap(), MessageOutcome::NotOwner);
    }
    let (eve, project) = (
        UserId::parse("eve").unwrap(),
        ProjectId::parse("p").unwrap(),
    );
    for after in [0, 1, 99] {
        assert_eq!(h.store.page(&eve, &project, after, 9).await.unwrap(), None);
    }
    let users: Vec<String> = (0..8).map(|n| format!("u{n}")).collect();
    let race = users.iter().map(|user| {
        let id = format!("m-{user}");
        h.store.append(said("race", user, &id, "mine")) as Appending<'_>
    });
    let won = join_all(race).await.into_iter().map(Result::unwrap);
    let won = won.filter(|outcome| *outcome != MessageOutcome::NotOwner);
    assert_eq!(won.count(), 1);
}

/// C5.
pub async fn c05_instants_are_the_stores_and_never_go_back(h: MessageHarness) {
    let mut kept = Vec::new();
    for n in 0..3 {
        kept.push(appended(&h, said("p", "ann", &format!("a{n}"), "x")).await);
    }
    h.advance.by(Duration::from_secs(3600)).await;
    kept.push(appended(&h, said("p", "ann", "later", "x")).await);
    assert!(kept.is_sorted_by_key(|message| message.created_at));
    let passed = kept[3].created_at.since(kept[2].created_at);
    assert!(passed >= Duration::from_secs(3599), "{passed:?}");
    assert_eq!(page(&h, "p", 0, 9).await.messages, kept);
}

/// C6.
pub async fn c06_a_page_is_bounded_in_order_and_has_the_head(h: MessageHarness) {
    assert_eq!(page(&h, "p", 0, 9).await, MessagePage::new(Vec::new(), 0));
    for n in 1..=10 {
        appended(&h, said("p", "ann", &format!("m{n}"), "x")).await;
    }
    for (after, limit, expected) in [
        (0, 3, vec![1, 2, 3]),
        (3, 3, vec![4, 5, 6]),
        (8, 50, vec![9, 10]),
        (10, 50, vec![]),
        (11, 50, vec![]),
        (u64::MAX, 50, vec![]),
        (0, 0, vec![]),
    ] {
        let page = page(&h, "p", after, limit).await;
        assert_eq!(
            seqs(&page.messages),
            expected,
            "after {after} limit {limit}"
        );
        assert_eq!(page.head, 10);
    }
}

/// C7.
pub async fn c07_conversations_never_meet(h: MessageHarness) {
    appended(&h, said("p", "ann", "m1", "of p")).await;
    let other = appended(&h, said("q", "ann", "m1", "of q")).await;
    assert_eq!(other.seq, 1);
    for (project, text) in [("p", "of p"), ("q", "of q")] {
        let page = page(&h, project, 0, 9).await;
        assert_eq!(page.messages.len(), 1);
        assert_eq!(page.messages[0].content.as_str(), text);
    }
}

/// C8.
pub async fn c08_what_is_read_is_what_was_appended(h: MessageHarness) {
    let longest = "é".repeat(Content::MAX / 2);
    let texts = [
        r"a \ \\ \0 \n 'quoted' ''",
        " \t leading and trailing \r\n ",
        "مرحبا 👋🏽 e\u{301} \u{feff}\u{2028}",
        "%s $1 {} --",
        &longest,
    ];
    for (n, text) in texts.iter().enumerate() {
        for role in Role::ALL {
            let mut message = said("p", "ann", &format!("m{n}-{}", role.as_str()), text);
            message.role = role;
            appended(&h, message).await;
        }
    }
    let kept = page(&h, "p", 0, 50).await.messages;
    let expected = texts
        .iter()
        .flat_map(|text| Role::ALL.map(|role| (role, *text)));
    let got = kept.iter().map(|m| (m.role, m.content.as_str()));
    assert!(got.eq(expected));
}
