//! The memory of a viewer who waits (docs/performance.md, row 12): bytes allocated in the server's
//! process for each open stream over HTTP, connection and all, beside axum's own `Sse` and a bare
//! socket; and beside what the processes of nchan and better-sse grow by, where they are installed.
//! The viewers are sockets without a byte of their own on the heap.
//!
//! `cargo bench -p benches --bench viewers`. What it counts is exact to a few bytes: one round.

#[path = "http/contestant.rs"]
mod contestant;
#[path = "http/outside.rs"]
mod outside;
#[path = "http/server.rs"]
mod server;
#[path = "http/world.rs"]
mod world;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use benches::figures::Figure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use contestant::{Contestant, LINES, Way};
use outside::Outside;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const VIEWERS: [usize; 3] = [100, 1_000, 5_000];

/// Reads `lines` lines of the stream, and its head when that is still to come.
fn read(socket: &mut TcpStream, mut awaits_head: bool, lines: usize) {
    let mut buffer = [0; 4096];
    let (mut seen, mut head) = (0_isize, 0);
    let wanted = isize::try_from(lines).expect("a count");
    while awaits_head || seen < wanted {
        let read = socket.read(&mut buffer).expect("a stream");
        assert!(read > 0, "the stream ended");
        for byte in &buffer[..read] {
            match byte {
                b'\n' => seen += 1,
                // It stands before each LF of HTTP's, and nowhere else.
                b'\r' => seen -= 1,
                _ => {}
            }
            // The end of the head: an empty line.
            head = match (head, byte) {
                (0 | 2, b'\r') | (1 | 3, b'\n') => head + 1,
                _ => 0,
            };
            awaits_head &= head != 4;
        }
    }
}

fn open(contestant: &Contestant, way: Way) -> TcpStream {
    let mut socket = TcpStream::connect(contestant.address).expect("a connection");
    socket
        .write_all(contestant.request.as_bytes())
        .expect("a request");
    read(&mut socket, true, way.greeting());
    socket
}

/// Bytes a viewer.
fn idle(way: Way, count: usize) -> f64 {
    let server = server::one_core();
    let contestant = Contestant::start(way, &server, 0);
    // What the first ones bring about is not each one's.
    let mut sockets = Vec::with_capacity(count + 10);
    sockets.extend((0..10).map(|_| open(&contestant, way)));
    let region = Region::new(ALLOCATOR);
    let before = contestant.outside.as_ref().map(Outside::resident);
    sockets.extend((0..count).map(|_| open(&contestant, way)));
    let change = region.change();
    let after = contestant.outside.as_ref().map(Outside::resident);
    // Each of them is still there.
    server.block_on(contestant.publish(1, "awake"));
    for socket in &mut sockets {
        read(socket, false, LINES);
    }
    drop(sockets);
    // What this server frees must not count as the next one's.
    server.shutdown_timeout(Duration::from_secs(30));
    let bytes = match (before, after) {
        (Some(before), Some(after)) => usize::try_from(after.saturating_sub(before)).expect("RAM"),
        _ => change
            .bytes_allocated
            .saturating_sub(change.bytes_deallocated),
    };
    let per = |bytes: usize| f64::from(u32::try_from(bytes).expect("below 4 GiB"));
    per(bytes) / per(count)
}

fn main() {
    let most = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    // Both ends of each connection are this process's.
    setrlimit(Resource::Nofile, limit).expect("as many as are allowed");
    let ways = Way::all();
    for count in VIEWERS {
        for way in ways.iter().copied() {
            Figure {
                work: "memory of a viewer who waits",
                unit: "bytes",
                by: "viewers",
                at: count as u64,
                series: way.series(),
                value: idle(way, count),
            }
            .tell();
        }
    }
}
