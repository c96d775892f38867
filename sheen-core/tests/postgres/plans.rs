//! Plans over 200,000 builds (a million in full): every step goes by an index, however it is
//! planned.

use sheen_core::build::{
    Authority, BeatOutcome, BuildKind, Ending, FailureReason, Finish, FinishOutcome, StartOutcome,
};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};
use testkit::Proof;

use super::{World, new_build, worker};

/// Ended builds, and behind them 40 that are building and 40 queued ones. Triggers and foreign keys
/// are left out, so that it takes seconds; each ended build is still to be heard of, and a tenth
/// was given up.
async fn fill(world: &World, builds: u32) {
    let script = format!(
        "SET session_replication_role = replica;
         INSERT INTO sheen.projects (project_id, owner_id, last_build_id)
            SELECT 'p' || n, 'u' || n % 1000, 'b' || n FROM generate_series(1, {builds} / 10) AS n;
         INSERT INTO sheen.builds (build_id, version_id, user_id, project_id, session_id, kind,
                allow_concurrent, status, token, reason, error, created_ms, updated_ms)
            SELECT 'b' || n, 'v' || n, 'u' || n % ({builds} / 10) % 1000,
                'p' || 1 + n % ({builds} / 10), 's' || n, 'create', false, 'failed', 2,
                'CANCELLED', '', 1, 1
            FROM generate_series(1, {builds}) AS n;
         INSERT INTO sheen.build_inputs (build_id, prompt, files, locale)
            SELECT 'b' || n, 'a site', '{{}}', 'en' FROM generate_series(1, {builds}) AS n;
         INSERT INTO sheen.settled_observers (observer, registered_ms) VALUES ('mail', 1);
         INSERT INTO sheen.settled_deliveries (build_id, observer, due_ms, parked, attempts, error)
            SELECT 'b' || n, 'mail', n, n % 10 = 0, 10, 'it broke'
            FROM generate_series(1, {builds}) AS n;
         RESET session_replication_role;"
    );
    let mut connection = world.database.connection().await;
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(&mut connection)
        .await
        .unwrap();
    for n in 0..80 {
        world
            .started(new_build(n, "active", &format!("active{n}")))
            .await;
        if n < 40 {
            world.claimed().await;
        }
    }
    sqlx::raw_sql(
        "ANALYZE sheen.projects; ANALYZE sheen.builds; ANALYZE sheen.build_inputs;
         ANALYZE sheen.settled_deliveries;",
    )
    .execute(&mut connection)
    .await
    .unwrap();
}

/// Every step without a join once, in the caller's transaction.
async fn steps(world: &World, step: &mut PgConnection) {
    let store = &world.store;
    let started = store.start_in(step, new_build(1_000, "u", "new")).await;
    assert!(matches!(started.unwrap(), StartOutcome::Started(_)));
    let batch = (1_002..1_052).map(|n| new_build(n, "u", &format!("new{n}")));
    let started = store.start_many_in(step, batch.collect()).await.unwrap();
    assert_eq!(started.len(), 50);
    let busy = store.start_in(step, new_build(1_100, "active", "active0"));
    assert!(matches!(
        busy.await.unwrap(),
        StartOutcome::ProjectBusy { .. }
    ));
    let build = store
        .claim_in(step, &worker())
        .await
        .unwrap()
        .unwrap()
        .build;
    let alive = store.beat_in(step, &build.id, build.token).await.unwrap();
    assert!(matches!(alive, BeatOutcome::Alive { .. }));
    let ending = Ending::Failed {
        reason: FailureReason::BuildFailed,
        error: "it broke".into(),
    };
    let finish = Finish::new(build.id.clone(), Authority::Claim(build.token), ending);
    let ended = store.finish_in(step, finish).await.unwrap();
    assert!(matches!(ended, FinishOutcome::Finished(_)));
    for outbox in [
        "SELECT count(*) = 50 FROM sheen.settled_lease_v1('mail', 'wrk_1', 60000, 50)",
        "SELECT sheen.settled_resolve_v1('mail', 'b1', 1, false, false, 5000, 'it broke')",
        "SELECT sheen.settled_put_back_v1('mail', 'b10')",
    ] {
        let done: bool = sqlx::query_scalar(outbox)
            .fetch_one(&mut *step)
            .await
            .unwrap();
        assert!(done, "{outbox}");
    }
}

