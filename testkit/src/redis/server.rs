//! Starting and ending a private server.

use std::io;
use std::path::Path;

use crate::guard::{Guard, GuardError};
use crate::process::{Stopped, stop};

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

impl From<GuardError> for RedisStartError {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::Refused(said) => Self::Refused(said),
            GuardError::Io(error) => Self::Io(error),
        }
    }
}

/// A Redis server of this process alone, on a unix socket, without persistence. It ends with the
/// value or with the process, whichever comes first.
#[derive(Debug)]
pub struct RedisServer {
    guard: Guard,
    pid: u32,
}

impl RedisServer {
    /// Starts a server. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// When the machine has no Redis, or it does not come up.
    pub fn start() -> Result<Self, RedisStartError> {
        refuse_missing()?;
        let folder = crate::folder::new("testkit-redis-")?;
        let (guard, ready) = Guard::start(SCRIPT, folder, [])?;
        let pid = pid_of(&ready)?;
        Ok(Self { guard, pid })
    }

    /// The server's address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+unix://{}/redis.sock", self.folder().display())
    }

    /// The server's process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Where the server keeps its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.guard.folder()
    }

    /// Kills the server with `SIGKILL` and starts it again over what it saved: nothing, but for a
    /// `SAVE` before. The address stays, connections do not.
    ///
    /// # Errors
    /// When it does not come up again.
    pub fn crash_and_restart(&mut self) -> Result<(), RedisStartError> {
        self.pid = pid_of(&self.guard.ask("restart")?)?;
        Ok(())
    }

    /// Stops the server, as a machine that hangs would, until the value is dropped.
    pub fn stop(&self) -> Stopped {
        stop(self.pid)
    }
}

pub(super) fn refuse_missing() -> Result<(), RedisStartError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join("redis-server").is_file());
    there.then_some(()).ok_or(RedisStartError::Missing)
}

pub(super) fn pid_of(ready: &str) -> Result<u32, RedisStartError> {
    let refused = |_| RedisStartError::Refused(ready.to_owned());
    ready.trim().parse().map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_ends_the_process_and_another_serves_the_same_address() {
        let mut server = RedisServer::start().unwrap();
        let (before, url) = (server.pid(), server.url());
        server.crash_and_restart().unwrap();
        assert_ne!(server.pid(), before);
        assert_eq!(server.url(), url);
        assert!(!crate::process::is_there(before));
        assert!(crate::process::is_there(server.pid()));
    }

    #[test]
    fn a_missing_server_says_what_to_type() {
        let said = RedisStartError::Missing.to_string();
        assert!(said.ends_with(crate::INSTALL), "{said}");
    }
}
