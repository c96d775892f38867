//! The migrations runner. Every crate brings its own list; the database remembers what ran.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, Row, raw_sql};

use super::error::{connect_error, step_error};
use crate::error::StoreError;

/// «sheen» in ASCII: migrators of every crate wait for one another.
const LOCK: i64 = 0x73_68_65_65_6e;

/// One step of a crate's part of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// Counted from 1 in each crate, without gaps.
    pub version: i32,
    /// What it is about, for people.
    pub name: &'static str,
    /// What makes it; any number of statements, none of which may manage transactions.
    pub up: &'static str,
    /// What takes it back.
    pub down: &'static str,
}

impl Migration {
    /// The migration to `version`.
    #[must_use]
    pub const fn new(
        version: i32,
        name: &'static str,
        up: &'static str,
        down: &'static str,
    ) -> Self {
        Self {
            version,
            name,
            up,
            down,
        }
    }

    /// SHA-256 of `up` in hex. Line ends do not count: a checkout may change them.
    fn checksum(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for line in self.up.lines() {
            hash.update(line.as_bytes());
            hash.update(b"\n");
        }
        const_hex::encode(hash.finalize())
    }
}

/// Why a database was not brought to a version. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A migration was edited after it ran here.
    #[error("migration {version} ({name}) of {krate} has changed since it ran on this database")]
    Changed {
        /// Whose.
        krate: &'static str,
        /// Which.
        version: i32,
        /// Its name.
        name: &'static str,
    },
    /// A later version of the crate ran here: run that one, or take its migrations back with it.
    #[error("the database is at version {found} of {krate}, this code knows {known}")]
    Newer {
        /// Whose.
        krate: &'static str,
        /// The database's version.
        found: i32,
        /// The code's last one.
        known: i32,
    },
    /// The list does not count 1, 2, 3: a fault of the crate's author.
    #[error("the migrations of {krate} do not count from 1 without gaps")]
    Disordered {
        /// Whose.
        krate: &'static str,
    },
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
}

/// The migrations of one crate.
///
/// All that is missing runs in one transaction under a lock, so any number of processes may start
/// at once, and a failure leaves the database as it was.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Migrations {
    /// The crate, `sheen-core`.
    pub krate: &'static str,
    /// What makes its part of the schema, in order.
    pub list: &'static [Migration],
}

/// This crate's part of the schema.
pub const MIGRATIONS: Migrations = Migrations::new(
    "sheen-core",
    &[
        Migration::new(
            1,
            "words",
            include_str!("migrations/0001_words.up.sql"),
            include_str!("migrations/0001_words.down.sql"),
        ),
        Migration::new(
            2,
            "builds",
            include_str!("migrations/0002_builds.up.sql"),
            include_str!("migrations/0002_builds.down.sql"),
        ),
        Migration::new(
            3,
            "build steps",
            include_str!("migrations/0003_build_steps.up.sql"),
            include_str!("migrations/0003_build_steps.down.sql"),
        ),
        Migration::new(
            4,
            "idempotency",
            include_str!("migrations/0004_idempotency.up.sql"),
            include_str!("migrations/0004_idempotency.down.sql"),
        ),
        Migration::new(
            5,
            "idempotency steps",
            include_str!("migrations/0005_idempotency_steps.up.sql"),
            include_str!("migrations/0005_idempotency_steps.down.sql"),
        ),
        Migration::new(
            6,
            "build batches",
            include_str!("migrations/0006_build_batches.up.sql"),
            include_str!("migrations/0006_build_batches.down.sql"),
        ),
        Migration::new(
            7,
            "settled observers",
            include_str!("migrations/0007_settled.up.sql"),
            include_str!("migrations/0007_settled.down.sql"),
        ),
        Migration::new(
            8,
            "the order of batches",
            include_str!("migrations/0008_batch_order.up.sql"),
            include_str!("migrations/0008_batch_order.down.sql"),
        ),
    ],
);

/// Brings this crate's part of the database up to date.
///
/// # Errors
/// As [`Migrations::up`].
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    MIGRATIONS.up(pool).await
}

