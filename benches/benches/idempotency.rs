//! Row 6: the first call of a key, begun and completed, from one caller. Beside Redis stands what
//! anyone would send it by hand, `SET NX PX` and `SET PX`; beside PostgreSQL a hand-written insert
//! and update of the same columns under the same indexes, with fsync and
//! without: with it the disk is nearly all that is measured. The two of a pair take turns,
//! and medians are compared, so that what else the machine does meets both alike.
//!
//! `cargo bench -p benches --bench idempotency [-- rounds]`

use std::sync::Arc;
use std::time::Instant;

use benches::figures::{Figure, median};
use redis::aio::MultiplexedConnection;
use sheen_core::id::{PrincipalId, UserId};
use sheen_core::idempotency::{
    BeginOutcome, Fingerprint, IdempotencyKey, IdempotencyStore, LeaseOutcome, Lifetimes,
    MemoryIdempotencyStore, PgIdempotencyStore, RedisIdempotencyStore, Scope, StoredAnswer,
};
use sheen_core::postgres::migrate;
use sheen_core::time::SystemClock;
use sqlx::PgPool;
use testkit::{Durability, PostgresServer, RedisServer};

/// Calls in a round; fewer where each waits for a disk.
const CALLS: u32 = 400;
const CALLS_TO_DISK: u32 = 80;
const BODY: &[u8] = &[b'x'; 200];

type Tried<T> = Result<T, Box<dyn std::error::Error>>;

fn scope() -> Tried<Scope> {
    Ok(Scope::new(
        PrincipalId::parse("web")?,
        UserId::parse("ada")?,
    ))
}

fn answer() -> Tried<StoredAnswer> {
    let headers = vec![("content-type".into(), "application/json".into())];
    Ok(StoredAnswer::new(202, headers, BODY, "req_1")?)
}

/// Calls a second. `round` keeps keys apart.
async fn store(store: &dyn IdempotencyStore, round: u32, calls: u32) -> Tried<f64> {
    let (scope, answer) = (scope()?, answer()?);
    let call = Fingerprint::of("POST", "/v1/update-project", "", &[1; 32]);
    let begun = Timer::start();
    for n in 0..calls {
        let key = IdempotencyKey::parse(format!("k-{round}-{n}").as_bytes())?;
        let BeginOutcome::Started(lease) = store.begin(&scope, &key, call).await? else {
            return Err("a new key starts".into());
        };
        if store.complete(&lease, answer.clone()).await? != LeaseOutcome::Done {
            return Err("a lease completes".into());
        }
    }
    Ok(begun.rate(calls))
}

async fn raw_redis(connection: &mut MultiplexedConnection, round: u32) -> Tried<f64> {
    let begun = Timer::start();
    for n in 0..CALLS {
        let key = format!("raw:{{web/ada}}k-{round}-{n}");
        let taken: Option<String> = redis::cmd("SET")
            .arg(&key)
            .arg(&[1_u8; 32][..])
            .arg("NX")
            .arg("PX")
            .arg(60_000)
            .query_async(connection)
            .await?;
        taken.ok_or("a new key is set")?;
        let () = redis::cmd("SET")
            .arg(&key)
            .arg(BODY)
            .arg("PX")
            .arg(86_400_000)
            .query_async(connection)
            .await?;
    }
    Ok(begun.rate(CALLS))
}

async fn raw_postgres(pool: &PgPool, round: u32, calls: u32) -> Tried<f64> {
    let begun = Timer::start();
    for n in 0..calls {
        let key = format!("k-{round}-{n}");
        let token: i64 = sqlx::query_scalar(include_str!("sql/raw_begin.sql"))
            .bind("web")
            .bind("ada")
            .bind(&key)
            .bind(&[1_u8; 32][..])
            .fetch_one(pool)
            .await?;
        let done = sqlx::query(include_str!("sql/raw_complete.sql"))
            .bind("web")
            .bind("ada")
            .bind(&key)
            .bind(token)
            .bind(202_i16)
            .bind("[[\"content-type\",\"application/json\"]]")
            .bind(BODY)
            .bind("req_1")
            .execute(pool)
            .await?;
        if done.rows_affected() != 1 {
            return Err("a lease completes".into());
        }
    }
    Ok(begun.rate(calls))
}

struct Timer(Instant);

impl Timer {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn rate(&self, calls: u32) -> f64 {
        f64::from(calls) / self.0.elapsed().as_secs_f64()
    }
}

fn report(name: &str, ours: &[f64], raw: &[f64]) {
    for (series, rates) in [("sheen", ours), ("floor: by hand", raw)] {
        if !rates.is_empty() {
            Figure {
                work: &format!("a key begun and completed, {name}"),
                unit: "calls/s",
                by: "caller",
                at: 1,
                series,
                value: median(rates),
            }
            .tell();
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Tried<()> {
    let rounds = std::env::args().find_map(|word| word.parse().ok());
    let rounds: u32 = rounds.unwrap_or(15);
    let lifetimes = Lifetimes::default();

    let memory = MemoryIdempotencyStore::new(Arc::new(SystemClock::new()), lifetimes, 1 << 20);
    let mut rates = Vec::new();
    for round in 0..rounds {
        rates.push(store(&memory, round, CALLS).await?);
    }
    report("memory", &rates, &[]);

    let server = RedisServer::start()?;
    let client = redis::Client::open(server.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let ours = RedisIdempotencyStore::open(connection.clone(), "p:", lifetimes).await?;
    let (mut sheen, mut raw) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        raw.push(raw_redis(&mut connection, round).await?);
        sheen.push(store(&ours, round, CALLS).await?);
    }
    report("Redis", &sheen, &raw);

    postgres("PostgreSQL", Durability::On, rounds, CALLS_TO_DISK).await?;
    postgres("PostgreSQL, fsync off", Durability::Off, rounds, CALLS).await
}

async fn postgres(name: &str, durability: Durability, rounds: u32, calls: u32) -> Tried<()> {
    let server = PostgresServer::start(durability)?;
    let database = server.database().await?;
    let pool = database.pool(1).await;
    migrate(&pool).await?;
    sqlx::raw_sql(include_str!("sql/raw_tables.sql"))
        .execute(&pool)
        .await?;
    let ours = PgIdempotencyStore::new(pool.clone(), Lifetimes::default());
    let (mut sheen, mut raw) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        raw.push(raw_postgres(&pool, round, calls).await?);
        sheen.push(store(&ours, round, calls).await?);
    }
    report(name, &sheen, &raw);
    Ok(())
}
