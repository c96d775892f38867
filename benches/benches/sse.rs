//! Reading server-sent events: events of two hundred bytes in pieces as they come off a line, and one
//! long line, beside sse-stream and eventsource-stream. The floor looks for each line's end and no
//! more.
//!
//! `cargo bench -p benches --bench sse` prints medians of several rounds, contestants taking turns;
//! `SHEEN_BENCH_ROUNDS` (5) says how many.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hint::black_box;

use benches::figures::{Figure, median};
use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, StreamExt, stream};
use sheen_core::time::{Clock, SystemClock};
use sheen_events::reader::SseParser;
use sse_stream::SseStream;

const MIB: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Sheen,
    SseStream,
    EventsourceStream,
    Lines,
}

impl Way {
    const ALL: [Self; 4] = [
        Self::Sheen,
        Self::SseStream,
        Self::EventsourceStream,
        Self::Lines,
    ];

    const fn series(self) -> &'static str {
        match self {
            Self::Sheen => "sheen",
            Self::SseStream => "sse-stream",
            Self::EventsourceStream => "eventsource-stream",
            Self::Lines => "floor: every line's end found",
        }
    }

    /// How many events it reads.
    fn read(self, pieces: &[Bytes]) -> usize {
        let stream = || stream::iter(pieces.iter().cloned().map(Ok::<_, Infallible>));
        match self {
            Self::Sheen => sheen(pieces),
            Self::SseStream => {
                let mut events = SseStream::from_bytes_stream(stream());
                let mut count = 0;
                while let Some(event) = events.next().now_or_never().expect("all is there") {
                    count += usize::from(black_box(event).is_ok_and(|event| event.data.is_some()));
                }
                count
            }
            Self::EventsourceStream => {
                let mut events = stream().eventsource();
                let mut count = 0;
                while let Some(event) = events.next().now_or_never().expect("all is there") {
                    count += usize::from(black_box(event).is_ok());
                }
                count
            }
            Self::Lines => {
                let lines = pieces.iter();
                lines
                    .map(|piece| memchr::memchr2_iter(b'\n', b'\r', piece).count())
                    .sum()
            }
        }
    }
}

fn sheen(pieces: &[Bytes]) -> usize {
    let mut parser = SseParser::with_max(8 * MIB);
    let mut count = 0;
    for piece in pieces {
        let mut rest = &piece[..];
        while black_box(parser.read(&mut rest))
            .expect("within bounds")
            .is_some()
        {
            count += 1;
        }
    }
    count
}

/// So many MiB of events as the wire has them.
fn events(mib: usize) -> (Vec<u8>, usize) {
    let mut bytes = Vec::with_capacity(mib * MIB + 256);
    let mut count = 0;
    while bytes.len() < mib * MIB {
        count += 1;
        let data = format!(
            r#"{{"id":"{count}","seq":{count},"buildId":"bld_1","buildSessionId":"bs_1","type":"build_log","data":{{"message":"Writing page {count} of the site"}},"createdAt":"2026-11-20T10:30:00.000Z"}}"#
        );
        bytes.extend(format!("id: {count}\nevent: build_log\ndata: {data}\n\n").bytes());
    }
    (bytes, count)
}

fn long_line(bytes: usize) -> Vec<u8> {
    let mut line = b"data: ".to_vec();
    line.resize(bytes, b'x');
    line.extend(b"\n\n");
    line
}

fn pieces(bytes: &[u8], size: usize) -> Vec<Bytes> {
    bytes.chunks(size).map(Bytes::copy_from_slice).collect()
}

#[derive(Debug)]
struct Work {
    name: &'static str,
    by: &'static str,
    at: u64,
    pieces: Vec<Bytes>,
    events: usize,
    /// One that takes minutes here is left out.
    slow: Option<Way>,
}

fn works() -> Vec<Work> {
    let (bytes, count) = events(16);
    let short = [1, 16, 64].into_iter().map(|kib: u64| Work {
        name: "SSE parsed, events of 220 bytes",
        by: "KiB a piece",
        at: kib,
        pieces: pieces(&bytes, usize::try_from(kib).expect("a size") << 10),
        events: count,
        slow: None,
    });
    let long = [256, 1024, 4096].into_iter().map(|kib: u64| Work {
        name: "SSE parsed, one line in pieces of 16 KiB",
        by: "KiB a line",
        at: kib,
        pieces: pieces(
            &long_line(usize::try_from(kib).expect("a size") << 10),
            16 << 10,
        ),
        events: 1,
        slow: (kib > 1024).then_some(Way::EventsourceStream),
    });
    short.chain(long).collect()
}

fn main() {
    let rounds = std::env::var("SHEEN_BENCH_ROUNDS")
        .ok()
        .and_then(|it| it.parse().ok());
    let clock = SystemClock::new();
    let works = works();
    let mut rates: BTreeMap<(usize, Way), Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds.unwrap_or(5) {
        for (at, work) in works.iter().enumerate() {
            for way in Way::ALL {
                if work.slow == Some(way) {
                    continue;
                }
                let began = clock.monotonic();
                let found = way.read(black_box(&work.pieces));
                let took = (clock.monotonic() - began).as_secs_f64();
                assert!(
                    way == Way::Lines || found == work.events,
                    "{way:?}: {found} events"
                );
                let bytes: usize = work.pieces.iter().map(Bytes::len).sum();
                let bytes = u32::try_from(bytes).expect("a size");
                let rate = f64::from(bytes) / 1e6 / took;
                rates.entry((at, way)).or_default().push(rate);
            }
        }
    }
    for ((at, way), rates) in &rates {
        let work = &works[*at];
        Figure {
            work: work.name,
            unit: "MB/s",
            by: work.by,
            at: work.at,
            series: way.series(),
            value: median(rates),
        }
        .tell();
    }
}
