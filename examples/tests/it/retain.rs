//! The retain program against a database with old events and chats.

use std::process::{Command, Output};

use testkit::TestDatabase;

use crate::support::program;

async fn retain(database: &TestDatabase, arguments: &'static [&'static str]) -> Output {
    let url = database.url().to_owned();
    let run = tokio::task::spawn_blocking(move || {
        Command::new(program("retain"))
            .args(arguments)
            .env("DATABASE_URL", url)
            .output()
    });
    run.await.unwrap().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn retain_counts_and_removes_what_is_past_its_time() {
    let database = testkit::postgres().await;
    let first = retain(&database, &[]).await;
    assert!(first.status.success(), "{}", told(&first));
    assert!(told(&first).contains("0 events were counted and removed"));

    let pool = database.pool(1).await;
    sqlx::raw_sql(
        "INSERT INTO sheen.event_streams (build_id, user_id, session_id, epoch, head)
         VALUES ('b', 'ann', 's', 1, 30);
         INSERT INTO sheen.events
         SELECT 'b', n, 'ann', true, 'build_log', '{\"message\":\"x\"}',
             sheen.now_ms() - 86400000::bigint * (60 - n) FROM generate_series(1, 30) AS n;
         SELECT sheen.chat_log_record_v1('ann', 'e1', 'c', 'asked', 'hello', NULL, NULL);
         UPDATE sheen.chat_log SET created_ms = created_ms - 86400000::bigint * 31;",
    )
    .execute(&pool)
    .await
    .unwrap();
    let refused = retain(&database, &["--days", "40"]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    assert!(told(&refused).contains("--over-half"), "{}", told(&refused));

    let done = retain(&database, &["--batch", "4"]).await;
    assert!(done.status.success(), "{}", told(&done));
    let text = told(&done);
    assert!(
        text.contains("14 events were counted and removed"),
        "{text}"
    );
    assert!(text.contains("1 chat entries were removed"), "{text}");
    let counted: i64 =
        sqlx::query_scalar("SELECT sum(events)::bigint FROM sheen.event_daily_counts")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(counted, 14);
}

#[test]
fn retain_without_a_database_says_what_is_missing() {
    let output = Command::new(program("retain"))
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(
        told(&output).contains("DATABASE_URL must be set"),
        "{}",
        told(&output)
    );
}
