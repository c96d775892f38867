//! Reserves on PostgreSQL with fsync on: a hot account, and 10,000 accounts by Zipf's law, beside
//! two ways to write the same rows by hand: a `FOR UPDATE` transaction and a function of one
//! statement. Not criterion's kind of benchmark: what counts is reserves a second of many callers.
//!
//! `cargo bench -p benches --bench ledger` prints medians of several rounds, contestants taking
//! turns; `SHEEN_BENCH_ROUNDS` (5) says how many.
#![expect(clippy::print_stdout, reason = "its figures are its output")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use benches::figures::{Figure, median};
use sheen_billing::account::{
    CreditAudit, CreditCommand, CreditPolicy, CreditStore, GroupCommit, GroupSettings,
    PgCreditStore, Reserve, ReserveOutcome,
};
use sheen_billing::postgres::migrate;
use sheen_core::id::{OperationId, UserId};
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_core::time::{Clock, SystemClock};
use sqlx::{Connection, PgPool, Row};
use testkit::{Durability, PostgresServer, TestDatabase};
use tokio::task::JoinSet;

#[path = "sql/pgbench.rs"]
mod pgbench;

use pgbench::On;

const ACCOUNTS: usize = 10_000;

const ONE_ACCOUNT: &str = "one account";
const MANY_ACCOUNTS: &str = "10,000 accounts";

/// What a function of one statement would be, written by hand over the same tables.
const BY_HAND: &str = "
CREATE FUNCTION sheen.bench_reserve(p_user text, p_reservation text, p_operation text, p_seconds bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    a sheen.credit_accounts;
    v_now bigint;
BEGIN
    SELECT * INTO a FROM sheen.credit_accounts WHERE user_id = p_user FOR UPDATE;
    v_now := sheen.now_ms();
    IF a.paid_available < p_seconds THEN
        RETURN false;
    END IF;
    UPDATE sheen.credit_accounts SET version = a.version + 1, last_entry = a.last_entry + 1,
        open_holds = a.open_holds + 1, paid_available = a.paid_available - p_seconds,
        paid_held = a.paid_held + p_seconds, reserved_today = a.reserved_today + p_seconds
        WHERE user_id = p_user;
    INSERT INTO sheen.credit_entries VALUES (p_user, a.last_entry + 1, 'reserve', 'paid',
        'available', 'held', p_seconds, p_reservation, p_operation, v_now);
    INSERT INTO sheen.credit_holds VALUES (p_reservation, p_user, p_operation, NULL, p_seconds,
        3600000, (v_now / 86400000)::integer, v_now, 0, 0, a.paid_available - p_seconds, 'open', 0,
        0, p_seconds, v_now + 3600000);
    RETURN true;
END $$;";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// The store, steps in groups.
    Grouped,
    /// The store, each step by itself.
    Single,
    /// A transaction that locks, looks and writes.
    ForUpdate,
    /// The same in one statement.
    Function,
    /// Both as `pgbench` drives them.
    ForUpdatePgbench,
    FunctionPgbench,
}

#[derive(Debug)]
struct Contestant {
    way: Way,
    store: Arc<dyn CreditStore>,
    pool: PgPool,
}

impl Contestant {
    async fn reserve(&self, wish: Reserve) -> bool {
        match self.way {
            Way::Grouped | Way::Single => {
                let outcome = self.store.reserve(wish).await.expect("a reserve");
                matches!(outcome, ReserveOutcome::Reserved(_))
            }
            Way::ForUpdate => self.for_update(&wish).await.expect("a transaction"),
            Way::Function => sqlx::query_scalar("SELECT sheen.bench_reserve($1, $2, $3, $4)")
                .bind(wish.user.as_str())
                .bind(wish.reservation_id().as_str())
                .bind(wish.operation.as_str())
                .bind(wish.seconds.as_i64())
                .fetch_one(&self.pool)
                .await
                .expect("a call"),
            Way::ForUpdatePgbench | Way::FunctionPgbench => {
                unreachable!("pgbench drives itself")
            }
        }
    }

    async fn for_update(&self, wish: &Reserve) -> Result<bool, sqlx::Error> {
        let (user, seconds) = (wish.user.as_str(), wish.seconds.as_i64());
        let mut connection = self.pool.acquire().await?;
        let mut step = connection.begin().await?;
        let row = sqlx::query(
            "SELECT last_entry, paid_available FROM sheen.credit_accounts
             WHERE user_id = $1 FOR UPDATE",
        )
        .bind(user)
        .fetch_one(&mut *step)
        .await?;
        let (number, available): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        if available < seconds {
            return Ok(false);
        }
        sqlx::query(
            "UPDATE sheen.credit_accounts SET version = version + 1, last_entry = last_entry + 1,
                open_holds = open_holds + 1, paid_available = paid_available - $2,
                paid_held = paid_held + $2, reserved_today = reserved_today + $2
             WHERE user_id = $1",
        )
        .bind(user)
        .bind(seconds)
        .execute(&mut *step)
        .await?;
        sqlx::query(
            "INSERT INTO sheen.credit_entries VALUES ($1, $2, 'reserve', 'paid', 'available',
                'held', $3, $4, $5, sheen.now_ms())",
        )
        .bind(user)
        .bind(number + 1)
        .bind(seconds)
        .bind(wish.reservation_id().as_str())
        .bind(wish.operation.as_str())
        .execute(&mut *step)
        .await?;
        sqlx::query(
            "INSERT INTO sheen.credit_holds VALUES ($1, $2, $3, NULL, $4, 3600000,
                (sheen.now_ms() / 86400000)::integer, sheen.now_ms(), 0, 0, $5, 'open', 0, 0, $4,
                sheen.now_ms() + 3600000)",
        )
        .bind(wish.reservation_id().as_str())
        .bind(user)
        .bind(wish.operation.as_str())
        .bind(seconds)
        .bind(available - seconds)
        .execute(&mut *step)
        .await?;
        step.commit().await?;
        Ok(true)
    }
}

