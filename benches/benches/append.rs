//! Appends to event logs on PostgreSQL with fsync on, singly and fifty at a time, with wake-ups and
//! without, beside one statement by hand that writes the same rows.
//!
//! `cargo bench -p benches --bench append` prints medians of several rounds, contestants taking
//! turns; `SHEEN_BENCH_ROUNDS` (5) says how many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use benches::figures::{Figure, median};
use sheen_core::entropy::OsEntropy;
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::runtime::TokioRuntime;
use sheen_core::time::{Clock, SystemClock};
use sheen_core::token::FencingToken;
use sheen_events::log::{
    Append, AppendOutcome, EventLog, EventType, NewEvent, NewStream, PgEventLog,
};
use sheen_events::postgres::migrate;
use sheen_events::wake::{PgWake, Wake, WakeParts};
use sqlx::PgPool;
use testkit::{Durability, PostgresServer};
use tokio::task::JoinSet;

/// What somebody would write who needs nothing but events in order: the same rows, no token, no
/// key, no end.
const BY_HAND: &str = "
WITH moved AS (
    UPDATE sheen.event_streams AS s
    SET head = s.head + cardinality($2), last_ms = sheen.now_ms() + cardinality($2)
    WHERE s.build_id = $1
    RETURNING s.head - cardinality($2) AS head, s.user_id, s.last_ms - cardinality($2) AS first_ms
)
INSERT INTO sheen.events
    (build_id, seq, user_id, user_visible, event_type, data, created_ms)
SELECT $1, m.head + e.place, m.user_id, true, 'build_log', e.data, m.first_ms + e.place
FROM moved AS m, unnest($2) WITH ORDINALITY AS e (data, place)";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Log,
    LogAndWake,
    ByHand,
}

impl Way {
    const ALL: [Self; 3] = [Self::Log, Self::LogAndWake, Self::ByHand];

    const fn series(self) -> &'static str {
        match self {
            Self::Log => "sheen",
            Self::LogAndWake => "sheen, with wake-ups",
            Self::ByHand => "floor: one statement by hand",
        }
    }
}

#[derive(Debug)]
struct World {
    pool: PgPool,
    log: PgEventLog,
    wake: PgWake,
}

impl World {
    async fn open(&self, name: &str) -> BuildId {
        let build = BuildId::parse(name).expect("an id");
        let (user, session) = (UserId::parse("u1"), BuildSessionId::parse("s1"));
        let (user, session) = (user.expect("an id"), session.expect("an id"));
        let stream = NewStream::new(build.clone(), user, session);
        self.log.open(stream).await.expect("a stream");
        build
    }

    async fn append(&self, way: Way, build: &BuildId, events: &[NewEvent]) {
        if way == Way::ByHand {
            let data: Vec<&str> = events.iter().map(|event| &*event.data).collect();
            let done = sqlx::query(BY_HAND)
                .bind(build.as_str())
                .bind(data)
                .execute(&self.pool)
                .await
                .expect("an insert");
            assert_eq!(done.rows_affected(), events.len() as u64);
            return;
        }
        let append = Append::new(build.clone(), FencingToken::ZERO, events.to_vec());
        let outcome = self.log.append(append).await.expect("an append");
        assert!(matches!(outcome, AppendOutcome::Appended(_)), "{outcome:?}");
        if way == Way::LogAndWake {
            self.wake.ring(build);
        }
    }
}

fn events(count: usize) -> Vec<NewEvent> {
    let mut data = serde_json::Map::new();
    data.insert("message".to_owned(), "x".repeat(180).into());
    let event = NewEvent::new(EventType::BUILD_LOG, &data).expect("an event");
    vec![event; count]
}

/// What is measured: how many events an append has, and whether all callers write to one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Work {
    batch: usize,
    is_hot: bool,
    callers: usize,
    appends: usize,
}

impl Work {
    const fn new(batch: usize, is_hot: bool, callers: usize, appends: usize) -> Self {
        Self {
            batch,
            is_hot,
            callers,
            appends,
        }
    }

    fn name(self) -> String {
        let place = if self.is_hot {
            "one build"
        } else {
            "a build each"
        };
        match self.batch {
            1 => format!("appends to {place}, fsync on"),
            many => format!("appends of {many} to {place}, fsync on"),
        }
    }
}

/// Events a second.
async fn rate(world: &Arc<World>, way: Way, work: Work, round: usize) -> f64 {
    let mut builds = Vec::new();
    for caller in 0..work.callers {
        let place = if work.is_hot { 0 } else { caller };
        let name = format!("b{round}-{way:?}-{work:?}-{place}").replace([' ', '{', '}', ','], "_");
        builds.push(world.open(&name).await);
    }
    let events = Arc::new(events(work.batch));
    let left = Arc::new(AtomicUsize::new(work.appends));
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let mut callers = JoinSet::new();
    for build in builds {
        let (world, events, left) = (Arc::clone(world), Arc::clone(&events), Arc::clone(&left));
        callers.spawn(async move {
            let one_less = |left: usize| left.checked_sub(1);
            while left.fetch_update(Relaxed, Relaxed, one_less).is_ok() {
                world.append(way, &build, &events).await;
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.expect("a caller");
    }
    let took = (clock.monotonic() - began).as_secs_f64();
    let count = u32::try_from(work.appends * work.batch).expect("a count");
    f64::from(count) / took
}

async fn run() {
    let rounds = std::env::var("SHEEN_BENCH_ROUNDS")
        .ok()
        .and_then(|it| it.parse().ok());
    let server = PostgresServer::start(Durability::On).expect("a server");
    let database = server.database().await.expect("a database");
    let pool = database.pool(64).await;
    migrate(&pool).await.expect("a schema");
    let runtime = Arc::new(TokioRuntime);
    let parts = WakeParts {
        spawn: runtime.clone(),
        sleep: runtime,
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(OsEntropy),
    };
    let wake = PgWake::start(database.options(), parts, Default::default());
    testkit::until_async("a healthy channel", async || wake.is_healthy()).await;
    let world = Arc::new(World {
        log: PgEventLog::new(pool.clone(), Arc::new(OsEntropy)),
        pool,
        wake,
    });
    let works = [
        Work::new(1, false, 1, 1_000),
        Work::new(1, false, 8, 3_000),
        Work::new(1, true, 8, 2_000),
        Work::new(1, true, 64, 2_000),
        Work::new(50, true, 1, 300),
        Work::new(50, true, 8, 600),
    ];
    let mut rates: BTreeMap<(Work, Way), Vec<f64>> = BTreeMap::new();
    for round in 0..rounds.unwrap_or(5) {
        for work in works {
            for way in Way::ALL {
                let rate = rate(&world, way, work, round).await;
                rates.entry((work, way)).or_default().push(rate);
            }
        }
    }
    for ((work, way), rates) in &rates {
        Figure {
            work: &work.name(),
            unit: "events/s",
            by: "callers",
            at: u64::try_from(work.callers).expect("a count"),
            series: way.series(),
            value: median(rates),
        }
        .tell();
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run());
}
