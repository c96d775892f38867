//! The suites of conversations and of the log for support, and what only PostgreSQL can get wrong.

use std::sync::Arc;

use sheen_core::id::{MessageId, ProjectId, UserId};
use sheen_events::message::conformance::MessageHarness;
use sheen_events::message::support::PgChatLog;
use sheen_events::message::support::conformance::ChatLogHarness;
use sheen_events::message::{
    Content, MessageOutcome, MessageStore, NewMessage, PgMessageStore, Role,
};

use super::World;

fn messages(world: World) -> MessageHarness {
    let store = Arc::new(PgMessageStore::new(world.pool.clone()));
    let advance = world.advance();
    MessageHarness::new(store, advance).with_guard(world)
}

fn chat_log(world: World) -> ChatLogHarness {
    let log = Arc::new(PgChatLog::new(world.pool.clone()));
    let advance = world.advance();
    ChatLogHarness::new(log, advance).with_guard(world)
}

mod conversations {
    use super::*;

    async fn harness() -> MessageHarness {
        messages(World::new().await)
    }

    sheen_events::message_store_conformance!(harness());
}

mod conversations_under_generic_plans {
    use super::*;

    async fn harness() -> MessageHarness {
        messages(World::generic().await)
    }

    sheen_events::message_store_conformance!(harness());
}

mod support {
    use super::*;

    async fn harness() -> ChatLogHarness {
        chat_log(World::new().await)
    }

    sheen_events::chat_log_conformance!(harness());
}

mod support_under_generic_plans {
    use super::*;

    async fn harness() -> ChatLogHarness {
        chat_log(World::generic().await)
    }

    sheen_events::chat_log_conformance!(harness());
}

fn said(id: &str) -> NewMessage {
    NewMessage::new(
        MessageId::parse(id).unwrap(),
        ProjectId::parse("p").unwrap(),
        UserId::parse("ann").unwrap(),
        Role::User,
        Content::parse("hello").unwrap(),
    )
}

/// A3 of the failures, for conversations: the counter rolls back with its message.
#[tokio::test]
async fn a3_a_message_that_is_rolled_back_leaves_no_hole() {
    let world = World::new().await;
    let store = PgMessageStore::new(world.pool.clone());
    store.append(said("m1")).await.unwrap();
    let mut step = world.pool.begin().await.unwrap();
    sqlx::query("SELECT sheen.message_append_v1('p', 'ann', 'm2', 'user', 'lost')")
        .execute(&mut *step)
        .await
        .unwrap();
    // Another append waits for the row; whoever was first, the numbers are dense.
    let waiting = store.append(said("m3"));
    let (waited, rolled_back) = tokio::join!(waiting, step.rollback());
    rolled_back.unwrap();
    let MessageOutcome::Appended(message) = waited.unwrap() else {
        panic!("it was new")
    };
    assert_eq!(message.seq, 2);
}

#[tokio::test]
async fn what_was_said_is_never_altered_and_the_schema_can_be_taken_back() {
    let world = World::new().await;
    let store = PgMessageStore::new(world.pool.clone());
    store.append(said("m1")).await.unwrap();
    let altered = sqlx::query("UPDATE sheen.messages SET content = 'other'")
        .execute(&world.pool)
        .await;
    assert!(altered.is_err());
    let migrations = sheen_events::postgres::TALK;
    migrations.down(&world.pool, 0).await.unwrap();
    let left: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'sheen'::regnamespace
            AND relkind = 'r' AND (relname LIKE 'messages%' OR relname LIKE 'conversations%'
            OR relname LIKE 'chat_log%' OR relname LIKE 'recommend%')",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(left, 0);
    migrations.up(&world.pool).await.unwrap();
    drop(world.database);
}
