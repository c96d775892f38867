//! The private server, from outside.

use std::str::FromStr;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use testkit::{Durability, PostgresServer, is_there, until_async};

#[tokio::test]
async fn two_databases_do_not_see_each_other() {
    let (one, two) = tokio::join!(testkit::postgres(), testkit::postgres());
    sqlx::raw_sql("CREATE TABLE only_here (id int)")
        .execute(&one.pool(1).await)
        .await
        .unwrap();
    let count = "SELECT count(*) FROM pg_class WHERE relname = 'only_here'";
    for (database, expected) in [(&one, 1), (&two, 0)] {
        let found: i64 = sqlx::query_scalar(count)
            .fetch_one(&database.pool(1).await)
            .await
            .unwrap();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn the_address_leads_to_the_same_database() {
    let database = testkit::postgres().await;
    let options = PgConnectOptions::from_str(database.url()).unwrap();
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let name: String = sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(database.options().get_database(), Some(name.as_str()));
}

#[test]
fn a_dropped_server_is_gone_with_its_folder() {
    let server = PostgresServer::start(Durability::On).unwrap();
    let (pid, folder) = (server.pid(), server.folder().to_owned());
    assert!(is_there(pid) && folder.exists());
    drop(server);
    assert!(!is_there(pid) && !folder.exists());
}

#[tokio::test]
async fn a_terminated_session_is_over_and_others_are_not() {
    let database = testkit::postgres().await;
    let (mut one, mut two) = (database.connection().await, database.connection().await);
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut one)
        .await
        .unwrap();
    assert_eq!(database.terminate(&format!("pid = {pid}")).await, 1);
    assert!(one.ping().await.is_err());
    two.ping().await.unwrap();
    assert_eq!(database.terminate("pid = 0").await, 0);
}

/// What was acknowledged is there after a crash, what was not committed is not, and the server can
/// crash again.
#[tokio::test]
async fn a_crashed_server_keeps_what_was_committed() {
    let server = PostgresServer::start(Durability::On).unwrap();
    let database = server.database().await.unwrap();
    let pool = database.pool(2).await;
    sqlx::raw_sql("CREATE TABLE kept (n int)")
        .execute(&pool)
        .await
        .unwrap();
    for n in 1..=2 {
        let mut open = database.connection().await;
        sqlx::raw_sql("BEGIN; INSERT INTO kept VALUES (0)")
            .execute(&mut open)
            .await
            .unwrap();
        sqlx::query("INSERT INTO kept VALUES ($1)")
            .bind(n)
            .execute(&pool)
            .await
            .unwrap();
        let before = server.pid();
        server.crash().unwrap();
        assert!(!is_there(before));
        server.restart().unwrap();
        assert!(is_there(server.pid()));
        until_async("a connection of the pool that is new", || async {
            let kept = sqlx::query_scalar("SELECT n FROM kept ORDER BY n")
                .fetch_all(&pool)
                .await;
            kept.is_ok_and(|kept: Vec<i32>| kept == (1..=n).collect::<Vec<_>>())
        })
        .await;
    }
    // One that runs is not started a second time.
    assert!(server.restart().is_err());
    let (pid, folder) = (server.pid(), server.folder().to_owned());
    server.crash().unwrap();
    drop(server);
    assert!(!is_there(pid) && !folder.exists());
}

/// A server that stands still answers nobody; let go, it does what it was asked meanwhile.
#[tokio::test]
async fn a_stopped_server_stands_still() {
    let server = PostgresServer::start(Durability::Off).unwrap();
    let database = server.database().await.unwrap();
    let mut connection = database.connection().await;
    let stopped = server.stop();
    let asked = std::time::Duration::from_millis(100);
    let ping = tokio::time::timeout(asked, connection.ping()).await;
    assert!(ping.is_err());
    stopped.go_on();
    let mut after = database.connection().await;
    after.ping().await.unwrap();
}
