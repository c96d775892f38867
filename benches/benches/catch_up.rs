//! Catching up on a build's events in PostgreSQL (docs/performance.md, row 13): the log's pages, and
//! the stream over HTTP that is read from them, beside keyset pages of the same rows by hand.
//!
//! `cargo bench -p benches --bench catch_up` prints medians of several rounds, contestants taking
//! turns; `SHEEN_BENCH_ROUNDS` (5) says how many.

#[path = "http/server.rs"]
mod server;
#[path = "http/world.rs"]
mod world;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use benches::figures::{Figure, median};
use sheen_core::entropy::OsEntropy;
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::runtime::TokioRuntime;
use sheen_core::time::{Clock, SystemClock};
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, EventLog, EventType, NewEvent, NewStream, PgEventLog};
use sheen_events::postgres::migrate;
use sheen_events::stream::{StreamConfig, StreamService};
use sheen_events::wake::MemoryWake;
use sqlx::{PgPool, Row};
use testkit::{Durability, PostgresServer};
use tokio::runtime::Runtime;

const SIZES: [u64; 3] = [2_000, 20_000, 100_000];

/// What somebody would read who needs nothing but the events.
const BY_HAND: &str = "
SELECT seq, event_type, data, created_ms FROM sheen.events
WHERE build_id = $1 AND user_id = $2 AND user_visible AND seq > $3
ORDER BY seq LIMIT $4";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ByHand,
    Pages,
    Stream,
}

impl Way {
    const ALL: [Self; 3] = [Self::ByHand, Self::Pages, Self::Stream];

    const fn series(self) -> &'static str {
        match self {
            Self::ByHand => "floor: keyset pages by hand",
            Self::Pages => "sheen, pages of the log",
            Self::Stream => "sheen, the stream over HTTP",
        }
    }
}

struct World {
    runtime: Runtime,
    pool: PgPool,
    log: Arc<PgEventLog>,
    address: SocketAddr,
    tokens: Vec<(BuildId, String)>,
    page: u32,
    clock: SystemClock,
}

fn build(size: u64) -> BuildId {
    BuildId::parse(&format!("b{size}")).expect("an id")
}

fn user() -> UserId {
    UserId::parse("u1").expect("an id")
}

async fn fill(log: &PgEventLog, size: u64) {
    let session = BuildSessionId::parse("s1").expect("an id");
    let stream = NewStream::new(build(size), user(), session);
    log.open(stream).await.expect("a log");
    let mut data = serde_json::Map::new();
    data.insert("message".to_owned(), "m".repeat(70).into());
    let event = NewEvent::new(EventType::BUILD_LOG, &data).expect("a message");
    for _ in 0..size / 100 {
        let events = vec![event.clone(); 100];
        let append = Append::new(build(size), FencingToken::ZERO, events);
        log.append(append).await.expect("an append");
    }
}

impl World {
    fn start(postgres: &PostgresServer) -> Self {
        let runtime = server::one_core();
        let clock = SystemClock::new();
        let (pool, log) = runtime.block_on(async {
            let database = postgres.database().await.expect("a database");
            let pool = database.pool(2).await;
            migrate(&pool).await.expect("migrations");
            let log = PgEventLog::new(pool.clone(), Arc::new(OsEntropy));
            for size in SIZES {
                fill(&log, size).await;
            }
            sqlx::raw_sql("VACUUM ANALYZE sheen.events")
                .execute(&pool)
                .await
                .expect("statistics");
            (pool, Arc::new(log))
        });
        let (app, _) = world::app();
        let config = StreamConfig::default();
        let page = config.page_size;
        let tokens = SIZES.map(|size| {
            let life = Duration::from_secs(600);
            let (token, _) = app.tokens.issue(&user(), &build(size), clock.now(), life);
            (build(size), token.expose().to_owned())
        });
        let app = sheen_axum::App {
            limits: None,
            streams: StreamService::new(
                log.clone(),
                Arc::new(MemoryWake::new()),
                Arc::new(TokioRuntime),
                Arc::new(clock.clone()),
                config,
            ),
            ..app
        };
        Self {
            address: server::serve(&runtime, sheen_axum::router(app).expect("a worker")),
            runtime,
            pool,
            log,
            tokens: tokens.into(),
            page,
            clock,
        }
    }

