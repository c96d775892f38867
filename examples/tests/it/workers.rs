//! Workers on one PostgreSQL and one Redis, driven over HTTP as their users do: one build of many
//! starts, and what is left when a worker or the database is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sheen::admission::{Admission as _, Admit, Admitted};
use sheen::postgres::{PgConfig, PgRooms};
use sheen_core::build::{
    Authority, BuildInput, BuildKind, Ending, FailureReason, Finish, NewBuild,
};
use sheen_core::entropy::OsEntropy;
use sheen_core::files::FileSet;
use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId, VersionId};
use sheen_core::idempotency::StoredAnswer;
use sheen_core::postgres::testing;
use sheen_core::runtime::{Sleep as _, TokioRuntime};
use sheen_core::seconds::Seconds;
use sheen_core::time::SystemClock;
use sqlx::PgPool;
use testkit::{Durability, PostgresServer, Proof, RedisServer, TestDatabase, until_async};
use tokio::task::JoinSet;

use crate::streams::read_until;
use crate::support::{Answer, Front, WorkerProcess, start_body};

const WORKERS: usize = 3;
const START: &str = "/v1/create-preview-for-new-project";

/// Workers over servers of the test's own.
struct Family {
    workers: Vec<WorkerProcess>,
    fronts: Vec<Front>,
    pool: PgPool,
    /// Declared last: they outlive who uses them.
    redis: RedisServer,
    database: TestDatabase,
}

impl Family {
    /// `count` workers with these settings beside the servers' addresses.
    fn start(
        count: usize,
        (database, pool): (TestDatabase, PgPool),
        settings: &[(&str, &str)],
    ) -> Self {
        let redis = RedisServer::start().unwrap();
        let mut family = Self {
            workers: Vec::new(),
            fronts: Vec::new(),
            pool,
            redis,
            database,
        };
        for _ in 0..count {
            family.add(settings);
        }
        family
    }

    fn add(&mut self, settings: &[(&str, &str)]) {
        let redis = self.redis.url();
        let mut all = vec![
            ("DATABASE_URL", self.database.url()),
            ("REDIS_URL", redis.as_str()),
        ];
        all.extend_from_slice(settings);
        let worker = WorkerProcess::start(&all);
        self.fronts.push(worker.front());
        self.workers.push(worker);
    }

    async fn count(&self, what: &'static str) -> i64 {
        sqlx::query_scalar(what)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Ends a worker with SIGKILL, in the middle of whatever it does.
    fn kill(&mut self, index: usize) {
        let mut worker = self.workers.remove(index);
        self.fronts.remove(index);
        testkit::kill(worker.child.id());
        worker.child.wait().unwrap();
    }
}

/// A database whose clock is the test's where waiting would take minutes.
async fn migrated(database: TestDatabase, own_clock: bool) -> (TestDatabase, PgPool) {
    let pool = database.pool(2).await;
    if own_clock {
        sheen_core::postgres::migrate(&pool).await.unwrap();
        testing::install_clock(&pool).await.unwrap();
    }
    (database, pool)
}

fn keyed(front: &Front, body: &Value, key: &str) -> reqwest::RequestBuilder {
    front
        .signed("POST", START, Some(body))
        .header("idempotency-key", key)
}

/// The main job on PostgreSQL and Redis: a start, its stream, its end, its price; and all of it is
/// there for the next process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_is_started_followed_settled_and_remembered() {
    let database = migrated(testkit::postgres().await, false).await;
    let mut family = Family::start(1, database, &[]);
    let front = family.fronts[0].clone();
    let before = front.total("u1").await;
    let body = start_body("u1", "p1");
    let started = Front::send(keyed(&front, &body, "k1")).await.expect(202);
    let id = started["buildId"].as_str().unwrap();
    let target = format!("{}?userId=u1", started["streamUrl"].as_str().unwrap());
    let blocks = read_until(front.signed("GET", &target, None), |blocks| {
        blocks.iter().any(|(kind, ..)| kind == "closed")
    })
    .await;
    let seqs: Vec<u64> = blocks.iter().filter_map(|(_, id, _)| *id).collect();
    let whole: Vec<u64> = (1..).take(seqs.len()).collect();
    assert_eq!(seqs, whole, "every event once");
    let kinds: Vec<&str> = blocks
        .iter()
        .filter(|(_, id, _)| id.is_some())
        .filter_map(|(.., data)| data["type"].as_str())
        // They come beside the build, whenever they are ready.
        .filter(|kind| !kind.starts_with("recommendations_"))
        .collect();
    // Recommendations are a queue of their own, which may be ahead of the builds'.
    let of_build = kinds.iter().filter(|kind| kind.starts_with("build_"));
    assert!(of_build.take(2).eq(&["build_queued", "build_started"]));
    assert!(kinds.contains(&"deploy_completed"), "{kinds:?}");
    let build = front.ended("u1", id).await;
    assert_eq!(build["status"], "deployed", "{build}");
    let used = build["seconds"].as_u64().unwrap();
    assert_eq!(front.total("u1").await, before - used);
    let page = reqwest::get(build["previewUrl"].as_str().unwrap()).await;
    assert_eq!(page.unwrap().status(), 200);

