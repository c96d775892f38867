//! Starting and ending a private server.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = include_str!("server.sh");

/// Why a private server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStartError {
    /// The machine has no Redis.
    #[error("no Redis server found: apt-get install -y postgresql redis-server")]
    Missing,
    /// It has one that did not come up; what it said.
    #[error("Redis did not start: {0}")]
    Refused(String),
    /// The machine did not let a process be started or a folder be made.
    #[error("could not start a process or make a folder")]
    Io(#[from] io::Error),
}

/// A Redis server of this process alone, on a unix socket, without persistence. It ends with the
/// value or with the process, whichever comes first.
#[derive(Debug)]
pub struct RedisServer {
    guard: Child,
    folder: PathBuf,
    pid: u32,
}

impl RedisServer {
    /// Starts a server. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// When the machine has no Redis, or it does not come up.
    pub fn start() -> Result<Self, RedisStartError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join("redis-server").is_file()) {
            return Err(RedisStartError::Missing);
        }
        let folder = tempfile::Builder::new()
            .prefix("testkit-redis-")
            .tempdir_in(parent_folder())?;
        let mut guard = Command::new("sh")
            .args(["-c", SCRIPT, "testkit-redis"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A signal to the test's group (Ctrl-C) must not reach it before the pipe closes.
            .process_group(0)
            .spawn()?;
        // From here on the script removes the folder.
        let folder = folder.keep();
        let stdout = guard.stdout.take();
        let stdout = stdout.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let mut lines = BufReader::new(stdout);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        match line.trim_end().strip_prefix("ready ").map(str::parse) {
            Some(Ok(pid)) => Ok(Self { guard, folder, pid }),
            _ => {
                lines.read_to_string(&mut line)?;
                guard.wait()?;
                Err(RedisStartError::Refused(line))
            }
        }
    }

    /// The server's address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+unix://{}/redis.sock", self.folder.display())
    }

    /// The server's process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Where the server keeps its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Closing the pipe is the signal; the wait makes the end of the server visible.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The system's folder for temporary files, unless the socket's path would be too long for the
/// kernel (107 bytes).
fn parent_folder() -> PathBuf {
    let folder = std::env::temp_dir();
    if folder.as_os_str().len() < 60 {
        folder
    } else {
        PathBuf::from("/tmp")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_server_says_what_to_type() {
        let said = RedisStartError::Missing.to_string();
        assert!(said.ends_with(crate::INSTALL), "{said}");
    }
}
