//! A script that holds servers for as long as this process lives.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

/// Why a script's servers are not there.
#[derive(Debug)]
pub(crate) enum GuardError {
    /// They did not come up; what they said.
    Refused(String),
    /// The machine did not let a process be started or a folder be made.
    Io(io::Error),
}

impl From<io::Error> for GuardError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A running script. It reads commands from a pipe whose other end is here, so that it ends, and
/// takes its servers and its folder with it, with this value or with this process, whichever
/// comes first; `kill -9` closes a pipe too.
#[derive(Debug)]
pub(crate) struct Guard {
    child: Child,
    line: Mutex<Line>,
    folder: PathBuf,
}

#[derive(Debug)]
struct Line {
    /// `None` once it is closed.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Guard {
    /// Runs `script` over `folder`, which it removes at its end, until its servers are ready; gives
    /// what it says of them.
    pub(crate) fn start(
        script: &str,
        folder: TempDir,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<(Self, String), GuardError> {
        let mut child = Command::new("sh")
            .args(["-c", script, "testkit"])
            .arg(folder.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A signal to the test's group (Ctrl-C) must not reach it before the pipe closes.
            .process_group(0)
            .spawn()?;
        // From here on the script removes the folder.
        let folder = folder.keep();
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let line = Line {
            commands: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().ok_or_else(broken)?),
        };
        let mut guard = Self {
            child,
            line: Mutex::new(line),
            folder,
        };
        let first = guard.line().read()?;
        if let Some(ready) = first.strip_prefix("ready ") {
            let ready = ready.to_owned();
            return Ok((guard, ready));
        }
        let mut said = first + "\n";
        guard.line().answers.read_to_string(&mut said)?;
        guard.child.wait()?;
        Err(GuardError::Refused(said))
    }

    /// Sends a command and waits for the line that answers it: what follows `ready `, or an error.
    pub(crate) fn ask(&self, command: &str) -> Result<String, GuardError> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(commands) = &mut line.commands {
            commands.write_all(format!("{command}\n").as_bytes())?;
        }
        let answer = line.read()?;
        match answer.strip_prefix("ready ") {
            Some(ready) => Ok(ready.to_owned()),
            None => Err(GuardError::Refused(answer)),
        }
    }

    /// Where the servers keep what they have.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn line(&mut self) -> &mut Line {
        self.line.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn read(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Closing the pipe is the signal; the wait makes the end of the servers visible.
        drop(self.line().commands.take());
        let _ = self.child.wait();
    }
}