    // What was spent stays spent, in another process too.
    let request = front.signed("GET", "/v1/billing/balance/u1", None);
    let again = request.try_clone().unwrap();
    Front::send(request).await.expect(200);
    family.kill(0);
    family.add(&[]);
    let front = family.fronts[0].clone();
    let url = front.url.parse::<reqwest::Url>().unwrap();
    let mut moved = again.build().unwrap();
    moved.url_mut().set_port(url.port()).unwrap();
    let refused = front.http.execute(moved).await.unwrap();
    assert_eq!(refused.status(), 401);
    let refused: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(refused["error"], "NONCE_REPLAYED");

    assert_eq!(front.build("u1", id).await, build);
    assert_eq!(front.total("u1").await, before - used);
    let replayed = Front::send(keyed(&front, &body, "k1")).await;
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_eq!(replayed.expect(202)["buildId"], started["buildId"]);
    assert_eq!(front.events("u1", id).await.len(), seqs.len());
}

/// B1, I1 over workers: 200 starts at once of one project are one build, and 200 calls with one
/// key are one build with one answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_starts_at_three_workers_at_once_are_one_build() {
    let calls = 200;
    let database = migrated(testkit::postgres().await, false).await;
    let family = Family::start(WORKERS, database, &[("SHEEN_BUILD_COMMAND", "sleep 60")]);
    for round in 0..Proof::size().pick(1, 10) {
        let project = format!("salon-{round}");
        let body = start_body("u1", &project);
        let starts = (0..calls).map(|n| {
            let key = format!("k-{round}-{n}");
            Front::send(keyed(&family.fronts[n % WORKERS], &body, &key))
        });
        let answers = join_all(starts).await;
        let (accepted, refused): (Vec<&Answer>, Vec<&Answer>) =
            answers.iter().partition(|answer| answer.status == 202);
        assert_eq!((accepted.len(), refused.len()), (1, calls - 1));
        let build = accepted[0].json()["buildId"].clone();
        for answer in refused {
            let problem = answer.expect(409);
            assert_eq!(problem["error"], "BUILD_ALREADY_ACTIVE");
            assert_eq!(problem["data"]["buildId"], build);
        }
        cancel(&family.fronts[0], "u1", &build).await;

        let user = format!("u-{round}");
        let body = start_body(&user, &format!("bakery-{round}"));
        let key = format!("double-click-{round}");
        let starts = (0..calls).map(|n| {
            let request = keyed(&family.fronts[n % WORKERS], &body, &key);
            Front::send(request.header("prefer", "wait=10"))
        });
        let answers = join_all(starts).await;
        for answer in &answers {
            assert_eq!(answer.bytes, answers[0].bytes);
            answer.expect(202);
        }
        let first = |answer: &&Answer| answer.header("idempotency-replayed").is_none();
        assert_eq!(answers.iter().filter(first).count(), 1);
        cancel(&family.fronts[1], &user, &answers[0].json()["buildId"]).await;
        let builds = family.count("SELECT count(*) FROM sheen.builds").await;
        assert_eq!(builds, 2 * (round + 1));
        let held = "SELECT count(*) FROM sheen.credit_holds WHERE state = 'open'";
        assert_eq!(family.count(held).await, 0);
    }
}

async fn cancel(front: &Front, user: &str, build: &Value) {
    let target = format!("/v1/builds/{}/cancel", build.as_str().unwrap());
    front
        .post(&target, json!({ "userId": user }))
        .await
        .expect(200);
}

