//! Other sessions that are in the way, and the server's own count of statements.

use sqlx::{Connection, PgConnection, PgPool};
use testkit::{TestDatabase, until_async};
use tokio::task::JoinHandle;

/// A world over a database of its own.
pub(super) trait OnDatabase {
    fn pool(&self) -> &PgPool;
    fn database(&self) -> &TestDatabase;
}

/// Runs a step on a task of its own, so that it can wait.
#[expect(
    clippy::disallowed_methods,
    reason = "the test needs the task's handle, which Spawn does not give"
)]
pub(super) fn beside<T: Send + 'static>(
    step: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(step)
}

/// Another session that holds rows until it is told to let go.
pub(super) struct Holder(PgConnection);

impl Holder {
    pub(super) async fn of(world: &impl OnDatabase, rows: &'static str) -> Self {
        let mut connection = world.database().connection().await;
        sqlx::raw_sql("BEGIN")
            .execute(&mut connection)
            .await
            .unwrap();
        sqlx::raw_sql(rows).execute(&mut connection).await.unwrap();
        Self(connection)
    }

    pub(super) async fn run(&mut self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&mut self.0).await.unwrap();
    }

    pub(super) async fn let_go(mut self) {
        self.run("COMMIT").await;
        self.0.close().await.unwrap();
    }
}

/// Until so many sessions of this database wait for a lock.
pub(super) async fn waiting(world: &impl OnDatabase, sessions: i64) {
    until_async("sessions that wait for a lock", || async {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(world.pool())
        .await
        .unwrap();
        count == sessions
    })
    .await;
}

/// Statements since the last count, whoever sent them. Nested ones are part of their step.
pub(super) async fn count(world: &impl OnDatabase) -> i64 {
    let mut connection = world.database().connection().await;
    let counted = sqlx::query_scalar(
        "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
         WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND query NOT LIKE '%pg_stat_statements%'",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    sqlx::query(
        "SELECT pg_stat_statements_reset(0,
            (SELECT oid FROM pg_database WHERE datname = current_database()), 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    counted
}