    /// Events a second.
    fn rate(&self, way: Way, size: u64) -> f64 {
        let begun = self.clock.monotonic();
        let read = match way {
            Way::ByHand => self.runtime.block_on(self.by_hand(size)),
            Way::Pages => self.runtime.block_on(self.pages(size)),
            Way::Stream => self.stream(size),
        };
        let took = self.clock.monotonic() - begun;
        assert_eq!(read, size);
        f64::from(u32::try_from(size).expect("a count")) / took.as_secs_f64()
    }

    async fn by_hand(&self, size: u64) -> u64 {
        let (mut last, mut bytes) = (0_i64, 0);
        loop {
            let rows = sqlx::query(BY_HAND)
                .bind(build(size).as_str())
                .bind("u1")
                .bind(last)
                .bind(i64::from(self.page))
                .fetch_all(&self.pool)
                .await
                .expect("a page");
            for row in &rows {
                last = row.get("seq");
                let of: (String, String, i64) = (
                    row.get("event_type"),
                    row.get("data"),
                    row.get("created_ms"),
                );
                bytes += of.0.len() + of.1.len();
            }
            if rows.len() < self.page as usize {
                assert!(bytes > 0);
                return u64::try_from(last).expect("a seq");
            }
        }
    }

    async fn pages(&self, size: u64) -> u64 {
        let mut last = 0;
        loop {
            let page = self.log.read(&build(size), last, self.page).await;
            let page = page.expect("a page").expect("a stream");
            last = page.events.last().map_or(last, |event| event.seq);
            if page.events.len() < self.page as usize {
                return last;
            }
        }
    }

    /// Reads the stream up to its last event, from the other core.
    fn stream(&self, size: u64) -> u64 {
        let token = self.tokens.iter().find(|(of, _)| *of == build(size));
        let (_, token) = token.expect("a token");
        let target = format!(
            "/v1/builds/{}/events/stream?access_token={token}",
            build(size)
        );
        let mut socket = TcpStream::connect(self.address).expect("a connection");
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: worker\r\naccept: text/event-stream\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("a request");
        // `connection` before, four lines an event, `caught_up` after.
        let wanted = isize::try_from(6 + 4 * size).expect("a count");
        let mut buffer = vec![0; 64 * 1024];
        let mut lines = 0_isize;
        while lines < wanted {
            let read = socket.read(&mut buffer).expect("a stream");
            assert!(read > 0, "the stream ended");
            for byte in &buffer[..read] {
                // A CR stands before each LF of HTTP's, and nowhere else.
                lines += isize::from(*byte == b'\n') - isize::from(*byte == b'\r');
            }
        }
        size
    }
}

fn main() {
    let rounds = std::env::var("SHEEN_BENCH_ROUNDS").ok();
    let rounds = rounds.and_then(|it| it.parse().ok()).unwrap_or(5_usize);
    let postgres = PostgresServer::start(Durability::Off).expect("PostgreSQL");
    let world = World::start(&postgres);
    for size in SIZES {
        let mut values = Way::ALL.map(|_| Vec::new());
        for _ in 0..rounds {
            for (way, values) in Way::ALL.into_iter().zip(&mut values) {
                values.push(world.rate(way, size));
            }
        }
        for (way, values) in Way::ALL.into_iter().zip(&values) {
            Figure {
                work: "catching up from PostgreSQL",
                unit: "events/s",
                by: "events",
                at: size,
                series: way.series(),
                value: median(values),
            }
            .tell();
        }
    }
}
