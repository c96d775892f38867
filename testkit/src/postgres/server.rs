//! Starting and ending a private server.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;

use super::database::TestDatabase;
use crate::guard::{Guard, GuardError};
use crate::process::{Stopped, stop};

/// What to type on a Debian machine without the servers.
pub const INSTALL: &str = "apt-get install -y postgresql redis-server";

const SCRIPT: &str = include_str!("server.sh");

/// Why a private server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The machine has no PostgreSQL.
    #[error("no PostgreSQL server found: apt-get install -y postgresql redis-server")]
    Missing,
    /// It has one that did not come up; what it said.
    #[error("PostgreSQL did not start: {0}")]
    Refused(String),
    /// The machine did not let a process be started or a folder be made.
    #[error("could not start a process or make a folder")]
    Io(#[from] io::Error),
}

impl From<GuardError> for StartError {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::Refused(said) => Self::Refused(said),
            GuardError::Io(error) => Self::Io(error),
        }
    }
}

/// Whether what is committed outlives the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// No fsync: several times faster, and right wherever no durability is tested.
    Off,
    /// As PostgreSQL comes.
    On,
}

impl Durability {
    const fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Off => &[
                "-c",
                "fsync=off",
                "-c",
                "synchronous_commit=off",
                "-c",
                "full_page_writes=off",
            ],
            Self::On => &[],
        }
    }
}

/// A PostgreSQL server of this process alone. It ends with the value or with the process,
/// whichever comes first.
#[derive(Debug)]
pub struct PostgresServer {
    guard: Guard,
    pid: AtomicU32,
}

impl PostgresServer {
    /// Starts a server. Blocks for about half a second.
    ///
    /// # Errors
    /// When the machine has no PostgreSQL, or it does not come up.
    pub fn start(durability: Durability) -> Result<Self, StartError> {
        let binaries = binaries().ok_or(StartError::Missing)?;
        let folder = crate::folder::new("testkit-pg-")?;
        // PostgreSQL refuses to run as root.
        let user = if folder.path().metadata()?.uid() == 0 {
            "postgres"
        } else {
            ""
        };
        let fixed = [
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=300",
            "-c",
            "shared_buffers=32MB",
            "-c",
            "autovacuum=off",
            "-c",
            "shared_preload_libraries=pg_stat_statements",
        ];
        let settings = fixed.iter().chain(durability.settings());
        let arguments = [binaries.into_os_string(), user.into()]
            .into_iter()
            .chain(settings.map(OsString::from));
        let (guard, ready) = Guard::start(SCRIPT, folder, arguments)?;
        let pid = AtomicU32::new(pid_of(&ready)?);
        Ok(Self { guard, pid })
    }

    /// The program `name` of the server's version, like `pgbench`; `None` where it is not there.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let program = binaries()?.join(name);
        program.is_file().then_some(program)
    }

    /// Kills the server's first process with `kill -9`, as a crash of the machine would; what is
    /// left of it goes by itself. Its data stays, as far as it was on the disk.
    ///
    /// # Errors
    /// When the script that holds it is gone.
    pub fn crash(&self) -> Result<(), StartError> {
        self.guard.ask("crash")?;
        Ok(())
    }

    /// Starts a server that crashed over the same data. Blocks until it takes connections.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&self) -> Result<(), StartError> {
        let ready = self.guard.ask("start")?;
        self.pid.store(pid_of(&ready)?, Ordering::SeqCst);
        Ok(())
    }

    /// Stops every process of the server, as a machine that hangs would, until the value is
    /// dropped.
    pub fn stop(&self) -> Stopped {
        stop(self.pid())
    }

    /// A new, empty database on this server.
    ///
    /// # Errors
    /// When the server does not make it.
    pub async fn database(&self) -> Result<TestDatabase, sqlx::Error> {
        TestDatabase::create(self.options(), false).await
    }

    /// The server's process id; another one after a restart.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    /// Where the server keeps its data and its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.guard.folder()
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.folder())
            .username("postgres")
            .database("postgres")
    }
}

fn pid_of(ready: &str) -> Result<u32, StartError> {
    let refused = || StartError::Refused(ready.to_owned());
    ready.trim().parse().map_err(|_| refused())
}

fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH");
    find_binaries(Path::new("/usr/lib/postgresql"), path.as_deref())
}

/// The newest version under Debian's folder, else whatever is on the path.
fn find_binaries(versions: &Path, path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    let complete = |bin: &PathBuf| {
        ["initdb", "postgres", "pg_isready"]
            .iter()
            .all(|name| bin.join(name).is_file())
    };
    let number = |bin: &PathBuf| -> u32 {
        let version = bin.parent().and_then(Path::file_name);
        version
            .and_then(|name| name.to_str()?.split('.').next()?.parse().ok())
            .unwrap_or(0)
    };
    let packaged = std::fs::read_dir(versions)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(complete)
        .max_by_key(number);
    packaged.or_else(|| std::env::split_paths(path?).find(complete))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake_version(root: &Path, name: &str) {
        let bin = root.join(name).join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        for file in ["initdb", "postgres", "pg_isready"] {
            std::fs::write(bin.join(file), "").unwrap();
        }
    }

    #[test]
    fn the_newest_packaged_version_is_taken() {
        let root = tempfile::tempdir().unwrap();
        fake_version(root.path(), "9.6");
        fake_version(root.path(), "15");
        std::fs::create_dir_all(root.path().join("17/bin")).unwrap();
        assert_eq!(
            find_binaries(root.path(), None),
            Some(root.path().join("15/bin"))
        );
    }

    #[test]
    fn without_a_packaged_version_the_path_decides_and_without_either_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        fake_version(root.path(), "x");
        let nowhere = root.path().join("nowhere");
        let path = root.path().join("x/bin");
        assert_eq!(
            find_binaries(&nowhere, Some(path.as_os_str())),
            Some(path.clone())
        );
        assert_eq!(find_binaries(&nowhere, Some(nowhere.as_os_str())), None);
    }

    #[test]
    fn a_missing_server_says_what_to_type() {
        assert!(StartError::Missing.to_string().ends_with(INSTALL));
    }
}
