//! Three whole workers on one PostgreSQL and one Redis, called over HTTP.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use examples::call::{CallError, Caller};
use reqwest::Method;
use serde_json::{Value, json};
use sheen_core::entropy::{Entropy as _, OsEntropy};
use sheen_core::secret::Secret;
use sheen_core::time::SystemClock;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::{CALLS, PROCESSES, say};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A worker process, killed when dropped.
struct Worker {
    child: Child,
    caller: Arc<Caller>,
}

impl Worker {
    async fn start(
        program: &Path,
        database: &str,
        redis: &str,
        text: &str,
    ) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("WORKER_SHARED_SECRET", text)
            .env("DATABASE_URL", database)
            .env("REDIS_URL", redis)
            .env("SHEEN_ADDR", "127.0.0.1:0")
            .env("SHEEN_LIMITS", "off")
            .env("SHEEN_BUILD_COMMAND", "sleep 20")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let url = loop {
            let line = lines.next_line().await?.ok_or("the worker did not start")?;
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.trim().to_owned();
            }
        };
        let clock = Arc::new(SystemClock::new());
        let caller = Caller::new(&url, Secret::new(text)?, clock, Arc::new(OsEntropy))?;
        Ok(Self {
            child,
            caller: Arc::new(caller),
        })
    }

    async fn balance(&self) -> Result<Value, Failure> {
        let target = "/v1/billing/balance/ada";
        let answer = self.caller.json(Method::GET, target, None).await?;
        Ok(answer["balance"]["total"].clone())
    }
}

/// Starts at every worker at once, all for one project: the builds that were admitted with the
/// worker that did it, and how many were told of an active one.
async fn starts(workers: &[Worker]) -> Result<(Vec<(usize, String)>, usize), Failure> {
    let mut calls = JoinSet::new();
    for n in 0..CALLS * workers.len() {
        let at = n % workers.len();
        let caller = Arc::clone(&workers[at].caller);
        calls.spawn(async move {
            let body = json!({
                "userId": "ada",
                "projectId": "salon",
                "prompt": "Create a salon website",
                "templateFiles": {"index.html": "<!doctype html><title>Salon</title>"},
            });
            let target = "/v1/create-preview-for-new-project";
            (at, caller.json(Method::POST, target, Some(&body)).await)
        });
    }
    let (mut started, mut busy) = (Vec::new(), 0);
    for (at, answer) in calls.join_all().await {
        match answer {
            Ok(answer) => {
                let id = answer["buildId"].as_str().ok_or("a build without an id")?;
                started.push((at, id.to_owned()));
            }
            Err(CallError::Refused(refusal)) if refusal.code == "BUILD_ALREADY_ACTIVE" => busy += 1,
            Err(other) => return Err(other.into()),
        }
    }
    Ok((started, busy))
}

/// Lets three workers meet, and kills the one that builds.
pub(crate) async fn play(program: &Path) -> Result<(), Failure> {
    if !program.is_file() {
        say("for three whole workers over HTTP: cargo build --examples, and once more");
        return Ok(());
    }
    let (database, redis) = (testkit::postgres().await, testkit::redis());
    let mut secret = [0; 32];
    OsEntropy.fill(&mut secret);
    let secret = const_hex::encode(secret);
    let mut workers = Vec::new();
    for _ in 0..PROCESSES {
        workers.push(Worker::start(program, database.url(), redis.url(), &secret).await?);
    }
    let before = workers[0].balance().await?;
    let (started, busy) = starts(&workers).await?;
    say(&format!(
        "{PROCESSES} workers, {CALLS} starts each of one project at once over HTTP: started \
         {started:?}, {busy} told that it is busy"
    ));
    let (at, build) = started.first().ok_or("nothing was started")?;
    let mut victim = workers.remove(*at);
    victim.child.kill().await?;
    let held = workers[0].balance().await?;
    say(&format!(
        "the worker that builds it is killed; of {before} s of ada's {held} s are free"
    ));
    // The others would end it once it was silent for 90 s; its owner need not wait.
    let target = format!("/v1/builds/{build}/cancel");
    let body = json!({"userId": "ada"});
    workers[1]
        .caller
        .json(Method::POST, &target, Some(&body))
        .await?;
    let after = workers[0].balance().await?;
    say(&format!("called off at another worker: {after} s are free"));
    Ok(())
}
