//! Streams over HTTP (docs/performance.md, rows 11 and 13): events to 1,000 viewers as fast as they
//! go, how late they are at 5,000 viewers and ten a second, and catching up from memory; beside
//! axum's own `Sse` over a broadcast channel and a loop that writes finished frames, and, where they
//! are installed, nginx with nchan and better-sse on Node, which get each event as a POST. The server
//! has one core, the viewers the other. Not criterion's kind of benchmark.
//!
//! `cargo bench -p benches --bench stream` prints medians of several rounds, contestants taking
//! turns; `SHEEN_BENCH_ROUNDS` (3) says how many.

#[path = "http/contestant.rs"]
mod contestant;
#[path = "http/outside.rs"]
mod outside;
#[path = "http/server.rs"]
mod server;
#[path = "http/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use benches::figures::{Figure, median};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sheen_core::runtime::{Sleep, TokioRuntime};
use sheen_core::time::{Clock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use contestant::{Contestant, LINES, Way};

/// Events to so many viewers.
const FAN_OUT: [(usize, u64); 3] = [(10, 8_000), (100, 8_000), (1_000, 2_000)];
const CATCH_UP: [u64; 3] = [2_000, 20_000, 100_000];
const WATCHED: usize = 5_000;
/// Ten a second; the first second is not counted.
const BEATS: u64 = 60;
const UNCOUNTED: u64 = 10;
/// Before the instant in a message, which has as many digits.
const MARK: u8 = b'@';
const DIGITS: usize = 20;

/// A viewer who counts lines.
struct Viewer {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// LFs that end a line of the stream, not one of HTTP's.
    lines: usize,
}

impl Viewer {
    /// Opens the stream, and reads its head and `lines` lines.
    async fn open(contestant: &Contestant, lines: usize) -> Self {
        let mut socket = TcpStream::connect(contestant.address)
            .await
            .expect("a connection");
        let request = contestant.request.as_bytes();
        socket.write_all(request).await.expect("a request");
        let mut viewer = Self {
            socket,
            buffer: vec![0; 16 * 1024],
            lines: 0,
        };
        let first = viewer.read().await;
        assert!(first.starts_with(b"HTTP/1.1 200 OK\r\n"));
        viewer.read_to(lines).await;
        viewer
    }

    async fn read(&mut self) -> &[u8] {
        let read = self.socket.read(&mut self.buffer).await.expect("a stream");
        assert!(read > 0, "the stream ended");
        let bytes = &self.buffer[..read];
        let count = |wanted: u8| bytes.iter().filter(|byte| **byte == wanted).count();
        // A CR stands before an LF of HTTP's head and chunks, and nowhere else. One that came with
        // an earlier piece than its LF makes a line too many for that long.
        self.lines = (self.lines + count(b'\n')).wrapping_sub(count(b'\r'));
        bytes
    }

    async fn read_to(&mut self, lines: usize) {
        // Below zero while a CR waits for its LF.
        while self.lines < lines || self.lines > usize::MAX / 2 {
            self.read().await;
        }
    }
}

fn viewers_runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

async fn open_all(contestant: &Contestant, way: Way, count: usize) -> Vec<Viewer> {
    let mut viewers = Vec::with_capacity(count);
    for _ in 0..count {
        viewers.push(Viewer::open(contestant, way.greeting()).await);
    }
    viewers
}

/// Events received a second, by all viewers together.
fn fan_out(way: Way, count: usize, events: u64) -> f64 {
    let (server, clock) = (server::one_core(), SystemClock::new());
    let contestant = Arc::new(Contestant::start(way, &server, 0));
    let took = viewers_runtime().block_on(async {
        let viewers = open_all(&contestant, way, count).await;
        let wanted = way.greeting() + LINES * usize::try_from(events).expect("a count");
        let mut reading = JoinSet::new();
        for mut viewer in viewers {
            reading.spawn(async move { viewer.read_to(wanted).await });
        }
        let begun = clock.monotonic();
        // A server that is a process of its own ends with its contestant, after the last is read.
        let publisher = Arc::clone(&contestant);
        server.spawn(async move {
            let message = "m".repeat(70);
            for seq in 1..=events {
                publisher.publish(seq, &message).await;
                tokio::task::yield_now().await;
            }
        });
        reading.join_all().await;
        clock.monotonic() - begun
    });
    server.shutdown_background();
    let received = u32::try_from(events).expect("a count") * u32::try_from(count).expect("a count");
    f64::from(received) / took.as_secs_f64()
}

/// How late 99 of 100 events are at the most, in milliseconds.
fn lateness(way: Way) -> f64 {
    let (server, clock) = (server::one_core(), SystemClock::new());
    let contestant = Arc::new(Contestant::start(way, &server, 0));
    let mut late = viewers_runtime().block_on(async {
        let viewers = open_all(&contestant, way, WATCHED).await;
        let mut reading = JoinSet::new();
        for viewer in viewers {
            reading.spawn(watch(viewer, clock.clone()));
        }
        let (beats, publisher) = (clock.clone(), Arc::clone(&contestant));
        server.spawn(async move {
            for seq in 1..=BEATS {
                TokioRuntime.sleep(Duration::from_millis(100)).await;
                let now = beats.monotonic().as_nanos();
                let message = format!("{}@{now:0DIGITS$}", "m".repeat(49));
                publisher.publish(seq, &message).await;
            }
        });
        reading.join_all().await.concat()
    });
    server.shutdown_background();
    late.sort_by(f64::total_cmp);
    late[late.len() * 99 / 100]
}

/// The lateness of each event that counts, in milliseconds.
async fn watch(mut viewer: Viewer, clock: SystemClock) -> Vec<f64> {
    let (mut late, mut seen, mut text) = (Vec::new(), 0, Vec::new());
    while seen < BEATS {
        text.extend_from_slice(viewer.read().await);
        let now = clock.monotonic();
        while let Some(at) = text.iter().position(|byte| *byte == MARK)
            && text.len() > at + DIGITS
        {
            let digits = std::str::from_utf8(&text[at + 1..=at + DIGITS]).expect("digits");
            let sent = Duration::from_nanos(digits.parse().expect("digits"));
            seen += 1;
            if seen > UNCOUNTED {
                late.push(now.saturating_sub(sent).as_secs_f64() * 1e3);
            }
            text.drain(..=at + DIGITS);
        }
    }
    late
}

/// Events a second to one viewer who has none of `events` yet.
fn catch_up(way: Way, events: u64) -> f64 {
    let (server, clock) = (server::one_core(), SystemClock::new());
    let contestant = Contestant::start(way, &server, events);
    let lines = way.greeting() + LINES * usize::try_from(events).expect("a count");
    let took = viewers_runtime().block_on(async {
        let begun = clock.monotonic();
        Viewer::open(&contestant, lines).await;
        clock.monotonic() - begun
    });
    server.shutdown_background();
    f64::from(u32::try_from(events).expect("a count")) / took.as_secs_f64()
}

/// Both ends of each viewer's connection are this process's.
fn raise_file_limit() {
    let most = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nofile, limit).expect("as many as are allowed");
}

