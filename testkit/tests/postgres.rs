//! The private server, from outside.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use testkit::{Durability, PostgresServer, until};

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
    assert!(process(pid).exists() && folder.exists());
    drop(server);
    assert!(!process(pid).exists() && !folder.exists());
}

#[test]
fn a_killed_process_leaves_no_server_and_no_folder() {
    let (mut holder, pid, folder) = hold();
    assert!(process(pid).exists() && folder.exists());
    // SIGKILL: nothing of the holder runs any more.
    holder.kill().unwrap();
    holder.wait().unwrap();
    until("the server's end", || !process(pid).exists());
    until("the folder's end", || !folder.exists());
}

#[test]
fn a_process_that_returns_leaves_no_server_and_no_folder() {
    let (mut holder, pid, folder) = hold();
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    until("the server's end", || !process(pid).exists());
    until("the folder's end", || !folder.exists());
}

fn process(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// Starts a process that holds a server of its own.
fn hold() -> (Child, u32, PathBuf) {
    let mut holder = Command::new(env!("CARGO_BIN_EXE_testkit"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert!(line().starts_with("postgres://"));
    let pid = line().parse().unwrap();
    let folder = PathBuf::from(line());
    (holder, pid, folder)
}
