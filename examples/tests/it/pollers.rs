//! Row 19 of docs/performance.md: many who poll their builds at the wire's intervals, each at another
//! worker than the one that builds, on one PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use examples::call::{Caller, Page};
use reqwest::Method;
use serde_json::Value;
use sheen_core::entropy::OsEntropy;
use sheen_core::id::BuildSessionId;
use sheen_core::runtime::{Sleep as _, TokioRuntime};
use sheen_core::secret::Secret;
use sheen_core::time::{Clock as _, SystemClock};
use sheen_events::reader::{Action, Answer, FollowConfig, Follower, Moment, Polled, Told};
use testkit::{Durability, PostgresServer, Proof, RedisServer};
use tokio::task::JoinSet;

use crate::support::{SECRET, WorkerProcess, start_body};

/// Builds at a time of one worker.
const BUILDS: &str = "64";

/// What one person's builds came to.
#[derive(Debug, Default)]
struct Session {
    polls: u32,
    /// How long each answer took.
    took: Vec<Duration>,
}

/// Someone who starts builds at one worker and polls them at another.
struct Person {
    name: String,
    starts: Arc<Caller>,
    polls: Arc<Caller>,
    clock: SystemClock,
    seed: u64,
}

impl Person {
    /// A build from its start to its last event, each of its events once and in order.
    async fn build(&self, project: &str, session: &mut Session) {
        let body = start_body(&self.name, project);
        let target = "/v1/create-preview-for-new-project";
        let started = self.starts.json(Method::POST, target, Some(&body)).await;
        let started: Value = started.unwrap();
        let quick = started["quickSuggestions"].as_array().unwrap();
        assert!(!quick.is_empty(), "they are in the start's own answer");
        let pages = format!(
            "{}?userId={}",
            started["eventsUrl"].as_str().unwrap(),
            self.name
        );
        let build = BuildSessionId::parse(started["buildSessionId"].as_str().unwrap()).unwrap();

        let mut config = FollowConfig::default();
        // Streams do not get through to this person.
        (config.tries, config.stream_again) = (0, Duration::from_secs(86_400));
        let mut follower = Follower::new(build, self.seed, config);
        let (mut seqs, mut ended) = (Vec::new(), false);
        while !ended {
            let mut tell = |told: Told<'_>| {
                if let Told::Event(event) = told {
                    seqs.push(event.seq);
                    ended |= matches!(event.kind, "deploy_completed" | "build_failed");
                }
            };
            let now = || Moment::now(&self.clock);
            match follower.next(now(), &mut tell) {
                Action::Connect { .. } => follower.broke(now(), &mut tell),
                Action::Wait { until } => {
                    let left = until.saturating_sub(self.clock.monotonic());
                    TokioRuntime.sleep(left).await;
                }
                Action::Poll(call) => {
                    let begun = self.clock.monotonic();
                    let tag = call.if_none_match.as_deref();
                    let cursor = call.cursor.as_deref();
                    let page = self.polls.page(&pages, cursor, call.interval, tag).await;
                    session.took.push(self.clock.monotonic() - begun);
                    session.polls += 1;
                    let polled = match page.as_ref().unwrap() {
                        Page::Same => Polled::Answer(Answer::status(304)),
                        Page::News { body, etag } => Polled::Page {
                            body,
                            etag: etag.as_deref(),
                            date: None,
                        },
                    };
                    follower.polled(now(), polled, &mut tell);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
    }
}

fn caller(worker: &WorkerProcess) -> Arc<Caller> {
    let secret = Secret::new(SECRET).unwrap();
    let (clock, entropy) = (Arc::new(SystemClock::new()), Arc::new(OsEntropy));
    Arc::new(Caller::new(&worker.url, secret, clock, entropy).unwrap())
}

/// In full 500 people, each with builds of 30 s and half a minute between them: at most five polls a
/// minute of each, and every one sees every event. How long the answers took is told, not asserted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_poll_see_each_event_and_poll_seldom() {
    let people = Proof::size().pick(24, 500);
    let rounds = Proof::size().pick(1, 4);
    let length = Proof::size().pick(2, 30);
    let server = PostgresServer::start(Durability::On).unwrap();
    let database = server.database().await.unwrap();
    let redis = RedisServer::start().unwrap();
    let (address, command) = (redis.url(), format!("sleep {length}"));
    let settings = [
        ("DATABASE_URL", database.url()),
        ("REDIS_URL", address.as_str()),
        ("SHEEN_BUILD_COMMAND", command.as_str()),
        ("SHEEN_BUILDS", BUILDS),
    ];
    let workers: Vec<_> = (0..Proof::size().pick(2, 5))
        .map(|_| WorkerProcess::start(&settings))
        .collect();
    let callers: Vec<_> = workers.iter().map(caller).collect();
    let clock = SystemClock::new();
    let mut sessions = JoinSet::new();
    let begun = clock.monotonic();
    for n in 0..people {
        let person = Person {
            name: format!("person{n}"),
            starts: Arc::clone(&callers[n % callers.len()]),
            polls: Arc::clone(&callers[(n + 1) % callers.len()]),
            clock: clock.clone(),
            seed: n as u64,
        };
        sessions.spawn(async move {
            let mut session = Session::default();
            // They do not all begin at once.
            let cycle = Duration::from_secs(2 * length);
            TokioRuntime.sleep(cycle * n as u32 / people as u32).await;
            for round in 0..rounds {
                let project = format!("{}-{round}", person.name);
                person.build(&project, &mut session).await;
                TokioRuntime.sleep(cycle / 2).await;
            }
            session
        });
    }
    let sessions = sessions.join_all().await;
    let minutes = (clock.monotonic() - begun).as_secs_f64() / 60.0;
    let polls: u32 = sessions.iter().map(|session| session.polls).sum();
    let mut took: Vec<_> = sessions
        .into_iter()
        .flat_map(|session| session.took)
        .collect();
    took.sort_unstable();
    let rate = f64::from(polls) / minutes / people as f64 * 100.0;
    eprintln!(
        "{people} people, {polls} polls in {minutes:.1} min: {rate:.0} a minute and 100 people, \
         p50 {:?}, p95 {:?}, p99 {:?}",
        took[took.len() / 2],
        took[took.len() * 95 / 100],
        took[took.len() * 99 / 100],
    );
    if Proof::size() == Proof::Full {
        assert!(rate <= 500.0, "{rate} polls a minute of 100 people");
    }
}
