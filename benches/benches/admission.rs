//! Row 9: a build admitted and called off on PostgreSQL, from one caller, with a key, a hold and its
//! events. Beside it stand the rows of both steps written by hand, in a transaction each, by one
//! statement a row, with nothing looked at but what must be locked; with fsync and without: with it
//! the disk is nearly all that is measured. The two take turns, and medians are compared.
//!
//! `cargo bench -p benches --bench admission [-- rounds]`

use std::sync::Arc;
use std::time::Instant;

use benches::figures::{Figure, median};
use sheen::admission::{Admission as _, Admit, AdmitOutcome, Admitted, KeyedCall, SettleOutcome};
use sheen::postgres::{PgConfig, PgRooms, migrate};
use sheen_billing::account::{GrantStore as _, Purchase};
use sheen_core::build::{
    Authority, BuildInput, BuildKind, Ending, FailureReason, Finish, NewBuild,
};
use sheen_core::entropy::OsEntropy;
use sheen_core::files::{FilePath, FileSet};
use sheen_core::id::{
    BuildId, BuildSessionId, PaymentId, PrincipalId, ProjectId, UserId, VersionId,
};
use sheen_core::idempotency::{Fingerprint, IdempotencyKey, Scope, StoredAnswer};
use sheen_core::seconds::Seconds;
use sheen_core::time::SystemClock;
use sqlx::PgPool;
use testkit::{Durability, PostgresServer};

/// Builds in a round; fewer where each waits for a disk.
const BUILDS: u32 = 200;
const BUILDS_TO_DISK: u32 = 40;
const PAGE: &str = "<!doctype html><title>Salon</title><h1>Salon</h1>";
const BODY: &[u8] = &[b'x'; 200];

type Tried<T> = Result<T, Box<dyn std::error::Error>>;

fn admit(id: &str) -> Tried<Admit> {
    let user = UserId::parse("ada")?;
    let files = FileSet::from_iter([(FilePath::parse("index.html")?, PAGE.into())]);
    let build = NewBuild::new(
        BuildId::parse(id)?,
        VersionId::parse(&format!("ver_{id}"))?,
        user.clone(),
        ProjectId::parse(&format!("site_{id}"))?,
        BuildSessionId::parse(&format!("bs_{id}"))?,
        BuildInput::new(BuildKind::Create, "Create a salon website", files),
    );
    let call = KeyedCall::new(
        Scope::new(PrincipalId::parse("web")?, user),
        IdempotencyKey::parse(id.as_bytes())?,
        Fingerprint::of("POST", "/v1/create-preview-for-new-project", "", &[1; 32]),
    );
    let render = |_: &Admitted| StoredAnswer::new(202, Vec::new(), BODY, "req_1");
    let seconds = Seconds::from_u32(180);
    Ok(Admit::new(Some(call), build, seconds, Arc::new(render)))
}

/// Builds a second. `round` keeps ids apart.
async fn steps(rooms: &PgRooms, round: u32, builds: u32) -> Tried<f64> {
    let begun = Timer::start();
    for n in 0..builds {
        let id = format!("b{round}_{n}");
        let outcome = rooms.admission.admit(admit(&id)?).await?;
        let AdmitOutcome::Admitted(..) = outcome else {
            return Err(format!("{outcome:?}").into());
        };
        let ending = Ending::Failed {
            reason: FailureReason::Cancelled,
            error: "The build was called off.".into(),
        };
        let by = Authority::Owner(UserId::parse("ada")?);
        let finish = Finish::new(BuildId::parse(&id)?, by, ending);
        let outcome = rooms.admission.settle(finish).await?;
        let SettleOutcome::Settled(_) = outcome else {
            return Err(format!("{outcome:?}").into());
        };
    }
    Ok(begun.rate(builds))
}

