//! Takes a user's viewer tokens back: `cargo run --release --example revoke -- ada`.
//!
//! It writes where the workers look: into Redis where `REDIS_URL` is set, else into the PostgreSQL of
//! `DATABASE_URL`, so give it the environment that they have. They see it within five seconds. Tokens
//! that were issued by then open nothing any more, and open streams end; new ones count from the next
//! second on. A worker with neither has its epochs in memory, and takes all tokens back by a restart.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use examples::REVOKED;
use sheen_auth::token::revocation::{PgRevocationStore, RedisRevocationStore, RevocationStore};
use sheen_core::id::UserId;
use sheen_core::time::Timestamp;
use sqlx::postgres::PgPoolOptions;

type Error = Box<dyn std::error::Error>;

/// Take the viewer tokens of users back.
#[derive(Debug, Parser)]
struct Options {
    /// The users.
    #[arg(required = true, value_name = "USER_ID")]
    users: Vec<UserId>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            examples::report(&*error);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Error> {
    let store = open().await?;
    for user in &options.users {
        let epoch = store.revoke(user).await?;
        let until = Timestamp::from_millis(epoch.as_seconds().saturating_mul(1000));
        eprintln!("viewer tokens of {user} that were issued before {until} count no more");
    }
    Ok(())
}

/// Where the workers of this environment look.
async fn open() -> Result<Arc<dyn RevocationStore>, Error> {
    let given = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
    if let Some(url) = given("REDIS_URL") {
        // Neither the address nor what is wrong with it may be told: it holds a password.
        let client = redis::Client::open(url)
            .map_err(|_| "REDIS_URL is not an address of Redis without TLS")?;
        let connection = client.get_multiplexed_async_connection().await?;
        return Ok(Arc::new(
            RedisRevocationStore::open(connection, REVOKED).await?,
        ));
    }
    let url = given("DATABASE_URL").ok_or(
        "neither REDIS_URL nor DATABASE_URL is set: a worker in memory takes all viewer tokens back \
         by a restart",
    )?;
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool
        .connect(&url)
        .await
        .map_err(|error| format!("cannot reach the database of DATABASE_URL: {error}"))?;
    sheen_auth::postgres::migrate(&pool).await?;
    Ok(Arc::new(PgRevocationStore::new(pool)))
}
