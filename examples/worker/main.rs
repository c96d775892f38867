//! The family as a server: `cargo run --release --example worker`.
//!
//! Settings come from the environment (docs/wire.md §14); with none at all it listens on
//! 127.0.0.1:8787 with a secret of its own, and everything is in memory and gone when the process
//! ends. With `DATABASE_URL` it is kept in PostgreSQL, which several workers may share.

mod builder;
mod greeting;
mod late;
mod metrics;
mod recommender;
mod rollout;
mod serve;
mod stores;
mod wiring;

use std::process::ExitCode;

use examples::settings::{WorkerSettings, with_a_secret};
use sheen_core::entropy::OsEntropy;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("SHEEN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), stores::Error> {
    let environment: Vec<_> = std::env::vars_os().collect();
    let (environment, own_secret) = with_a_secret(environment, &OsEntropy);
    let settings = WorkerSettings::parse(environment.iter().cloned())?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    let (addr, reader_timeout) = (settings.family.addr, settings.reader_timeout);
    let listener = TcpListener::bind(addr)
        .await
        .map_err(|error| format!("cannot listen on {addr} (SHEEN_ADDR): {error}"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let wired = wiring::wire(settings, environment, &url).await?;
    greeting::greet(&url, own_secret.as_ref().map(|secret| secret.as_str()));
    serve::until_told_to_stop(listener, &wired, reader_timeout).await?;
    Ok(())
}