/// The median of `rounds` of each contestant, who take turns.
fn compare(ways: &[Way], rounds: usize, figure: Figure<'_>, measure: impl Fn(Way) -> f64) {
    let mut values = vec![Vec::new(); ways.len()];
    for _ in 0..rounds {
        for (way, values) in ways.iter().zip(&mut values) {
            values.push(measure(*way));
        }
    }
    for (way, values) in ways.iter().zip(&values) {
        Figure {
            series: way.series(),
            value: median(values),
            ..figure
        }
        .tell();
    }
}

fn main() {
    raise_file_limit();
    let ways = Way::all();
    let rounds = std::env::var("SHEEN_BENCH_ROUNDS").ok();
    let rounds = rounds.and_then(|it| it.parse().ok()).unwrap_or(3_usize);
    let blank = Figure {
        work: "",
        unit: "events/s",
        by: "",
        at: 0,
        series: "",
        value: 0.0,
    };
    for (viewers, events) in FAN_OUT {
        let figure = Figure {
            work: "events of 200 B to viewers of one build",
            by: "viewers",
            at: viewers as u64,
            ..blank
        };
        compare(&ways, rounds, figure, |way| fan_out(way, viewers, events));
    }
    let figure = Figure {
        work: "lateness at ten events a second, p99",
        unit: "ms",
        by: "viewers",
        at: WATCHED as u64,
        ..blank
    };
    compare(&ways, rounds, figure, lateness);
    let remember: Vec<_> = ways.into_iter().filter(|way| way.remembers()).collect();
    for events in CATCH_UP {
        let figure = Figure {
            work: "catching up from memory",
            by: "events",
            at: events,
            ..blank
        };
        compare(&remember, rounds, figure, |way| catch_up(way, events));
    }
}
