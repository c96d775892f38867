//! Lines that break at a chosen message.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{ConnectOptions, Connection};
use testkit::{Place, Proxy, RedisServer, TestDatabase, To, until, until_async};

/// A database with a table, and a connection through a proxy that has said one thing already.
struct Behind {
    proxy: Proxy,
    line: PgConnection,
    /// Past the proxy.
    beside: PgPool,
    _database: TestDatabase,
}

impl Behind {
    async fn new() -> Self {
        let database = testkit::postgres().await;
        let beside = database.pool(1).await;
        sqlx::raw_sql("CREATE TABLE said (n int)")
            .execute(&beside)
            .await
            .unwrap();
        let proxy = Proxy::postgres(&database);
        let line = proxy.options().connect().await.unwrap();
        let mut behind = Self {
            proxy,
            line,
            beside,
            _database: database,
        };
        behind.say(0).await.unwrap();
        behind
    }

    async fn say(&mut self, n: i32) -> Result<(), sqlx::Error> {
        let said = sqlx::query("INSERT INTO said VALUES ($1)").bind(n);
        said.execute(&mut self.line).await.map(drop)
    }

    async fn said(&self, n: i32) -> bool {
        sqlx::query_scalar("SELECT count(*) > 0 FROM said WHERE n = $1")
            .bind(n)
            .fetch_one(&self.beside)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_statement_is_one_request_and_one_answer() {
    let mut behind = Behind::new().await;
    let passed = |proxy: &Proxy| (proxy.passed(To::Server), proxy.passed(To::Client));
    let before = passed(&behind.proxy);
    for n in 1..=5 {
        behind.say(n).await.unwrap();
    }
    let after = passed(&behind.proxy);
    assert_eq!((after.0 - before.0, after.1 - before.1), (5, 5));
}

/// Before or within a request nothing was done; after it, and before or within its answer, it was.
#[tokio::test]
async fn a_line_is_cut_at_the_message_that_was_named() {
    for (to, place, done) in [
        (To::Server, Place::Before, false),
        (To::Server, Place::Within, false),
        (To::Server, Place::After, true),
        (To::Client, Place::Before, true),
        (To::Client, Place::Within, true),
    ] {
        let mut behind = Behind::new().await;
        behind.proxy.cut(to, 3, place);
        behind.say(1).await.unwrap();
        behind.say(2).await.unwrap();
        let cut = behind.say(3).await;
        assert!(matches!(cut, Err(sqlx::Error::Io(_))), "{cut:?}");
        if done {
            until_async("the statement to be done", || behind.said(3)).await;
        } else {
            assert!(!behind.said(3).await, "{to:?} {place:?}");
        }
        // The next connection is whole.
        behind.line = behind.proxy.options().connect().await.unwrap();
        behind.say(4).await.unwrap();
    }
    let mut behind = Behind::new().await;
    behind.proxy.cut(To::Client, 1, Place::After);
    behind.say(1).await.unwrap();
    assert!(behind.say(2).await.is_err());
    assert!(!behind.said(2).await);
}

#[tokio::test]
async fn a_message_is_held_until_it_is_let_go() {
    let mut behind = Behind::new().await;
    let held = behind.proxy.hold(To::Server, 1);
    {
        let mut saying = std::pin::pin!(behind.line.ping());
        tokio::select! {
            biased;
            _ = &mut saying => panic!("the request is held"),
            () = held.reached() => {}
        }
        held.let_go();
        saying.await.unwrap();
    }
    let held = behind.proxy.hold(To::Client, 1);
    let beside = behind.beside.clone();
    {
        let mut saying = std::pin::pin!(behind.say(1));
        tokio::select! {
            biased;
            _ = &mut saying => panic!("the answer is held"),
            () = held.reached() => {}
        }
        // It was done, and its caller does not know.
        let said: i64 = sqlx::query_scalar("SELECT count(*) FROM said WHERE n = 1")
            .fetch_one(&beside)
            .await
            .unwrap();
        assert_eq!(said, 1);
        drop(held);
        saying.await.unwrap();
    }
    behind.proxy.delay(To::Client, 1, Duration::from_millis(1));
    behind.say(2).await.unwrap();
}

#[tokio::test]
async fn all_lines_are_cut_and_none_is_taken() {
    let mut behind = Behind::new().await;
    behind.proxy.refuse(true);
    behind.say(1).await.unwrap();
    behind.proxy.cut_all();
    assert!(behind.line.ping().await.is_err());
    assert!(behind.proxy.options().connect().await.is_err());
    behind.proxy.refuse(false);
    behind.line = behind.proxy.options().connect().await.unwrap();
    behind.say(2).await.unwrap();
}

/// What a server says at its end, without being asked, gets there.
#[tokio::test]
async fn a_servers_last_words_pass() {
    let mut behind = Behind::new().await;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut behind.line)
        .await
        .unwrap();
    let ended: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 10000)")
        .bind(pid)
        .fetch_one(&behind.beside)
        .await
        .unwrap();
    assert!(ended);
    let error = behind.say(1).await.unwrap_err();
    let code = error.as_database_error().and_then(|error| error.code());
    assert_eq!(code.as_deref(), Some("57P01"), "{error:?}");
}

fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.url().strip_prefix("redis://").unwrap()).unwrap()
}

fn ask(stream: &mut TcpStream, command: &str) -> String {
    stream.write_all(command.as_bytes()).unwrap();
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[test]
fn redis_lines_are_cut_too() {
    const INCR: &str = "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
    const GET: &str = "*2\r\n$3\r\nGET\r\n$1\r\nn\r\n";
    let server = RedisServer::start().unwrap();
    let proxy = Proxy::redis(&server.url());
    let mut count = 0;
    for (to, place, done) in [
        (To::Server, Place::Before, false),
        (To::Server, Place::Within, false),
        (To::Server, Place::After, true),
        (To::Client, Place::Before, true),
        (To::Client, Place::Within, true),
    ] {
        let mut line = connect(&proxy);
        proxy.cut(to, 2, place);
        count += 1;
        assert_eq!(ask(&mut line, INCR), format!(":{count}\r\n"));
        let answer = ask(&mut line, INCR);
        assert!(answer.is_empty() || place == Place::Within, "{answer}");
        count += i32::from(done);
        let digits = count.to_string();
        let wanted = format!("${}\r\n{digits}\r\n", digits.len());
        until("the count", || ask(&mut connect(&proxy), GET) == wanted);
    }
}
