//! Three processes on one PostgreSQL and one Redis: one build, one run, and what is left when a
//! process or the database is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use examples::crew::{self, Ask, Keeper, Member, Servers, Told};
use sheen_core::build::{
    Authority, BuildReader, BuildStore, Deadlines, Ending, FailureReason, Finish, FinishOutcome,
    PgBuildStore, Status,
};
use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId};
use sheen_core::postgres::migrate;
use sheen_core::runtime::{Sleep as _, TokioRuntime};
use sheen_core::seconds::Seconds;
use sheen_core::token::FencingToken;
use sqlx::PgPool;
use testkit::{Durability, PostgresServer, Proof, TestDatabase, TestRedis, until_async};

use super::support::program;

const PROCESSES: usize = 3;

/// Three members over servers of the test's own.
struct Crew {
    members: Vec<Member>,
    builds: PgBuildStore,
    pool: PgPool,
    _redis: TestRedis,
    /// Declared last: the database outlives its pool.
    _database: TestDatabase,
}

impl Crew {
    async fn start(database: TestDatabase, silence: Duration) -> Self {
        let redis = testkit::redis();
        let pool = database.pool(4).await;
        migrate(&pool).await.unwrap();
        let servers = Servers {
            database: database.url().to_owned(),
            redis: redis.url().to_owned(),
            prefix: redis.prefix().to_owned(),
            silence,
        };
        let mut members = Vec::new();
        for _ in 0..PROCESSES {
            let member = Member::start(&program("multi_process"), &servers).await;
            members.push(member.unwrap());
        }
        let deadlines = Deadlines::new(Deadlines::default().queued, silence);
        Self {
            members,
            builds: PgBuildStore::new(pool.clone(), deadlines),
            pool,
            _redis: redis,
            _database: database,
        }
    }