/// B7 over workers: one is killed in the middle of a build. The others end that build as timed
/// out once it was silent for 90 s, its hold goes back whole, and the project's next start goes
/// through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b7_a_worker_killed_mid_build_loses_that_build_and_nothing_else() {
    let own_clock = Proof::size().pick(true, false);
    let database = migrated(testkit::postgres().await, own_clock).await;
    let slow = [("SHEEN_BUILD_COMMAND", "sleep 30")];
    let mut family = Family::start(1, database, &slow);
    let before = family.fronts[0].total("u1").await;
    let started = family.fronts[0].start("u1", "p1").await.expect(202);
    let id = started["buildId"].as_str().unwrap().to_owned();
    until_async("the build to run", || async {
        family.fronts[0].build("u1", &id).await["status"] == "building"
    })
    .await;
    for _ in 1..WORKERS {
        family.add(&[]);
    }
    family.kill(0);
    let busy = family.fronts[0].start("u1", "p1").await.expect(409);
    assert_eq!(busy["error"], "BUILD_ALREADY_ACTIVE");
    assert!(
        family.fronts[1].total("u1").await < before,
        "its hold lives"
    );
    if own_clock {
        let silence = Duration::from_secs(91);
        testing::advance_clock(&family.pool, silence).await.unwrap();
    }
    let ended = loop {
        let build = family.fronts[1].build("u1", &id).await;
        if build["status"] == "failed" {
            break build;
        }
        TokioRuntime.sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(ended["reason"], "TIMED_OUT");
    assert_eq!(family.fronts[0].total("u1").await, before);
    let next = family.fronts[0].start("u1", "p1").await.expect(202);
    let next = family.fronts[1]
        .ended("u1", next["buildId"].as_str().unwrap())
        .await;
    assert_eq!(next["status"], "deployed", "{next}");
    let ends = "SELECT count(*) FROM sheen.events
        WHERE event_type IN ('deploy_completed', 'deploy_failed')";
    assert_eq!(family.count(ends).await, 2, "each build ended once");
}

/// The process that settled a build is gone before it ended the build's stream, as this one is that
/// never does: a worker ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_a_killed_process_left_open_is_ended_by_a_worker() {
    let database = migrated(testkit::postgres().await, false).await;
    let family = Family::start(1, database, &[]);
    let mut config = PgConfig::default();
    config.leave_streams_open = true;
    let clock = Arc::new(SystemClock::new());
    let rooms = PgRooms::new(family.pool.clone(), config, clock, Arc::new(OsEntropy));
    let user = UserId::parse("u1").unwrap();
    let build = NewBuild::new(
        BuildId::parse("b1").unwrap(),
        VersionId::parse("v1").unwrap(),
        user.clone(),
        ProjectId::parse("p1").unwrap(),
        BuildSessionId::parse("s1").unwrap(),
        BuildInput::new(BuildKind::Create, "A site", FileSet::default()),
    );
    let id = build.id.clone();
    let render = |_: &Admitted| StoredAnswer::new(202, Vec::new(), &b"{}"[..], "req_1");
    let seconds = Seconds::from_u32(10);
    let admit = Admit::new(None, build, seconds, Arc::new(render));
    rooms.admission.admit(admit).await.unwrap();
    let ending = Ending::Failed {
        reason: FailureReason::Cancelled,
        error: "called off".into(),
    };
    let finish = Finish::new(id, Authority::Owner(user), ending);
    rooms.admission.settle(finish).await.unwrap();
    until_async("the stream to be ended", || async {
        let closed = "SELECT count(*) FROM sheen.event_streams WHERE closed";
        family.count(closed).await == 1
    })
    .await;
}

/// What the callers of loaded workers were told.
#[derive(Debug, Default)]
struct Heard {
    /// The build that was acknowledged for each project, which has a user of its own.
    acknowledged: BTreeMap<String, String>,
    /// The codes of refusals.
    codes: BTreeSet<String>,
}

