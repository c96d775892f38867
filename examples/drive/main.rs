//! Has a folder of files built by a worker and follows the build to its end.
//!
//! ```text
//! WORKER_SHARED_SECRET=… cargo run --release --example drive -- \
//!     --dir examples/sites/salon --prompt "Create a salon website"
//! ```
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use examples::bar::Bar;
use examples::call::Caller;
use examples::follow::{Events, Means, Outcome, Told, follow};
use examples::site::folder;
use examples::{quote, secret};
use reqwest::Method;
use serde_json::{Map, Value, json};
use sheen_core::entropy::{Entropy, OsEntropy};
use sheen_core::files::FileSet;
use sheen_core::id::{BuildSessionId, ProjectId, UserId};
use sheen_core::runtime::TokioRuntime;
use sheen_core::time::SystemClock;

/// Has a folder of files built by a worker and follows the build to its end. The secret is
/// WORKER_SHARED_SECRET.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder whose files are built
    #[arg(long)]
    dir: PathBuf,
    /// What is wished for
    #[arg(long)]
    prompt: String,
    /// Where the worker listens
    #[arg(long, default_value = "http://127.0.0.1:8787")]
    url: String,
    /// Whose seconds are spent
    #[arg(long, default_value = "demo-user")]
    user: UserId,
    /// The project; without it a new one, named after the folder
    #[arg(long)]
    project: Option<ProjectId>,
    /// Lays the files over those of the project instead of starting anew
    #[arg(long, requires = "project")]
    update: bool,
    /// The language of what people read, as ar
    #[arg(long)]
    locale: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            examples::report(&*error);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let files = folder::read(&arguments.dir)?;
    let secret = secret::shared(std::env::vars_os())?;
    let entropy = Arc::new(OsEntropy);
    let clock = Arc::new(SystemClock::new());
    let caller = Caller::new(&arguments.url, secret, clock.clone(), entropy.clone())?;

    let started = start(&caller, arguments, &files, &*entropy).await?;
    println!(
        "build {} of {} files, {} s held",
        started.build,
        files.len(),
        started.held
    );
    for (title, description) in &started.suggestions {
        println!("  suggestion: {title}: {description}");
    }

    let means = Means {
        sleep: Arc::new(TokioRuntime),
        clock,
        entropy,
    };
    let mut bar = Bar::new();
    let stream = with_user(&caller, &started.stream, &arguments.user)?;
    let events = Events {
        stream: &stream,
        pages: &with_user(&caller, &started.pages, &arguments.user)?,
        session: &started.session,
    };
    let mut show = |told: &Told<'_>| bar.show(told);
    let ended = follow(&caller, events, &means, &mut show).await;
    bar.finish();
    let deployed = tell_outcome(&caller, ended?)?;

    let balance = format!("/v1/billing/balance/{}", arguments.user);
    let balance = caller.json(Method::GET, &balance, None).await?;
    tell_balance(&balance["balance"]);
    Ok(deployed)
}

/// What a start answers, as far as it is used here.
struct Started {
    build: String,
    session: BuildSessionId,
    stream: String,
    pages: String,
    held: u64,
    suggestions: Vec<(String, String)>,
}

async fn start(
    caller: &Caller,
    arguments: &Arguments,
    files: &FileSet,
    entropy: &dyn Entropy,
) -> Result<Started, Box<dyn Error>> {
    let project = match &arguments.project {
        Some(project) => project.clone(),
        None => new_project(&arguments.dir, entropy)?,
    };
    let template: Map<String, Value> = files
        .iter()
        .map(|(path, content)| (path.to_string(), content.into()))
        .collect();
    let mut body = json!({
        "userId": arguments.user,
        "projectId": project,
        "prompt": arguments.prompt,
        "templateFiles": template,
        "mode": "build",
        "confirmed": true,
    });
    if let Some(locale) = &arguments.locale {
        body["locale"] = locale.as_str().into();
    }
    let route = if arguments.update {
        "/v1/update-project"
    } else {
        "/v1/create-preview-for-new-project"
    };
    let answer = caller.json(Method::POST, route, Some(&body)).await?;
    let text = |name: &str| match answer[name].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("the worker's answer has no {name}")),
    };
    let suggestions = answer["quickSuggestions"].as_array().into_iter().flatten();
    let shown = |value: &Value| quote::visible(value.as_str().unwrap_or_default());
    Ok(Started {
        build: text("buildId")?,
        session: text("buildSessionId")?.parse()?,
        stream: text("streamUrl")?,
        pages: text("eventsUrl")?,
        held: answer["reservation"]["seconds"]
            .as_u64()
            .unwrap_or_default(),
        suggestions: suggestions
            .map(|one| (shown(&one["title"]), shown(&one["description"])))
            .collect(),
    })
}

/// `salon-1f2e3d4c`: a name nobody has yet, from a folder's.
fn new_project(dir: &Path, entropy: &dyn Entropy) -> Result<ProjectId, Box<dyn Error>> {
    let dir = dir.canonicalize()?;
    let name = dir
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let plain: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(64)
        .collect();
    let mut random = [0; 4];
    entropy.fill(&mut random);
    let random = u32::from_be_bytes(random);
    let name = if plain.is_empty() {
        "site"
    } else {
        plain.as_str()
    };
    Ok(ProjectId::parse(&format!("{name}-{random:08x}"))?)
}

/// The stream's address with the user in its query: a signed call names its user once.
fn with_user(caller: &Caller, stream: &str, user: &UserId) -> Result<String, Box<dyn Error>> {
    let mut url = caller.address(stream)?;
    if !url.query_pairs().any(|(name, _)| name == "userId") {
        url.query_pairs_mut().append_pair("userId", user.as_str());
    }
    Ok(url.into())
}

fn tell_outcome(caller: &Caller, outcome: Outcome) -> Result<bool, Box<dyn Error>> {
    match outcome {
        Outcome::Deployed {
            preview_url,
            duration,
        } => {
            let took = duration
                .map(|seconds| format!(" in {seconds} s"))
                .unwrap_or_default();
            println!("deployed{took}");
            if let Some(preview) = preview_url {
                println!("preview {}", caller.address(&preview)?);
            }
            Ok(true)
        }
        Outcome::Failed { reason, error } => {
            println!(
                "failed ({}): {}",
                quote::visible(&reason),
                quote::visible(&error)
            );
            Ok(false)
        }
        other => Err(format!("the build ended in a way unknown here: {other:?}").into()),
    }
}

fn tell_balance(balance: &Value) {
    let figure = |name: &str| balance[name].as_u64().unwrap_or_default();
    println!(
        "balance {} s (daily gift {}, welcome bonus {}, paid {})",
        figure("total"),
        figure("dailyGift"),
        figure("welcomeBonus"),
        figure("paid"),
    );
}