/// Reserves a second of `callers` who work through `wishes`.
async fn rate(contestant: &Arc<Contestant>, callers: usize, wishes: Vec<Reserve>) -> f64 {
    let clock = SystemClock::new();
    let (count, wishes, next) = (
        wishes.len(),
        Arc::new(wishes),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut tasks = JoinSet::new();
    let begun = clock.monotonic();
    for _ in 0..callers {
        let (contestant, wishes, next) = (contestant.clone(), wishes.clone(), next.clone());
        tasks.spawn(async move {
            while let Some(wish) = wishes.get(next.fetch_add(1, Relaxed)) {
                assert!(contestant.reserve(wish.clone()).await, "refused");
            }
        });
    }
    tasks.join_all().await;
    let seconds = (clock.monotonic() - begun).as_secs_f64();
    f64::from(u32::try_from(count).expect("a count")) / seconds
}

/// An account that has bought a lot, written past the store, books in order.
async fn fill(pool: &PgPool, prefix: &str, count: usize) {
    let users = "SELECT $1 || '-' || n FROM generate_series(0, $2::bigint - 1) AS n";
    let account = format!(
        "INSERT INTO sheen.credit_accounts (user_id, version, welcomed, day, gift_day, last_entry,
            paid_granted, paid_available)
         SELECT u, 1, true, d, d, 1, 1000000000, 1000000000
         FROM ({users}) AS users (u), (SELECT (sheen.now_ms() / 86400000)::integer) AS days (d)"
    );
    let entry = format!(
        "INSERT INTO sheen.credit_entries (user_id, number, kind, bucket, from_place, to_place,
            seconds, operation, created_ms)
         SELECT u, 1, 'purchase', 'paid', 'granted', 'available', 1000000000, u, sheen.now_ms()
         FROM ({users}) AS users (u)"
    );
    let count = i64::try_from(count).expect("a count");
    for statement in [account, entry] {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(prefix)
            .bind(count)
            .execute(pool)
            .await
            .expect("accounts");
    }
}

fn wish(user: &str, operation: &str) -> Reserve {
    let user = UserId::parse(user).expect("an id");
    Reserve::new(
        user,
        OperationId::parse(operation).expect("an id"),
        Seconds::from_u32(2),
    )
}

/// Numbers below [`ACCOUNTS`], the k-th as often as 1/k.
struct Zipf(Vec<f64>, u64);

impl Zipf {
    fn new(seed: u64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=10_000u32).map(|k| {
            sum += 1.0 / f64::from(k);
            sum
        });
        Self(sums.collect(), seed)
    }

    fn next(&mut self) -> usize {
        self.1 = self
            .1
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let random = f64::from(u32::try_from(self.1 >> 32).expect("32 bits"));
        let at = random / f64::from(u32::MAX) * self.0[self.0.len() - 1];
        self.0.partition_point(|sum| *sum < at).min(ACCOUNTS - 1)
    }
}

