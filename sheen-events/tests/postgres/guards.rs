//! What the schema holds even where the code is wrong, and that it goes up and down.

use sheen_events::postgres::{MIGRATIONS, VIEW};
use sqlx::Executor;

use super::{World, append, logs};

/// A4, A12: whatever sends such statements, they are refused.
#[tokio::test]
async fn a4_seqs_are_given_once_and_numbers_never_go_back() {
    let world = World::new().await;
    let build = world.open("b", "ann").await;
    world.append(append(&build, logs(3))).await;
    for statement in [
        "INSERT INTO sheen.events VALUES ('b', 3, 'ann', true, 'x', '{}', 1)",
        "INSERT INTO sheen.events VALUES ('b', 4, 'ann', false, 'x', '{}', 1)",
        "INSERT INTO sheen.events VALUES ('b', 4, 'ann', true, 'X!', '{}', 1)",
        "UPDATE sheen.events SET data = '{}'",
        "UPDATE sheen.event_streams SET head = 2",
        "UPDATE sheen.event_streams SET floor = 4",
        "UPDATE sheen.event_streams SET user_id = 'bob'",
        "UPDATE sheen.event_streams SET epoch = 0",
        "UPDATE sheen.event_streams SET token = -1",
    ] {
        let refused = world.pool.execute(statement).await.unwrap_err();
        let refused = refused.as_database_error().unwrap();
        assert_eq!(
            &refused.code().unwrap()[..2],
            "23",
            "{statement}: {refused}"
        );
    }
    world
        .pool
        .execute("UPDATE sheen.event_streams SET closed = true, token = 4, floor = 1")
        .await
        .unwrap();
    for statement in [
        "UPDATE sheen.event_streams SET closed = false",
        "UPDATE sheen.event_streams SET token = 3",
        "UPDATE sheen.event_streams SET floor = 0",
    ] {
        assert!(world.pool.execute(statement).await.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn migrations_go_down_and_up_again() {
    let world = World::new().await;
    VIEW.up(&world.pool).await.unwrap();
    VIEW.down(&world.pool, 0).await.unwrap();
    MIGRATIONS.down(&world.pool, 0).await.unwrap();
    let left: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'sheen'::regnamespace
         AND relname LIKE '%event%'",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(left, 0);
    MIGRATIONS.up(&world.pool).await.unwrap();
    let build = world.open("b", "ann").await;
    world.append(append(&build, logs(1))).await;
}
