//! What a viewer who waits costs the server, exactly. Alone in its file: the counter is the
//! process's.
#![cfg(feature = "serve")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "it/answer.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod answer;
#[path = "it/support.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod support;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sheen_axum::serve::{Server, tcp};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use support::World;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const VIEWERS: usize = 50;
/// 20 KiB, and what it takes to see that a token was taken back.
const MOST: usize = 20 * 1024 + 256;

/// Opens a stream and waits until it has caught up.
fn viewer(address: SocketAddr, target: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: worker\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let (mut text, mut len) = ([0; 4096], 0);
    while !String::from_utf8_lossy(&text[..len]).contains("caught_up") {
        let read = socket.read(&mut text[len..]).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&text[..len]));
        len += read;
    }
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_viewer_who_waits_takes_20_kib() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let token = world.token("ann", &build, Duration::from_secs(600));
    let target = format!("/v1/builds/{build}/events/stream?access_token={token}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = tcp(listener, Duration::from_secs(30));
    let server = Server::new(listener, world.app.clone());
    let mut serving = JoinSet::new();
    serving.spawn(server.run_until(std::future::pending()));
    // What the first ones bring about is not each one's.
    let mut sockets = Vec::with_capacity(VIEWERS + 10);
    sockets.extend((0..10).map(|_| viewer(address, &target)));
    let region = Region::new(COUNTED);
    sockets.extend((0..VIEWERS).map(|_| viewer(address, &target)));
    let change = region.change();
    let each = (change.bytes_allocated - change.bytes_deallocated) / VIEWERS;
    assert!(each < MOST, "{each} bytes");
    // Nothing of it is in the sockets' own end: they are the kernel's.
    assert!(each > 16 * 1024, "{each} bytes: not everything is counted");
}