type Rates = BTreeMap<(&'static str, usize, Way), Vec<f64>>;

async fn hot(pool: &PgPool, contestants: &[Arc<Contestant>], round: usize, rates: &mut Rates) {
    for callers in [1, 8, 64] {
        for contestant in contestants {
            let count = match (contestant.way, callers) {
                (Way::Grouped, 64) => 9_000,
                (_, 8) => 1_500,
                _ => 1_000,
            };
            let user = format!("hot{round}-{callers}-{:?}", contestant.way);
            fill(pool, &user, 1).await;
            let user = format!("{user}-0");
            // The first step reads the account; it is not what is measured.
            assert!(contestant.reserve(wish(&user, "first")).await);
            let wishes = (0..count).map(|n| wish(&user, &format!("op{n}"))).collect();
            let rate = rate(contestant, callers, wishes).await;
            rates
                .entry((ONE_ACCOUNT, callers, contestant.way))
                .or_default()
                .push(rate);
        }
    }
}

async fn spread(contestants: &[Arc<Contestant>], round: usize, rates: &mut Rates) {
    for callers in [1, 8, 64] {
        for contestant in contestants {
            let mut zipf = Zipf::new(u64::try_from(round * 100 + callers).expect("a seed"));
            let count = if callers == 1 { 1_000 } else { 3_000 };
            let wishes = (0..count)
                .map(|n| {
                    let user = format!("z{:?}-{}", contestant.way, zipf.next());
                    wish(&user, &format!("op{round}-{callers}-{n}"))
                })
                .collect();
            let rate = rate(contestant, callers, wishes).await;
            rates
                .entry((MANY_ACCOUNTS, callers, contestant.way))
                .or_default()
                .push(rate);
        }
    }
}

/// The hand-written ones without sqlx and tokio, on accounts of their own.
async fn by_pgbench(
    server: &PostgresServer,
    database: &TestDatabase,
    pool: &PgPool,
    round: usize,
    rates: &mut Rates,
) {
    let ways = [
        (
            Way::ForUpdatePgbench,
            pgbench::for_update as fn(On<'_>) -> String,
        ),
        (Way::FunctionPgbench, pgbench::function),
    ];
    for (callers, (way, script)) in [1, 8, 64]
        .into_iter()
        .flat_map(|n| ways.map(|way| (n, way)))
    {
        let prefix = format!("hot{round}-{callers}-{way:?}");
        fill(pool, &prefix, 1).await;
        let (hot, spread) = (format!("{prefix}-0"), format!("z{way:?}"));
        for (work, on) in [
            (ONE_ACCOUNT, On::One(&hot)),
            (MANY_ACCOUNTS, On::Spread(&spread)),
        ] {
            let rate = pgbench::rate(server, database, &script(on), callers, 1_500);
            rates.entry((work, callers, way)).or_default().push(rate);
        }
    }
}

/// On one account the floor is the transaction that locks, over many the function of one statement.
fn tell(rates: &Rates) {
    for ((work, callers, way), rates) in rates {
        let hot = *work == ONE_ACCOUNT;
        let series = match way {
            Way::Grouped => "sheen, group commit",
            Way::Single => "sheen, each by itself",
            Way::ForUpdate if hot => "floor: FOR UPDATE by hand",
            Way::ForUpdate => "FOR UPDATE by hand",
            Way::Function if hot => "one function by hand",
            Way::Function => "floor: one function by hand",
            Way::ForUpdatePgbench => "FOR UPDATE by hand, pgbench",
            Way::FunctionPgbench => "one function by hand, pgbench",
        };
        Figure {
            work: &format!("reserves on {work}, fsync on"),
            unit: "reserves/s",
            by: "callers",
            at: u64::try_from(*callers).expect("a count"),
            series,
            value: median(rates),
        }
        .tell();
    }
}

async fn run() {
    let rounds = std::env::var("SHEEN_BENCH_ROUNDS")
        .ok()
        .and_then(|it| it.parse().ok());
    let server = PostgresServer::start(Durability::On).expect("a server");
    let database = server.database().await.expect("a database");
    let pool = database.pool(64).await;
    migrate(&pool).await.expect("a schema");
    sqlx::raw_sql(BY_HAND)
        .execute(&pool)
        .await
        .expect("a function");
    let mut policy = CreditPolicy::default();
    // Nothing is ended here, so that reserves alone are measured.
    policy.max_open_holds = 10_000;
    (policy.daily_gift, policy.welcome_bonus) = (Seconds::ZERO, Seconds::ZERO);
    let mut contestants = Vec::new();
    for way in [Way::Grouped, Way::Single, Way::ForUpdate, Way::Function] {
        let store = Arc::new(PgCreditStore::new(pool.clone(), policy));
        fill(&pool, &format!("z{way:?}"), ACCOUNTS).await;
        if matches!(way, Way::Grouped | Way::Single) {
            // Once through all accounts, as after some time in use.
            for page in 0..10 {
                let batch = (page * 1_000..(page + 1) * 1_000)
                    .map(|n| CreditCommand::Reserve(wish(&format!("z{way:?}-{n}"), "first")));
                store.batch(batch.collect()).await.expect("a batch");
            }
        }
        let mut settings = GroupSettings::default();
        settings.enabled = way == Way::Grouped;
        let store = Arc::new(GroupCommit::new(store, Arc::new(TokioRuntime), settings));
        contestants.push(Arc::new(Contestant {
            way,
            store,
            pool: pool.clone(),
        }));
    }
    for way in [Way::ForUpdatePgbench, Way::FunctionPgbench] {
        fill(&pool, &format!("z{way:?}"), ACCOUNTS).await;
    }
    sqlx::raw_sql("VACUUM ANALYZE")
        .execute(&pool)
        .await
        .expect("statistics");
    let mut rates = Rates::new();
    for round in 0..rounds.unwrap_or(5) {
        hot(&pool, &contestants, round, &mut rates).await;
        spread(&contestants, round, &mut rates).await;
        by_pgbench(&server, &database, &pool, round, &mut rates).await;
    }
    tell(&rates);
    let audit = PgCreditStore::new(pool, policy)
        .verify_all(None, 100_000)
        .await
        .expect("an audit");
    println!(
        "{} accounts verified, {} drifts",
        audit.accounts,
        audit.drifts.len()
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run());
}