impl Migrations {
    /// The migrations of `krate`.
    #[must_use]
    pub const fn new(krate: &'static str, list: &'static [Migration]) -> Self {
        Self { krate, list }
    }

    /// Runs what has not run yet.
    ///
    /// # Errors
    /// When the database is newer than the code, one that ran was edited since, or the database
    /// fails.
    pub async fn up(&self, pool: &PgPool) -> Result<(), MigrateError> {
        self.in_order()?;
        let mut connection = pool.acquire().await.map_err(connect_error)?;
        let mut step = connection.begin().await.map_err(step_error)?;
        let ran = self.lock_and_check(&mut step).await?;
        for migration in &self.list[ran..] {
            run(&mut step, migration.up).await?;
            sqlx::query(include_str!("sql/migration_insert.sql"))
                .bind(self.krate)
                .bind(migration.version)
                .bind(migration.name)
                .bind(migration.checksum())
                .execute(&mut *step)
                .await
                .map_err(step_error)?;
        }
        Ok(step.commit().await.map_err(step_error)?)
    }

    /// Takes back what ran after `version`, the last one first; 0 takes back everything.
    ///
    /// # Errors
    /// As [`Migrations::up`].
    pub async fn down(&self, pool: &PgPool, version: i32) -> Result<(), MigrateError> {
        self.in_order()?;
        let mut connection = pool.acquire().await.map_err(connect_error)?;
        let mut step = connection.begin().await.map_err(step_error)?;
        let ran = self.lock_and_check(&mut step).await?;
        for migration in self.list[..ran].iter().rev() {
            if migration.version <= version {
                break;
            }
            run(&mut step, migration.down).await?;
            sqlx::query(include_str!("sql/migration_delete.sql"))
                .bind(self.krate)
                .bind(migration.version)
                .execute(&mut *step)
                .await
                .map_err(step_error)?;
        }
        Ok(step.commit().await.map_err(step_error)?)
    }

    fn in_order(&self) -> Result<(), MigrateError> {
        let counted = (1..).zip(self.list).all(|(n, one)| one.version == n);
        if counted {
            Ok(())
        } else {
            Err(MigrateError::Disordered { krate: self.krate })
        }
    }

    /// Waits for other migrators, then says how many of the list ran, if they are these.
    async fn lock_and_check(&self, step: &mut PgConnection) -> Result<usize, MigrateError> {
        sqlx::query(include_str!("sql/migration_lock.sql"))
            .bind(LOCK)
            .execute(&mut *step)
            .await
            .map_err(step_error)?;
        let there: bool = sqlx::query_scalar(include_str!("sql/migration_table_exists.sql"))
            .fetch_one(&mut *step)
            .await
            .map_err(step_error)?;
        // Asked first, so that a user who may not make schemas can still start on a made one.
        if !there {
            run(step, include_str!("sql/migration_table_create.sql")).await?;
        }
        let rows = sqlx::query(include_str!("sql/migration_list.sql"))
            .bind(self.krate)
            .fetch_all(&mut *step)
            .await
            .map_err(step_error)?;
        for (index, row) in rows.iter().enumerate() {
            let found: i32 = row.try_get("version").map_err(step_error)?;
            let checksum: String = row.try_get("checksum").map_err(step_error)?;
            let known = self.list.last().map_or(0, |last| last.version);
            let Some(migration) = self.list.get(index).filter(|one| one.version == found) else {
                let krate = self.krate;
                return Err(MigrateError::Newer {
                    krate,
                    found,
                    known,
                });
            };
            if migration.checksum() != checksum {
                return Err(MigrateError::Changed {
                    krate: self.krate,
                    version: migration.version,
                    name: migration.name,
                });
            }
        }
        Ok(rows.len())
    }
}

async fn run(step: &mut PgConnection, script: &'static str) -> Result<(), StoreError> {
    raw_sql(script).execute(step).await.map_err(step_error)?;
    Ok(())
}
