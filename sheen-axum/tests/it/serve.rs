//! The server on a real socket: what it bounds, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use sheen_axum::serve::{Server, tcp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(30);
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: worker\r\n\r\n";
const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nhost: worker\r\n\r\n";

/// A running server; `/slow` answers once `gate` has a permit for it, and takes one of `begun`.
struct Running {
    address: SocketAddr,
    gate: Arc<Semaphore>,
    begun: Arc<Semaphore>,
    stop: Arc<Semaphore>,
    server: JoinSet<()>,
}

async fn taken(semaphore: &Semaphore) {
    semaphore.acquire().await.unwrap().forget();
}

async fn running(set: impl FnOnce(Server<TcpListener>) -> Server<TcpListener>) -> Running {
    let [gate, begun, stop] = [(); 3].map(|()| Arc::new(Semaphore::new(0)));
    let (at_gate, begins) = (Arc::clone(&gate), Arc::clone(&begun));
    let slow = async move || {
        begins.add_permits(1);
        taken(&at_gate).await;
        "slow"
    };
    let router = Router::new()
        .route("/health", get(async || "well"))
        .route("/slow", get(slow));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = set(Server::new(listener, router));
    let stopped = Arc::clone(&stop);
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run_until(async move { taken(&stopped).await }));
    Running {
        address,
        gate,
        begun,
        stop,
        server: tasks,
    }
}

impl Running {
    async fn call(&self, request: &[u8]) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request).await.unwrap();
        socket
    }
}

/// Reads until `wanted` has come.
async fn read_until(socket: &mut TcpStream, wanted: &str) -> String {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(wanted) {
        let read = tokio::time::timeout(PATIENCE, socket.read_buf(&mut text)).await;
        assert!(read.unwrap().unwrap() > 0, "{:?}", String::from_utf8(text));
    }
    String::from_utf8(text).unwrap()
}

/// What still comes before the other side ends the connection.
async fn rest(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_string(&mut text)).await;
    read.unwrap().unwrap();
    text
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_cut_and_so_is_a_connection_nobody_uses() {
    let server = running(|it| it.head_timeout(Duration::from_millis(200))).await;
    let mut slow = server.call(&HEALTH[..HEALTH.len() - 2]).await;
    let mut idle = server.call(HEALTH).await;
    read_until(&mut idle, "well").await;
    idle.write_all(HEALTH).await.unwrap();
    read_until(&mut idle, "well").await;
    assert_eq!(rest(&mut slow).await, "");
    assert_eq!(rest(&mut idle).await, "");
}

#[tokio::test]
async fn an_answer_under_way_is_finished_after_the_stop_and_the_server_ends_with_it() {
    let mut server = running(|it| it).await;
    let mut under_way = server.call(SLOW).await;
    taken(&server.begun).await;
    let mut idle = server.call(HEALTH).await;
    read_until(&mut idle, "well").await;
    server.stop.add_permits(1);
    assert_eq!(rest(&mut idle).await, "");
    let refused = TcpStream::connect(server.address).await;
    assert!(refused.is_err(), "it listens still");
    server.gate.add_permits(1);
    let answer = rest(&mut under_way).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("slow"));
    let ended = tokio::time::timeout(PATIENCE, server.server.join_next()).await;
    ended.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn connections_are_cut_with_the_server_that_is_dropped() {
    let mut server = running(|it| it).await;
    let mut under_way = server.call(SLOW).await;
    taken(&server.begun).await;
    server.server.abort_all();
    let mut left = Vec::new();
    // A reset is as good an end as any, here.
    let _ = under_way.read_to_end(&mut left).await;
    assert_eq!(left, b"");
}

#[tokio::test]
async fn connections_past_the_most_wait_until_one_ends() {
    let server = running(|it| it.max_connections(1)).await;
    let mut first = server.call(SLOW).await;
    taken(&server.begun).await;
    let mut second = server.call(SLOW).await;
    let early = tokio::time::timeout(Duration::from_millis(100), taken(&server.begun)).await;
    assert!(early.is_err(), "two at once");
    server.gate.add_permits(1);
    read_until(&mut first, "slow").await;
    drop(first);
    server.gate.add_permits(1);
    read_until(&mut second, "slow").await;
}

#[tokio::test]
async fn a_head_past_its_most_is_refused() {
    let server = running(|it| it).await;
    let most = Server::<TcpListener>::MAX_HEAD;
    let head = format!("GET /{} HTTP/1.1\r\nhost: worker\r\n\r\n", "x".repeat(most));
    let mut socket = server.call(&head.as_bytes()[..=most]).await;
    let answer = read_until(&mut socket, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let mut fits = server.call(HEALTH).await;
    read_until(&mut fits, "well").await;
}

#[tokio::test]
async fn sockets_are_set_up_for_streams_of_small_events() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut listener = tcp(listener, Duration::from_millis(1500));
    let (_near, (far, _)) = tokio::join!(
        TcpStream::connect(address),
        axum::serve::Listener::accept(&mut listener)
    );
    assert!(far.nodelay().unwrap());
    #[cfg(target_os = "linux")]
    assert_eq!(rustix::net::sockopt::tcp_user_timeout(&far).unwrap(), 1500);
}
