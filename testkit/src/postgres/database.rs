//! A fresh database for each test.

use std::str::FromStr;
use std::sync::OnceLock;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::server::{Durability, PostgresServer, StartError};

/// Names a server of one's own, in place of a private one.
pub const URL_VARIABLE: &str = "SHEEN_TEST_DATABASE_URL";

/// The one private server of this process. It is never dropped: the end of the process ends it.
static SERVER: OnceLock<Result<PostgresServer, StartError>> = OnceLock::new();

/// A new, empty database, on the server of this process or on the one that
/// `SHEEN_TEST_DATABASE_URL` names. Durability is off on the former.
///
/// # Panics
/// When there is no server: the message says what to install.
pub async fn postgres() -> TestDatabase {
    let made = match std::env::var(URL_VARIABLE) {
        Ok(url) => match PgConnectOptions::from_str(&url) {
            Ok(options) => TestDatabase::create(options, true).await,
            Err(error) => panic!("{URL_VARIABLE} is not an address: {error}"),
        },
        Err(_) => match SERVER.get_or_init(|| PostgresServer::start(Durability::Off)) {
            Ok(server) => server.database().await,
            Err(error) => panic!("{error}"),
        },
    };
    match made {
        Ok(database) => database,
        Err(error) => panic!("no database could be made: {error}"),
    }
}

/// An empty database of one test.
///
/// Pools belong to the runtime that made them, and each `#[tokio::test]` has its own: make one
/// with [`TestDatabase::pool`], do not share it between tests.
#[derive(Debug)]
pub struct TestDatabase {
    options: PgConnectOptions,
    url: String,
    /// How to reach the server once the database is to be dropped; a private server's databases
    /// go with its folder.
    drop_through: Option<PgConnectOptions>,
}

impl TestDatabase {
    pub(super) async fn create(
        server: PgConnectOptions,
        external: bool,
    ) -> Result<Self, sqlx::Error> {
        let name = format!("sheen_test_{:016x}", fastrand::u64(..));
        let mut connection = server.connect().await?;
        // template0 never has sessions, so any number of tests may copy it at once.
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        let options = server.clone().database(&name);
        let url = url_of(&options, &name);
        Ok(Self {
            options,
            url,
            drop_through: external.then_some(server),
        })
    }

    /// The database's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How to connect, for a test that wants settings of its own.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// A pool of at most `connections`, for the calling runtime. Connections are not pinged
    /// before use, so that a step's statements are all there is on the line.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn pool(&self, connections: u32) -> PgPool {
        self.pool_with(connections, self.options()).await
    }

    /// As [`TestDatabase::pool`], with the connections' options changed by the test.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn pool_with(&self, connections: u32, options: PgConnectOptions) -> PgPool {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(false)
            .connect_with(options)
            .await;
        match pool {
            Ok(pool) => pool,
            Err(error) => panic!("the test's database does not answer: {error}"),
        }
    }

    /// Ends the sessions of this database that `which` picks, as a crash of their client or an
    /// operator would, and says how many: an SQL condition over `pg_stat_activity`, such as
    /// `wait_event_type = 'Lock'`.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn terminate(&self, which: &str) -> usize {
        let mut connection = self.connection().await;
        let ended: Result<Vec<bool>, _> = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND ({which})"
        )))
        .fetch_all(&mut connection)
        .await;
        match ended {
            Ok(ended) => ended.into_iter().filter(|ended| *ended).count(),
            Err(error) => panic!("the test's database does not answer: {error}"),
        }
    }

    /// A connection outside any pool.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn connection(&self) -> PgConnection {
        match self.options.connect().await {
            Ok(connection) => connection,
            Err(error) => panic!("the test's database does not answer: {error}"),
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some(server) = self.drop_through.take() else {
            return;
        };
        let Some(name) = self.options.get_database().map(str::to_owned) else {
            return;
        };
        // A runtime of its own on a thread of its own: the test's may be shutting down.
        let dropper = std::thread::Builder::new().spawn(move || drop_database(&server, &name));
        if let Ok(dropper) = dropper {
            let _ = dropper.join();
        }
    }
}

fn drop_database(server: &PgConnectOptions, name: &str) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    let _ = runtime.block_on(async {
        let mut connection = server.connect().await?;
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&mut connection)
            .await?;
        connection.close().await
    });
}

fn url_of(options: &PgConnectOptions, name: &str) -> String {
    match options.get_socket() {
        Some(folder) => format!(
            "postgres://{}@localhost/{name}?host={}",
            options.get_username(),
            folder.display()
        ),
        None => options.to_url_lossy().to_string(),
    }
}
