//! Removes what is past its time from the worker's database: `cargo run --release --example retain`.
//!
//! Events of builds are kept for 45 days, then counted per day, type and status and removed; the log
//! of chats for support is kept for 30. `DATABASE_URL` says where. It may be killed at any time and
//! run again, and may run beside workers and beside itself.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sheen_events::message::support::{PgChatLog, expire_all};
use sheen_events::retention::{
    PgRetention, Progress, Retention, RetentionConfig, RetentionOutcome,
};
use sqlx::postgres::PgPoolOptions;

type Error = Box<dyn std::error::Error>;

/// Remove events and chats that are past their time.
#[derive(Debug, Parser)]
struct Options {
    /// Days that events are kept, at least 1.
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
    /// Events removed in one step.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Go on also when over half of all events would be removed.
    #[arg(long)]
    over_half: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("retain: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<ExitCode, Error> {
    let url = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL must be set to the worker's database")?;
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect(&url)
        .await?;
    sheen_events::postgres::migrate(&pool).await?;

    let mut config = RetentionConfig::default();
    config.age = Duration::from_secs(options.days * 86_400);
    config.batch = options.batch;
    config.allow_over_half = options.over_half;
    let retention = Retention::new(Arc::new(PgRetention::new(pool.clone())), config);
    let bar = bar("{msg} {wide_bar} {human_pos} of {human_len} events, {eta}");
    let outcome = retention.run(|progress| show(&bar, progress)).await;
    bar.finish_and_clear();
    match outcome? {
        RetentionOutcome::OverHalf { due, total } => {
            eprintln!("retain: {due} of {total} events are past their time, over half of all.");
            eprintln!("Nothing was removed. If that is right, run it again with --over-half.");
            return Ok(ExitCode::from(2));
        }
        RetentionOutcome::Done { removed } => {
            eprintln!("{removed} events were counted and removed");
        }
        other => return Err(format!("an outcome that is not known here: {other:?}").into()),
    }

    let spinner = self::bar("{spinner} {human_pos} chat entries");
    let chats = PgChatLog::new(pool);
    let removed = expire_all(&chats, options.batch, |total| {
        spinner.set_position(total);
    });
    let removed = removed.await;
    spinner.finish_and_clear();
    eprintln!("{} chat entries were removed", removed?);
    Ok(ExitCode::SUCCESS)
}

/// On standard error, where that is a terminal.
fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::no_length();
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.due.max(progress.removed));
    bar.set_position(progress.removed);
    let day = progress.day.start().to_string();
    bar.set_message(day.get(..10).unwrap_or_default().to_owned());
}
