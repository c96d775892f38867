//! A signed POST of 1 KiB through every layer of a worker on memory stores, over HTTP, beside a bare
//! axum echo of the same bytes (docs/performance.md, row 16). The server has one core, the caller
//! the other; 32 connections each wait for their answer. Not criterion's kind of benchmark: what
//! counts is requests a second. The caller never sleeps: a server that has to wake it pays for that, and
//! pays more the slower it is.
//!
//! `cargo bench -p benches --bench stack` prints medians of several rounds, contestants taking
//! turns; `SHEEN_BENCH_ROUNDS` (5) says how many.

#[path = "http/server.rs"]
mod server;
#[path = "http/world.rs"]
mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use axum::Router;
use axum::routing::post;
use benches::figures::{Figure, median};
use bytes::Bytes;
use sheen_auth::signature::Signer;
use sheen_axum::signature::SignatureLayer;
use sheen_core::entropy::OsEntropy;
use sheen_core::time::{Clock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

const TARGET: &str = "/v1/suggestions";
const CONNECTIONS: usize = 32;
const REQUESTS: usize = 20_000;
const BODY: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Echo,
    Door,
    Whole,
    Keyed,
}

impl Way {
    const ALL: [Self; 4] = [Self::Echo, Self::Door, Self::Whole, Self::Keyed];

    const fn series(self) -> &'static str {
        match self {
            Self::Echo => "floor: bare axum echo",
            Self::Door => "echo behind the signature layer",
            Self::Whole => "suggestions, every layer",
            Self::Keyed => "suggestions, every layer and a key",
        }
    }

    fn router(self) -> Router {
        let echo = Router::new().route(TARGET, post(async |body: Bytes| body));
        match self {
            Self::Echo => echo,
            Self::Door => echo.route_layer(SignatureLayer::new(world::app().0.gate)),
            Self::Whole | Self::Keyed => sheen_axum::router(world::app().0).expect("a worker"),
        }
    }
}

/// A call of exactly 1 KiB for a user of its own, as it stands on the line.
fn request(signer: &Signer, clock: &SystemClock, user: &str, is_keyed: bool) -> Vec<u8> {
    let mut body = format!(
        r#"{{"userId":"{user}","analysis":{{"businessType":"salon","services":["haircuts","colouring"],"functionalRequirements":["sell products"],"missingInformation":["pricing","hours"],"extractedInfo":{{"note":""#
    );
    let end = r#""}}}"#;
    body.push_str(&"n".repeat(BODY - body.len() - end.len()));
    body.push_str(end);
    let signed = signer
        .sign(
            "POST",
            TARGET,
            None,
            body.as_bytes(),
            clock.now(),
            &OsEntropy,
        )
        .expect("a signature");
    let mut text = format!(
        "POST {TARGET} HTTP/1.1\r\nhost: worker\r\ncontent-type: application/json\r\n\
         content-length: {BODY}\r\n"
    );
    for (name, value) in signed.iter() {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if is_keyed {
        text.push_str(&format!("idempotency-key: {user}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(&body);
    text.into_bytes()
}

/// Reads one answer whole.
async fn answer(socket: &mut TcpStream, text: &mut Vec<u8>) {
    text.clear();
    loop {
        let read = socket.read_buf(text).await.expect("an answer");
        assert!(read > 0, "the server hung up");
        let Some(head) = text.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&text[..head + 4]).expect("text");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let length = head.lines().find_map(|line| {
            let value = line.strip_prefix("content-length: ")?;
            value.parse::<usize>().ok()
        });
        if text.len() >= head.len() + length.expect("a length") {
            return;
        }
    }
}

async fn call(address: SocketAddr, requests: Arc<Vec<Vec<u8>>>, next: Arc<AtomicUsize>) {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket.set_nodelay(true).expect("TCP_NODELAY");
    let mut text = Vec::with_capacity(4096);
    while let Some(request) = requests.get(next.fetch_add(1, Relaxed)) {
        socket.write_all(request).await.expect("a request");
        answer(&mut socket, &mut text).await;
    }
}

/// Requests a second.
fn rate(caller: &Runtime, address: SocketAddr, requests: Vec<Vec<u8>>) -> f64 {
    let clock = SystemClock::new();
    let count = f64::from(u32::try_from(requests.len()).expect("a count"));
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    caller.block_on(async {
        let mut awake = JoinSet::new();
        awake.spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        let mut calls = JoinSet::new();
        let begun = clock.monotonic();
        for _ in 0..CONNECTIONS {
            calls.spawn(call(address, Arc::clone(&requests), Arc::clone(&next)));
        }
        calls.join_all().await;
        awake.abort_all();
        count / (clock.monotonic() - begun).as_secs_f64()
    })
}

fn main() {
    let rounds = std::env::var("SHEEN_BENCH_ROUNDS").ok();
    let rounds = rounds.and_then(|it| it.parse().ok()).unwrap_or(5_usize);
    let caller = Builder::new_current_thread().enable_all().build();
    let caller = caller.expect("a runtime");
    let (signer, clock) = (Signer::new(world::key()), SystemClock::new());
    let servers = Way::ALL.map(|way| {
        let server = server::one_core();
        let address = server::serve(&server, way.router());
        (way, server, address, Vec::new())
    });
    let mut servers = servers;
    for round in 0..=rounds {
        for (way, _, address, rates) in &mut servers {
            let users = (0..REQUESTS).map(|n| format!("u{round}-{n}"));
            let is_keyed = *way == Way::Keyed;
            let requests = users.map(|user| request(&signer, &clock, &user, is_keyed));
            let rate = rate(&caller, *address, requests.collect());
            // The first round warms up.
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    for (way, server, _, rates) in servers {
        Figure {
            work: "a signed POST of 1 KiB",
            unit: "requests/s on one core",
            by: "connections",
            at: CONNECTIONS as u64,
            series: way.series(),
            value: median(&rates),
        }
        .tell();
        server.shutdown_background();
    }
}
