//! The family as a server: `cargo run --release --example worker`.
//!
//! Everything is kept in memory and gone when the process ends. Settings come from the environment
//! (docs/wire.md §14); with none at all it listens on 127.0.0.1:8787 with a secret of its own.

mod builder;
mod config;
mod greeting;
mod serve;
mod wiring;

use std::process::ExitCode;

use sheen_core::entropy::OsEntropy;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::config::Config;

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

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::parse(std::env::vars_os())?;
    let (config, own_secret) = config.with_a_secret(&OsEntropy);
    let listener = TcpListener::bind(config.settings.addr)
        .await
        .map_err(|source| {
            format!(
                "cannot listen on {} (SHEEN_ADDR): {source}",
                config.settings.addr
            )
        })?;
    let url = format!("http://{}", listener.local_addr()?);
    config.warn_about_what_is_absent();
    let wired = wiring::wire(config, &url)?;
    greeting::greet(&url, own_secret.as_ref().map(|secret| secret.as_str()));
    serve::until_told_to_stop(listener, &wired).await?;
    Ok(())
}
