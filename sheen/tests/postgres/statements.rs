//! What a step costs: its statements, by the server's own count. Each is a round trip.

use std::time::Duration;

use sheen::admission::{Admission as _, AdmitOutcome, SettleOutcome};
use sheen_billing::account::Reserve;
use sheen_core::build::{Authority, BuildKind, Ending, FailureReason, Finish};
use sheen_core::id::{BuildId, OperationId, UserId};
use sheen_core::seconds::Seconds;
use sqlx::Connection as _;

use super::{World, admit, deployed, worker};

impl World {
    /// What `step` comes to, and its statements. Nested ones are part of theirs.
    async fn counted<T>(&self, step: impl Future<Output = T>) -> (T, i64) {
        let mut connection = self.database.connection().await;
        sqlx::query(
            "SELECT pg_stat_statements_reset(0,
                (SELECT oid FROM pg_database WHERE datname = current_database()), 0)",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        let outcome = step.await;
        let counted = sqlx::query_scalar(
            "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
             WHERE toplevel
             AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND query NOT LIKE '%pg_stat_statements%'
             -- They come in one message with BEGIN.
             AND query NOT LIKE 'SET LOCAL %'",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        connection.close().await.unwrap();
        (outcome, counted)
    }
}

pub(super) fn cancel(build: &str, user: &str) -> Finish {
    let ending = Ending::Failed {
        reason: FailureReason::Cancelled,
        error: "called off".into(),
    };
    let by = Authority::Owner(UserId::parse(user).unwrap());
    Finish::new(BuildId::parse(build).unwrap(), by, ending)
}

fn reserve(user: &str, project: &str, operation: &str) -> Reserve {
    let operation = OperationId::parse(operation).unwrap();
    let user = UserId::parse(user).unwrap();
    let mut reserve = Reserve::new(user, operation, Seconds::from_u32(1));
    reserve.project = Some(project.parse().unwrap());
    reserve
}

/// Each is BEGIN, the rooms' statements, COMMIT or ROLLBACK: docs/decisions.md says why.
#[tokio::test]
async fn a_step_is_one_transaction_of_few_statements() {
    let world = World::new().await;
    // A server of one's own needs shared_preload_libraries = 'pg_stat_statements'.
    sqlx::raw_sql("CREATE EXTENSION pg_stat_statements")
        .execute(&world.pool)
        .await
        .unwrap();
    let steps = world.rooms.admission.clone();
    let mut told = Vec::new();
    let mut note = |step, statements| told.push((step, statements));

    let start = admit("b1", "u", "p");
    let (outcome, statements) = world.counted(steps.admit(start.clone())).await;
    assert!(matches!(outcome.unwrap(), AdmitOutcome::Admitted(..)));
    note(
        "admit: key, start, account twice, stream, event, answer",
        statements,
    );
    let (outcome, statements) = world.counted(steps.admit(start)).await;
    assert!(matches!(outcome.unwrap(), AdmitOutcome::Replayed(_)));
    note("its repeat: key", statements);
    let (outcome, statements) = world.counted(steps.admit(admit("b2", "u", "p"))).await;
    assert!(matches!(outcome.unwrap(), AdmitOutcome::ProjectBusy { .. }));
    note("of a busy project: key, start", statements);

    let (claimed, statements) = world.counted(steps.claim(&worker())).await;
    let build = claimed.unwrap().unwrap().build;
    note("claim: build, account twice, token, event", statements);
    let (none, statements) = world.counted(steps.claim(&worker())).await;
    assert_eq!(none.unwrap(), None);
    note("of an empty queue: build", statements);

    // By then the hold lives on from another instant.
    let minute = Duration::from_secs(60);
    sheen_core::postgres::testing::advance_clock(&world.pool, minute)
        .await
        .unwrap();
    let (_, statements) = world.counted(steps.beat(&build.id, build.token)).await;
    note("beat: build thrice, account twice", statements);

    let finish = deployed("b1", build.token, 5);
    let (outcome, statements) = world.counted(steps.settle(finish.clone())).await;
    assert!(matches!(outcome.unwrap(), SettleOutcome::Settled(_)));
    note(
        "settle: build thrice, account twice, token, event, end",
        statements,
    );
    let (outcome, statements) = world.counted(steps.settle(finish)).await;
    assert!(matches!(outcome.unwrap(), SettleOutcome::Unchanged(_)));
    note("its repeat: build twice", statements);

    let mut update = admit("b3", "u", "p");
    update.build.input.kind = BuildKind::Update;
    let (outcome, statements) = world.counted(steps.admit(update)).await;
    assert!(matches!(outcome.unwrap(), AdmitOutcome::Admitted(..)));
    note("an update: and the files before and after", statements);
    let (outcome, statements) = world.counted(steps.settle(cancel("b3", "u"))).await;
    assert!(matches!(outcome.unwrap(), SettleOutcome::Settled(_)));
    note("settle with a release", statements);

    let (_, statements) = world.counted(steps.reserve(reserve("u", "p", "o1"))).await;
    note("reserve: project, account twice", statements);
    let (_, statements) = world.counted(steps.reserve(reserve("u", "q", "o2"))).await;
    note("of a new project: and makes it", statements);
    let expected = [9, 3, 4, 7, 3, 7, 10, 4, 11, 10, 5, 6];
    let statements: Vec<i64> = told.iter().map(|(_, statements)| *statements).collect();
    assert_eq!(statements, expected, "{told:#?}");
}