    async fn count(&self, what: &'static str) -> i64 {
        sqlx::query_scalar(what)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}

/// B1 over processes: 600 starts of one project at once are one build, and every other caller is
/// told which.
#[tokio::test]
async fn b1_starts_of_three_processes_at_once_are_one_build() {
    let mut crew = Crew::start(testkit::postgres().await, Deadlines::default().building).await;
    for round in 0..Proof::size().pick(1, 20) {
        let project = format!("salon-{round}");
        let starts = crew::starts(&mut crew.members, &project, 200)
            .await
            .unwrap();
        assert_eq!(starts.started.len(), 1);
        assert_eq!(starts.busy, PROCESSES * 200 - 1);
        assert_eq!(starts.active, starts.started);
        let project = [ProjectId::parse(&project).unwrap()];
        let latest = crew.builds.latest(&project).await.unwrap();
        let latest = latest[0].build.as_ref().unwrap();
        assert_eq!(
            Some(latest.id.as_str()),
            starts.started.first().map(|id| &**id)
        );
        let builds = crew.count("SELECT count(*) FROM sheen.builds").await;
        assert_eq!(builds, round + 1);
    }
}

/// I1 over processes: 600 calls with one key at once run once, and all get that one's answer.
#[tokio::test]
async fn i01_calls_of_three_processes_with_one_key_run_once() {
    let mut crew = Crew::start(testkit::postgres().await, Deadlines::default().building).await;
    let mut builds = 0;
    for round in 0..Proof::size().pick(1, 20) {
        for keeper in [Keeper::Postgres, Keeper::Redis] {
            let key = format!("order-{keeper:?}-{round}");
            let keyed = crew::keyed(&mut crew.members, keeper, &key, 200)
                .await
                .unwrap();
            assert_eq!((keyed.runs, keyed.answered), (1, PROCESSES * 200));
            assert_eq!(keyed.answers.len(), 1);
            builds += 1;
            let there = crew.count("SELECT count(*) FROM sheen.builds").await;
            assert_eq!(there, builds);
        }
    }
}

/// B5, B7, R15's like: a process is killed in the middle of a build. Its lease lapses, the build
/// fails as timed out, the next start goes through, and its late end changes nothing.
#[tokio::test]
async fn b7_a_killed_process_loses_its_build_and_nothing_else() {
    let silence = Proof::size().pick(Duration::from_secs(2), Deadlines::default().building);
    let mut crew = Crew::start(testkit::postgres().await, silence).await;
    let starts = crew::starts(&mut crew.members, "salon", 1).await.unwrap();
    let mut victim = crew.members.remove(0);
    victim.ask(&Ask::Claim).await.unwrap();
    let Told::Claimed { build, token } = victim.hear().await.unwrap() else {
        panic!("it claimed nothing");
    };
    assert!(starts.started.contains(&build));
    let (build, token) = (
        BuildId::parse(&build).unwrap(),
        FencingToken::from_u64(token),
    );
    // It is alive: its heartbeats come.
    let claimed = crew.builds.get(&build).await.unwrap().unwrap().build;
    until_async("a heartbeat", || async {
        let row = crew.builds.get(&build).await.unwrap().unwrap().build;
        row.heartbeat_at > claimed.heartbeat_at
    })
    .await;
    assert!(crew.builds.reap(10).await.unwrap().is_empty());

    victim.kill().await.unwrap();
    let busy = crew::starts(&mut crew.members, "salon", 1).await.unwrap();
    assert_eq!((busy.started.len(), busy.busy), (0, PROCESSES - 1));
    let mut reaped = Vec::new();
    while reaped.is_empty() {
        reaped = crew.builds.reap(10).await.unwrap();
        TokioRuntime.sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(reaped.len(), 1);
    let ended = crew.builds.get(&build).await.unwrap().unwrap().build;
    assert_eq!(
        (ended.status, ended.reason),
        (Status::Failed, Some(FailureReason::TimedOut))
    );
    assert_eq!(reaped[0], ended);
    let lived = ended.updated_at.since(claimed.heartbeat_at.unwrap());
    assert!(lived >= silence, "{lived:?}");

    let next = crew::starts(&mut crew.members, "salon", 1).await.unwrap();
    assert_eq!(next.started.len(), 1);
    let late = Ending::Deployed {
        preview_url: "/preview/salon/".into(),
        seconds: Seconds::from_u32(42),
    };
    let late = Finish::new(build.clone(), Authority::Claim(token), late);
    let outcome = crew.builds.finish(late).await.unwrap();
    assert!(
        !matches!(outcome, FinishOutcome::Finished(_)),
        "{outcome:?}"
    );
    assert_eq!(crew.builds.get(&build).await.unwrap().unwrap().build, ended);
    let latest = crew
        .builds
        .latest(&[ProjectId::parse("salon").unwrap()])
        .await
        .unwrap();
    let latest = latest[0].build.as_ref().unwrap();
    assert!(next.started.contains(latest.id.as_str()));
    assert_eq!(latest.status, Status::Queued);
}

/// What the members of a loaded crew told.
#[derive(Debug, Default)]
struct Heard {
    /// The build that was acknowledged for each session.
    acknowledged: BTreeMap<String, String>,
    kinds: BTreeSet<String>,
    stopped: bool,
}

impl Heard {
    async fn hear(&mut self, member: &mut Member) {
        match member.hear().await.unwrap() {
            Told::Acknowledged { session, build } => {
                assert_eq!(self.acknowledged.insert(session, build), None);
            }
            Told::Failed { kind } => {
                self.kinds.insert(kind);
            }
            Told::Stopped => self.stopped = true,
            told => panic!("{told:?}"),
        }
    }
}

/// S6, I9: the database is killed under load and comes back. Every start that was acknowledged is
/// there, none happened twice, and the callers saw nothing but the store's own kinds of error.
#[tokio::test]
async fn s6_a_killed_database_keeps_what_it_acknowledged() {
    let server = PostgresServer::start(Durability::On).unwrap();
    let database = server.database().await.unwrap();
    let mut crew = Crew::start(database, Deadlines::default().building).await;
    let mut heard: Vec<Heard> = crew.members.iter().map(|_| Heard::default()).collect();
    for member in &mut crew.members {
        member.ask(&Ask::Load { lanes: 8 }).await.unwrap();
    }
    let more = Proof::size().pick(30, 500);
    for _ in 0..Proof::size().pick(1, 10) {
        for (member, heard) in crew.members.iter_mut().zip(&mut heard) {
            let enough = heard.acknowledged.len() + more;
            while heard.acknowledged.len() < enough {
                heard.hear(member).await;
            }
        }
        server.crash().unwrap();
        for heard in &mut heard {
            heard.kinds.clear();
        }
        server.restart().unwrap();
        // Every process felt it, and goes on.
        for (member, heard) in crew.members.iter_mut().zip(&mut heard) {
            while heard.kinds.is_empty() {
                heard.hear(member).await;
            }
            let enough = heard.acknowledged.len() + more;
            while heard.acknowledged.len() < enough {
                heard.hear(member).await;
            }
            let own = ["Unavailable", "OutcomeUnknown", "Contended"];
            let others = heard.kinds.iter().find(|kind| !own.contains(&&***kind));
            assert_eq!(others, None);
        }
    }
    for (member, heard) in crew.members.iter_mut().zip(&mut heard) {
        member.ask(&Ask::Stop).await.unwrap();
        while !heard.stopped {
            heard.hear(member).await;
        }
    }
    let user = UserId::parse("ada").unwrap();
    let mut starts = 0;
    // The connections of this process broke too.
    until_async("a connection", || async {
        crew.builds.overdue(1).await.is_ok()
    })
    .await;
    for (session, build) in heard.iter().flat_map(|heard| &heard.acknowledged) {
        let session = BuildSessionId::parse(session).unwrap();
        let found = crew.builds.by_session(&user, &session).await.unwrap();
        assert_eq!(found.unwrap().build.id.as_str(), build);
        starts += 1;
    }
    // Every start was repeated until it was acknowledged.
    assert_eq!(
        crew.count("SELECT count(*) FROM sheen.builds").await,
        starts
    );
}