/// The statements of an admission, whose one argument is the build's id.
const ADMIT: [&str; 9] = [
    "INSERT INTO raw_keys VALUES ('web', 'ada', $1, decode(repeat('01', 32), 'hex'), 86400000, 202,
        decode(repeat('78', 200), 'hex'))",
    "INSERT INTO raw_projects VALUES ('site_' || $1, 'ada', $1)",
    "INSERT INTO raw_builds (build_id, version_id, user_id, project_id, session_id, status, token,
        hold_id, created_ms, updated_ms)
     VALUES ($1, 'ver_' || $1, 'ada', 'site_' || $1, 'bs_' || $1, 'queued', 0, 'res_' || $1, 0, 0)",
    "INSERT INTO raw_inputs VALUES ($1, 'Create a salon website',
        '{\"index.html\":\"<!doctype html><title>Salon</title><h1>Salon</h1>\"}')",
    "UPDATE raw_accounts SET available = available - 180, held = held + 180,
        last_entry = last_entry + 1 WHERE user_id = 'ada' AND $1 <> ''",
    "INSERT INTO raw_holds VALUES ('ada', 'res_' || $1, 'op_' || $1, 'open', 180, 3600000)",
    "INSERT INTO raw_entries SELECT 'ada', last_entry, 'reserve', 180, 'res_' || $1, 0
     FROM raw_accounts WHERE user_id = 'ada'",
    "INSERT INTO raw_streams VALUES ($1, 'ada', 1, 0, false)",
    "INSERT INTO raw_events VALUES ($1, 1, 'ada', 'build_queued',
        '{\"message\":\"Your build is number 1 in the queue.\",\"queuePosition\":1,\"estimatedSeconds\":180}',
        0)",
];

/// Those of an end.
const SETTLE: [&str; 7] = [
    "UPDATE raw_builds SET status = 'failed', token = token + 1, reason = 'CANCELLED',
        error = 'The build was called off.', updated_ms = 1 WHERE build_id = $1",
    "UPDATE raw_accounts SET available = available + 180, held = held - 180,
        last_entry = last_entry + 1 WHERE user_id = 'ada' AND $1 <> ''",
    "UPDATE raw_holds SET state = 'released' WHERE user_id = 'ada' AND reservation_id = 'res_' || $1",
    "INSERT INTO raw_entries SELECT 'ada', last_entry, 'release', 180, 'res_' || $1, 1
     FROM raw_accounts WHERE user_id = 'ada'",
    "INSERT INTO raw_operations VALUES ('ada', 'release', 'op_' || $1, 'res_' || $1)",
    "INSERT INTO raw_events VALUES ($1, 2, 'ada', 'deploy_failed',
        '{\"message\":\"The build was cancelled.\",\"reason\":\"CANCELLED\",\"error\":\"The build was called off.\"}',
        1)",
    "UPDATE raw_streams SET head = 2, token = 1, closed = true WHERE build_id = $1",
];

async fn by_hand(pool: &PgPool, round: u32, builds: u32) -> Tried<f64> {
    let begun = Timer::start();
    for n in 0..builds {
        let id = format!("b{round}_{n}");
        for statements in [&ADMIT[..], &SETTLE[..]] {
            let mut step = pool.begin().await?;
            for statement in statements {
                let done = sqlx::query(*statement)
                    .bind(&id)
                    .execute(&mut *step)
                    .await?;
                if done.rows_affected() != 1 {
                    return Err(format!("a row is written: {statement}").into());
                }
            }
            step.commit().await?;
        }
    }
    Ok(begun.rate(builds))
}

struct Timer(Instant);

impl Timer {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn rate(&self, builds: u32) -> f64 {
        f64::from(builds) / self.0.elapsed().as_secs_f64()
    }
}

async fn postgres(name: &str, durability: Durability, rounds: u32, builds: u32) -> Tried<()> {
    let server = PostgresServer::start(durability)?;
    let database = server.database().await?;
    let pool = database.pool(1).await;
    migrate(&pool).await?;
    sqlx::raw_sql(include_str!("sql/raw_admission.sql"))
        .execute(&pool)
        .await?;
    let mut config = PgConfig::default();
    config.credits.user_daily_cap = None;
    config.credits.project_daily_cap = None;
    let clock = Arc::new(SystemClock::new());
    let rooms = PgRooms::new(pool.clone(), config, clock, Arc::new(OsEntropy));
    let payment = PaymentId::parse("pay_1")?;
    let bought = Seconds::from_u32(1_000_000_000);
    let purchase = Purchase::new(UserId::parse("ada")?, payment, bought);
    rooms.credits.credit(purchase).await?;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        raw.push(by_hand(&pool, round, builds).await?);
        ours.push(steps(&rooms, round, builds).await?);
    }
    for (series, rates) in [("sheen", &ours), ("floor: by hand", &raw)] {
        Figure {
            work: &format!("a build admitted and called off, {name}"),
            unit: "builds/s",
            by: "caller",
            at: 1,
            series,
            value: median(rates),
        }
        .tell();
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Tried<()> {
    let rounds = std::env::args().find_map(|word| word.parse().ok());
    let rounds: u32 = rounds.unwrap_or(15);
    postgres("PostgreSQL", Durability::On, rounds, BUILDS_TO_DISK).await?;
    postgres("PostgreSQL, fsync off", Durability::Off, rounds, BUILDS).await
}
