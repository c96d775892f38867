//! Starting and ending a private server.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sqlx::postgres::PgConnectOptions;

use super::database::TestDatabase;

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
    guard: Child,
    folder: PathBuf,
    pid: u32,
}

impl PostgresServer {
    /// Starts a server. Blocks for about half a second.
    ///
    /// # Errors
    /// When the machine has no PostgreSQL, or it does not come up.
    pub fn start(durability: Durability) -> Result<Self, StartError> {
        let binaries = find_binaries(
            Path::new("/usr/lib/postgresql"),
            std::env::var_os("PATH").as_deref(),
        )
        .ok_or(StartError::Missing)?;
        let folder = tempfile::Builder::new()
            .prefix("testkit-pg-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir_in(parent_folder())?;
        // PostgreSQL refuses to run as root.
        let user = if folder.path().metadata()?.uid() == 0 {
            "postgres"
        } else {
            ""
        };
        let mut guard = Command::new("sh")
            .args(["-c", SCRIPT, "testkit-postgres"])
            .arg(folder.path())
            .arg(binaries)
            .arg(user)
            .args(["-c", "listen_addresses=", "-c", "max_connections=300"])
            .args(["-c", "shared_buffers=32MB", "-c", "autovacuum=off"])
            .args(["-c", "shared_preload_libraries=pg_stat_statements"])
            .args(durability.settings())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A signal to the test's group (Ctrl-C) must not reach it before the pipe closes.
            .process_group(0)
            .spawn()?;
        // From here on the script removes the folder.
        let folder = folder.keep();
        let mut lines = BufReader::new(guard.stdout.take().ok_or_else(broken_pipe)?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        match line.trim_end().strip_prefix("ready ").map(str::parse) {
            Some(Ok(pid)) => Ok(Self { guard, folder, pid }),
            _ => {
                lines.read_to_string(&mut line)?;
                guard.wait()?;
                Err(StartError::Refused(line))
            }
        }
    }

    /// A new, empty database on this server.
    ///
    /// # Errors
    /// When the server does not make it.
    pub async fn database(&self) -> Result<TestDatabase, sqlx::Error> {
        TestDatabase::create(self.options(), false).await
    }

    /// The server's process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Where the server keeps its data and its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.folder)
            .username("postgres")
            .database("postgres")
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Closing the pipe is the signal; the wait makes the end of the server visible.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

fn broken_pipe() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

/// The system's folder for temporary files, unless the server's user could not reach it or the
/// socket's path would be too long for the kernel (107 bytes).
fn parent_folder() -> PathBuf {
    let folder = std::env::temp_dir();
    let reachable = folder.ancestors().all(|part| {
        part.metadata()
            .is_ok_and(|data| data.permissions().mode() & 0o001 != 0)
    });
    if reachable && folder.as_os_str().len() < 60 {
        folder
    } else {
        PathBuf::from("/tmp")
    }
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