/// The statements of reading, with values a caller would give.
const STATEMENTS: [&str; 8] = [
    include_str!("../../src/build/postgres/sql/get.sql"),
    include_str!("../../src/build/postgres/sql/by_session.sql"),
    include_str!("../../src/build/postgres/sql/latest.sql"),
    include_str!("../../src/build/postgres/sql/owner.sql"),
    include_str!("../../src/build/postgres/sql/project_files.sql"),
    include_str!("../../src/build/postgres/sql/projects_files.sql"),
    include_str!("../../src/build/postgres/sql/overdue.sql"),
    include_str!("../../src/build/settled/postgres/sql/parked.sql"),
];
const VALUES: [&str; 8] = [
    "'b77'",
    "'u7', 's7'",
    "ARRAY['p1', 'p2', 'active3']",
    "'p7'",
    "'p7'",
    "ARRAY['p1', 'p2', 'active3']",
    "600000, 90000, 100",
    "'mail', 5000, 50",
];

/// What joins: with nested loops off, joining reads tables whole whatever indexes there are.
async fn joins(world: &World, step: &mut PgConnection) {
    let mut update = new_build(1_001, "u1", "p1");
    update.input.kind = BuildKind::Update;
    let started = world.store.start_in(step, update).await;
    assert!(matches!(started.unwrap(), StartOutcome::Started(_)));
    for (n, (statement, values)) in STATEMENTS.into_iter().zip(VALUES).enumerate() {
        let script = format!("PREPARE plan_{n} AS {statement}; EXECUTE plan_{n}({values});");
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut *step)
            .await
            .unwrap();
    }
}

/// S3: what runs inside the functions is counted by the server: no pass over a table, in the plans
/// made for the values and in those made without looking at them.
#[tokio::test]
async fn s3_no_step_of_builds_reads_a_whole_table() {
    let world = World::new().await;
    fill(&world, Proof::size().pick(200_000, 1_000_000)).await;
    world.advance(std::time::Duration::from_secs(100)).await;
    for mode in ["force_custom_plan", "force_generic_plan"] {
        for nested in ["on", "off"] {
            let mut connection = world.database.connection().await;
            let settings = format!(
                "SET plan_cache_mode = {mode}; SET enable_nestloop = {nested}; SET jit = off; BEGIN"
            );
            sqlx::raw_sql(AssertSqlSafe(settings))
                .execute(&mut connection)
                .await
                .unwrap();
            steps(&world, &mut connection).await;
            if nested == "on" {
                joins(&world, &mut connection).await;
            }
            for table in ["projects", "builds", "build_inputs", "settled_deliveries"] {
                let counted = sqlx::query(
                    "SELECT pg_stat_get_xact_numscans(('sheen.' || $1)::regclass) AS passes,
                        (SELECT sum(pg_stat_get_xact_numscans(indexrelid))::bigint
                         FROM pg_index WHERE indrelid = ('sheen.' || $1)::regclass) AS by_index",
                )
                .bind(table)
                .fetch_one(&mut connection)
                .await
                .unwrap();
                let number = |name| counted.get::<i64, _>(name);
                assert_eq!(
                    number("passes"),
                    0,
                    "{table}, {mode}, nested loops {nested}"
                );
                assert!(number("by_index") > 0, "{table}");
            }
            sqlx::raw_sql("ROLLBACK")
                .execute(&mut connection)
                .await
                .unwrap();
        }
    }
}
