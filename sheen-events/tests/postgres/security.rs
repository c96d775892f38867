//! Row-level security: another role sees nothing, a role with a user that user's events alone.

use serde_json::Value;
use sheen_events::postgres::VIEW;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::{World, append, event, logs};
use sheen_events::log::EventType;

/// A connection as a role that may select and owns nothing.
async fn stranger(world: &World) -> (PgConnection, String) {
    let name: String = sqlx::query_scalar("SELECT 'reader_' || current_database()")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let grants = format!(
        "CREATE ROLE {name};
         GRANT USAGE ON SCHEMA sheen TO {name};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sheen TO {name};"
    );
    world.pool.execute(AssertSqlSafe(grants)).await.unwrap();
    let mut connection = world.database.connection().await;
    let become_it = format!("SET ROLE {name}");
    connection.execute(AssertSqlSafe(become_it)).await.unwrap();
    (connection, name)
}

async fn count(connection: &mut PgConnection, what: &str) -> i64 {
    let counted = format!("SELECT count(*) FROM sheen.{what}");
    sqlx::query_scalar(AssertSqlSafe(counted))
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn another_role_sees_nothing_and_a_users_session_sees_that_users_visible_events() {
    let world = World::new().await;
    VIEW.up(&world.pool).await.unwrap();
    let ann = world.open("a", "ann").await;
    let bob = world.open("b", "bob").await;
    let hidden = event(EventType::BUILD_LOG, "internal").hidden();
    world
        .append(append(
            &ann,
            vec![event(EventType::DEPLOY_STARTED, "x"), hidden],
        ))
        .await;
    world.append(append(&bob, logs(3)).with_key("k")).await;
    let counted =
        "INSERT INTO sheen.event_daily_counts VALUES ('2025-01-01', 'x', 'building', true, 1)";
    world.pool.execute(counted).await.unwrap();

    let (mut connection, role) = stranger(&world).await;
    let all = [
        "events",
        "event_streams",
        "event_appends",
        "project_build_events",
        "event_daily_counts",
    ];
    for table in all {
        assert_eq!(count(&mut connection, table).await, 0, "{table}");
    }
    for statement in [
        "INSERT INTO sheen.events VALUES ('a', 9, 'ann', true, 'x', '{}', 1)",
        "INSERT INTO sheen.event_streams VALUES ('c', 'ann', 's', 1)",
    ] {
        assert!(connection.execute(statement).await.is_err(), "{statement}");
    }
    let deleted = connection
        .execute("DELETE FROM sheen.events")
        .await
        .unwrap();
    assert_eq!(deleted.rows_affected(), 0);

    connection
        .execute("SET sheen.user_id = 'ann'")
        .await
        .unwrap();
    for (table, seen) in all.into_iter().zip([1, 0, 0, 1, 0]) {
        assert_eq!(count(&mut connection, table).await, seen, "{table}");
    }
    let row = connection
        .fetch_one("SELECT id, build_id, event_type, event_data::text AS data, user_id,
            to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day FROM sheen.project_build_events")
        .await
        .unwrap();
    let text = |column: &str| row.get::<String, _>(column);
    assert_eq!(
        [
            text("id"),
            text("build_id"),
            text("event_type"),
            text("user_id")
        ],
        ["1", "a", "deploy_started", "ann"]
    );
    let data: Value = serde_json::from_str(&text("data")).unwrap();
    assert_eq!(data["message"], "x");
    assert_eq!(text("day").len(), 10);

    // The owner still sees all of it.
    let owner: i64 = sqlx::query_scalar("SELECT count(*) FROM sheen.events")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(owner, 5);
    connection.close().await.unwrap();
    let gone = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    world.pool.execute(AssertSqlSafe(gone)).await.unwrap();
}