/// Callers that start builds, each start repeated with its key at any worker until it is answered.
struct Load {
    lanes: JoinSet<Heard>,
    acknowledged: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Load {
    fn start(fronts: &[Front], lanes: usize) -> Self {
        let mut load = Self {
            lanes: JoinSet::new(),
            acknowledged: Arc::default(),
            stop: Arc::default(),
        };
        for lane in 0..lanes {
            let (fronts, acknowledged) = (fronts.to_vec(), Arc::clone(&load.acknowledged));
            let stop = Arc::clone(&load.stop);
            load.lanes.spawn(async move {
                let mut heard = Heard::default();
                let mut n = 0;
                while !stop.load(Ordering::SeqCst) {
                    n += 1;
                    let name = format!("site-{lane}-{n}");
                    let build = insist(&fronts, lane + n, &name, &mut heard.codes).await;
                    heard.acknowledged.insert(name, build);
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                heard
            });
        }
        load
    }

    /// Until so many more starts were acknowledged.
    async fn more(&self, count: usize) {
        let enough = self.acknowledged.load(Ordering::SeqCst) + count;
        until_async("starts to be acknowledged", || async {
            self.acknowledged.load(Ordering::SeqCst) >= enough
        })
        .await;
    }

    async fn end(self) -> Heard {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Heard::default();
        for heard in self.lanes.join_all().await {
            all.acknowledged.extend(heard.acknowledged);
            all.codes.extend(heard.codes);
        }
        all
    }
}

/// Starts a build of a project and user of its own, until it is answered.
async fn insist(
    fronts: &[Front],
    mut at: usize,
    name: &str,
    codes: &mut BTreeSet<String>,
) -> String {
    let body = start_body(name, name);
    loop {
        at += 1;
        let request = keyed(&fronts[at % fronts.len()], &body, name);
        // Whoever is gone answers nothing.
        if let Some((status, headers, text)) = attempt(request).await {
            let answer: Value = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{status} {error}: {text}"));
            if status == 202 {
                return answer["buildId"].as_str().unwrap().to_owned();
            }
            let code = answer["error"].as_str().unwrap();
            assert!(headers.contains_key("x-request-id"), "{code}");
            codes.insert(format!("{status} {code}"));
        }
        TokioRuntime.sleep(Duration::from_millis(20)).await;
    }
}

async fn attempt(request: reqwest::RequestBuilder) -> Option<(u16, HeaderMap, String)> {
    let answer = request.send().await.ok()?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Some((status, headers, answer.text().await.ok()?))
}

/// S6, I9 over workers: under load one of them is killed, and the database is killed and comes back.
/// Every start that was acknowledged is there, none happened twice, every second is accounted for,
/// and the callers saw nothing but codes of wire.md §3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_a_killed_worker_and_a_killed_database_keep_what_was_acknowledged() {
    let own_clock = Proof::size().pick(true, false);
    let server = PostgresServer::start(Durability::On).unwrap();
    let database = migrated(server.database().await.unwrap(), own_clock).await;
    let mut family = Family::start(WORKERS, database, &[]);
    let load = Load::start(&family.fronts, Proof::size().pick(6, 24));
    let more = Proof::size().pick(12, 400);
    load.more(more).await;
    family.kill(0);
    for _ in 0..Proof::size().pick(1, 5) {
        load.more(more).await;
        server.crash().unwrap();
        server.restart().unwrap();
        load.more(more).await;
    }
    let heard = load.end().await;
    let allowed = [
        "409 IDEMPOTENCY_IN_PROGRESS",
        "503 STORE_UNAVAILABLE",
        "503 REPLAY_STORE_UNAVAILABLE",
    ];
    let other = heard
        .codes
        .iter()
        .find(|code| !allowed.contains(&code.as_str()));
    assert_eq!(other, None, "{:?}", heard.codes);

    // What the killed worker built ends too.
    let active = "SELECT count(*) FROM sheen.builds WHERE status IN ('queued', 'building')";
    // The connections of this process broke too.
    until_async("a connection", || async {
        sqlx::query("SELECT 1").execute(&family.pool).await.is_ok()
    })
    .await;
    if own_clock {
        let silence = Duration::from_secs(91);
        testing::advance_clock(&family.pool, silence).await.unwrap();
    }
    while family.count(active).await > 0 {
        TokioRuntime.sleep(Duration::from_millis(50)).await;
    }
    for (name, build) in &heard.acknowledged {
        let found: (String, i64) = sqlx::query_as(
            "SELECT min(build_id::text), count(*) FROM sheen.builds WHERE project_id = $1",
        )
        .bind(name)
        .fetch_one(&family.pool)
        .await
        .unwrap();
        assert_eq!(found, (build.clone(), 1));
    }
    let builds = family.count("SELECT count(*) FROM sheen.builds").await;
    assert_eq!(builds, i64::try_from(heard.acknowledged.len()).unwrap());
    let ends = "SELECT count(*) FROM sheen.events
        WHERE event_type IN ('deploy_completed', 'deploy_failed')";
    assert_eq!(family.count(ends).await, builds, "each build ended once");
    let open = "SELECT count(*) FROM sheen.credit_holds WHERE state = 'open'";
    assert_eq!(family.count(open).await, 0, "and its hold with it");
    let unlike = "SELECT count(*) FROM sheen.builds b JOIN sheen.credit_accounts a USING (user_id)
        WHERE a.gift_charged + a.welcome_charged + a.paid_charged <> coalesce(b.seconds, 0)";
    assert_eq!(
        family.count(unlike).await,
        0,
        "each user paid for one build"
    );
}
