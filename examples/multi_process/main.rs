//! Three processes that share one PostgreSQL and one Redis: `cargo run --example multi_process`.
//!
//! Every process has stores of its own over the same servers. They start one project's build at
//! once and get one; they make one keyed call at once and it runs once; one of them is killed in
//! the middle of a build, which another one then ends. Then three whole workers do the same, called
//! over HTTP.
//!
//! The servers are private ones, or those that `SHEEN_TEST_DATABASE_URL` and
//! `SHEEN_TEST_REDIS_URL` name.

mod member;
mod workers;

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use examples::crew::{self, Ask, Keeper, Member, Servers, Told};
use examples::report;
use sheen_core::build::{BuildReader as _, BuildStore as _, Deadlines, PgBuildStore};
use sheen_core::id::BuildId;
use sheen_core::runtime::{Sleep as _, TokioRuntime};

const PROCESSES: usize = 3;
const CALLS: usize = 200;
/// A killed process is noticed after as long; 90 s in a service.
const SILENCE: Duration = Duration::from_secs(2);

/// Three processes that share one PostgreSQL and one Redis.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// One of the processes; the program starts them itself.
    Member(Where),
}

#[derive(Debug, Args)]
struct Where {
    /// A migrated PostgreSQL database.
    #[arg(long)]
    database: String,
    /// A Redis server.
    #[arg(long)]
    redis: String,
    /// What the names of its keys begin with.
    #[arg(long, default_value = "")]
    prefix: String,
    /// How long a build may be without a heartbeat, in milliseconds.
    #[arg(long, default_value_t = 90_000)]
    silence_ms: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().role {
        None => play().await,
        Some(Role::Member(at)) => {
            let servers = Servers {
                database: at.database,
                redis: at.redis,
                prefix: at.prefix,
                silence: Duration::from_millis(at.silence_ms),
            };
            member::run(&servers).await
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&*failure);
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    // Nobody is left to be told when standard output is closed.
    let _closed = writeln!(std::io::stdout(), "{line}");
}

async fn play() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (database, redis) = (testkit::postgres().await, testkit::redis());
    let pool = database.pool(2).await;
    sheen_core::postgres::migrate(&pool).await?;
    let servers = Servers {
        database: database.url().to_owned(),
        redis: redis.url().to_owned(),
        prefix: redis.prefix().to_owned(),
        silence: SILENCE,
    };
    let program: PathBuf = std::env::current_exe()?;
    let mut members = Vec::new();
    for _ in 0..PROCESSES {
        members.push(Member::start(&program, &servers).await?);
    }

    let starts = crew::starts(&mut members, "salon", CALLS).await?;
    say(&format!(
        "{PROCESSES} processes, {CALLS} starts each of one project at once: started {:?}, {} told \
         that it is busy",
        starts.started, starts.busy
    ));
    for keeper in [Keeper::Postgres, Keeper::Redis] {
        let key = format!("order-{keeper:?}").to_lowercase();
        let keyed = crew::keyed(&mut members, keeper, &key, CALLS).await?;
        say(&format!(
            "{CALLS} calls each with one key, records in {keeper:?}: ran {} time, {} answers, all {:?}",
            keyed.runs, keyed.answered, keyed.answers
        ));
    }

    let mut victim = members.remove(0);
    victim.ask(&Ask::Claim).await?;
    let Told::Claimed { build, .. } = victim.hear().await? else {
        return Err("it claimed nothing".into());
    };
    victim.kill().await?;
    say(&format!("a process works on {build} and is killed"));
    let deadlines = Deadlines::new(Deadlines::default().queued, SILENCE);
    let builds = PgBuildStore::new(pool, deadlines);
    while builds.reap(10).await?.is_empty() {
        TokioRuntime.sleep(Duration::from_millis(50)).await;
    }
    let ended = builds.get(&BuildId::parse(&build)?).await?;
    let ended = ended.ok_or("it is gone")?.build;
    let reason = ended.reason.map(|reason| reason.as_str());
    say(&format!("{build} is {}, {reason:?}", ended.status.as_str()));
    drop(members);
    workers::play(&program.with_file_name("worker")).await
}
