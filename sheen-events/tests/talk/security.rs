//! Row-level security: another role sees nothing of what was said, whatever it was granted.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::World;

const ROWS: &str = "
    SELECT sheen.message_append_v1('p', 'ann', 'm1', 'user', 'hello');
    SELECT sheen.chat_log_record_v1('ann', 'e1', 'c', 'asked', 'hello', 'p', NULL);
    SELECT sheen.recommend_put_v1(0, 0, true, 'p', 's', 'ann', 'b', 'en', '[]', 'queued', NULL,
        NULL, 1, 1, NULL, NULL, false, false);";

const TABLES: [&str; 5] = [
    "conversations",
    "messages",
    "chat_log",
    "recommendations",
    "recommend_queue",
];

async fn count(connection: &mut PgConnection, table: &str) -> i64 {
    let counted = format!("SELECT count(*) FROM sheen.{table}");
    sqlx::query_scalar(AssertSqlSafe(counted))
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn another_role_sees_nothing_and_writes_nothing() {
    let world = World::new().await;
    world.pool.execute(ROWS).await.unwrap();
    let role: String = sqlx::query_scalar("SELECT 'stranger_' || current_database()")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let grants = format!(
        "CREATE ROLE {role};
         GRANT USAGE ON SCHEMA sheen TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sheen TO {role};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA sheen TO {role};"
    );
    world.pool.execute(AssertSqlSafe(grants)).await.unwrap();
    let mut owner = world.database.connection().await;
    let mut stranger = world.database.connection().await;
    let become_it = format!("SET ROLE {role}");
    stranger.execute(AssertSqlSafe(become_it)).await.unwrap();
    for table in TABLES {
        assert_eq!(count(&mut owner, table).await, 1, "{table}");
        assert_eq!(count(&mut stranger, table).await, 0, "{table}");
        let taken = format!("DELETE FROM sheen.{table}");
        let taken = stranger.execute(AssertSqlSafe(taken)).await.unwrap();
        assert_eq!(taken.rows_affected(), 0, "{table}");
    }
    let said = stranger
        .execute("SELECT sheen.message_append_v1('q', 'bob', 'm1', 'user', 'hello')")
        .await;
    assert!(said.is_err());
    stranger.close().await.unwrap();
    let gone = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    owner.execute(AssertSqlSafe(gone)).await.unwrap();
}
