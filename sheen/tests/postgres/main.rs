//! The steps across rooms on a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod cuts;
mod frozen;
mod meetings;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use sheen::admission::conformance::{AdmissionHarness, GIFT};
use sheen::admission::{Admit, Admitted};
use sheen::postgres::{PgConfig, PgRooms, migrate};
use sheen_core::build::{Authority, BuildInput, BuildKind, Ending, Finish, NewBuild};
use sheen_core::entropy::OsEntropy;
use sheen_core::files::{FilePath, FileSet};
use sheen_core::id::{
    BuildId, BuildSessionId, PrincipalId, ProjectId, UserId, VersionId, WorkerId,
};
use sheen_core::idempotency::{Fingerprint, IdempotencyKey, Scope, StoredAnswer};
use sheen_core::postgres::testing;
use sheen_core::seconds::Seconds;
use sheen_core::time::{SystemClock, Timestamp};
use sheen_core::token::FencingToken;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use testkit::TestDatabase;

/// A migrated database whose clock stands still in the morning, and the rooms in it.
struct World {
    rooms: PgRooms,
    pool: PgPool,
    /// Declared last: the database outlives its pool.
    database: TestDatabase,
}

/// The rules that the suite expects.
fn rules() -> PgConfig {
    let mut config = PgConfig::default();
    config.credits.daily_gift = Seconds::from_u32(GIFT);
    config.credits.welcome_bonus = Seconds::ZERO;
    config.credits.project_daily_cap = Some(Seconds::from_u32(10_000));
    config
}

fn rooms(pool: &PgPool, config: PgConfig) -> PgRooms {
    let (clock, entropy) = (Arc::new(SystemClock::new()), Arc::new(OsEntropy));
    PgRooms::new(pool.clone(), config, clock, entropy)
}

impl World {
    async fn new() -> Self {
        Self::with(|options| options).await
    }

    async fn with(options: impl FnOnce(PgConnectOptions) -> PgConnectOptions) -> Self {
        let database = testkit::postgres().await;
        let pool = database.pool_with(16, options(database.options())).await;
        migrate(&pool).await.unwrap();
        testing::install_clock(&pool).await.unwrap();
        let morning = Timestamp::parse_rfc3339("2026-11-20T06:00:00Z").unwrap();
        sqlx::query("UPDATE sheen.test_clock SET now_ms = $1")
            .bind(morning.as_millis())
            .execute(&pool)
            .await
            .unwrap();
        Self {
            rooms: rooms(&pool, rules()),
            pool,
            database,
        }
    }

    fn harness(self) -> AdmissionHarness {
        let pool = self.pool.clone();
        let rooms = &self.rooms;
        AdmissionHarness {
            admission: rooms.admission.clone(),
            builds: rooms.builds.clone(),
            credits: rooms.credits.clone(),
            grants: rooms.credits.clone(),
            accounts: rooms.credits.clone(),
            log: rooms.log.clone(),
            idempotency: rooms.idempotency.clone(),
            advance: Box::new(move |duration: Duration| {
                let pool = pool.clone();
                Box::pin(async move { testing::advance_clock(&pool, duration).await.unwrap() })
            }),
            guard: Box::new(self),
        }
    }

    async fn count(&self, what: &'static str) -> i64 {
        sqlx::query_scalar(what)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}

fn worker() -> WorkerId {
    WorkerId::parse("wrk_1").unwrap()
}

/// The start of build `id` by `user` for `project`, at 10 s, under a key of its own.
fn admit(id: &str, user: &str, project: &str) -> Admit {
    let path = FilePath::parse("index.html").unwrap();
    let files = FileSet::from_iter([(path, "<h1>Salon</h1>".into())]);
    let user = UserId::parse(user).unwrap();
    let build = NewBuild::new(
        BuildId::parse(id).unwrap(),
        VersionId::parse(&format!("v-{id}")).unwrap(),
        user.clone(),
        ProjectId::parse(project).unwrap(),
        BuildSessionId::parse(&format!("s-{id}")).unwrap(),
        BuildInput::new(BuildKind::Create, "A site", files),
    );
    let scope = Scope::new(PrincipalId::parse("front").unwrap(), user);
    let key = IdempotencyKey::parse(format!("k-{id}").as_bytes()).unwrap();
    let call = Fingerprint::of("POST", "/start", "", &[0; 32]);
    let render = |admitted: &Admitted| {
        let body = admitted.queued.build.id.to_string().into_bytes();
        StoredAnswer::new(202, Vec::new(), body, "req_1")
    };
    let keyed = sheen::admission::KeyedCall::new(scope, key, call);
    Admit::new(Some(keyed), build, Seconds::from_u32(10), Arc::new(render))
}

fn deployed(id: &str, token: FencingToken, seconds: u32) -> Finish {
    let ending = Ending::Deployed {
        preview_url: "https://preview.test/1/".into(),
        seconds: Seconds::from_u32(seconds),
    };
    Finish::new(BuildId::parse(id).unwrap(), Authority::Claim(token), ending)
}
