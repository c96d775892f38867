//! A build command: run in a folder, its output passed on line by line, stopped with everything it
//! started.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use sheen_core::runtime::Sleep;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::Child;

/// Hears what a build says as it works.
#[async_trait]
pub trait Progress: Send + Sync {
    /// One line, without its end, of at most [`MAX_LINE`] bytes. Until this returns, at most a
    /// pipe's worth of output waits: a command that talks faster than it is heard is held up.
    async fn line(&self, line: &str);

    /// The work is done and is about to be published.
    async fn publishing(&self);
}

/// The longest line passed on, in bytes; a longer one is cut and says so.
pub const MAX_LINE: usize = 4096;
/// The most lines passed on; after them one line says that the rest is dropped.
pub const MAX_LINES: usize = 2000;
/// How long a cancelled command has between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_secs(2);
/// A process that left the group may hold the pipe open for ever: once the group is gone, the
/// output is taken to have ended after this long without a byte, or after a pipe's worth of them.
const DRAIN: Duration = Duration::from_millis(500);
/// The most a pipe holds (`/proc/sys/fs/pipe-max-size`).
const MAX_PIPE: usize = 1 << 20;

/// The only variables a build command gets: the worker's own hold its secrets.
pub const PASSED_ON: [&str; 3] = ["PATH", "HOME", "LANG"];

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It could not be started or watched.
    #[error("the build command could not be run")]
    Io(#[from] io::Error),
    /// It ended with another code than 0, or by a signal.
    #[error("the build command ended with {0}")]
    Failed(ExitStatus),
    /// It was stopped because the build was cancelled.
    #[error("the build command was stopped")]
    Cancelled,
}

/// Runs `sh -c command` in `folder` until it ends or `cancelled` does.
///
/// It is a process group of its own, without input, with [`PASSED_ON`] of `environment` alone.
/// Output and errors share one pipe, so their lines keep their order. When this returns, or is
/// dropped, every process of the group has been killed.
///
/// # Errors
/// When it cannot be started, ends badly, or was cancelled.
pub async fn run(
    command: &str,
    folder: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    progress: &dyn Progress,
    sleep: &Arc<dyn Sleep>,
    cancelled: impl Future<Output = ()>,
) -> Result<(), CommandError> {
    let (reader, mut child) = start(command, folder, environment)?;
    let mut group = Group::of(&child)?;
    let mut cancelled = pin!(cancelled);
    let mut lines = Lines::new(pipe::Receiver::from_owned_fd(reader)?);

    let ended = tokio::select! {
        ended = talk(&mut child, &mut lines, progress) => Some(ended),
        () = &mut cancelled => None,
    };
    let Some(ended) = ended else {
        return stop(&mut group, &mut child, &mut lines, sleep).await;
    };
    // What the command left in the background ends with it.
    group.kill();
    let status = ended?;
    tokio::select! {
        drained = lines.drain(progress, sleep) => drained?,
        () = &mut cancelled => return Err(CommandError::Cancelled),
    }
    if status.success() {
        Ok(())
    } else {
        Err(CommandError::Failed(status))
    }
}

fn start(
    command: &str,
    folder: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> io::Result<(OwnedFd, Child)> {
    let (reader, writer) = io::pipe()?;
    let passed_on = environment
        .into_iter()
        .filter(|(name, _)| PASSED_ON.iter().any(|known| name == known));
    let child = tokio::process::Command::new("sh")
        .arg("-c")
        .arg(command)
        .current_dir(folder)
        .env_clear()
        .envs(passed_on)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok((reader.into(), child))
}

/// Passes lines on until the command itself has ended, whoever else still holds the pipe.
async fn talk(
    child: &mut Child,
    lines: &mut Lines,
    progress: &dyn Progress,
) -> io::Result<ExitStatus> {
    let mut output_ended = false;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            more = lines.fill(), if !output_ended => {
                output_ended = !more?;
                lines.flush(progress).await;
            }
        }
    }
}

async fn stop(
    group: &mut Group,
    child: &mut Child,
    lines: &mut Lines,
    sleep: &Arc<dyn Sleep>,
) -> Result<(), CommandError> {
    group.signal(Signal::TERM);
    let gone = async {
        // It may need its pipe emptied to end.
        let mut open = true;
        loop {
            tokio::select! {
                ended = child.wait() => return ended,
                more = lines.fill(), if open => {
                    open = more.unwrap_or(false);
                    lines.forget();
                }
            }
        }
    };
    tokio::select! {
        _ended = gone => {}
        () = sleep.sleep(GRACE) => {}
    }
    group.kill();
    child.wait().await?;
    Err(CommandError::Cancelled)
}

/// A process group, killed when dropped.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> io::Result<Self> {
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        match leader {
            Some(leader) => Ok(Self(Some(leader))),
            None => Err(io::Error::other("the command has no process id")),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // ESRCH: every process of it is gone, which is what was wanted.
            let _gone = kill_process_group(group, signal);
        }
    }

    /// Kills what is left, once: later the number may be another group's.
    fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Cuts a pipe's bytes into lines.
#[derive(Debug)]
struct Lines {
    pipe: pipe::Receiver,
    chunk: Vec<u8>,
    line: Vec<u8>,
    cut: bool,
    passed_on: usize,
}

impl Lines {
    fn new(pipe: pipe::Receiver) -> Self {
        Self {
            pipe,
            chunk: Vec::with_capacity(8192),
            line: Vec::new(),
            cut: false,
            passed_on: 0,
        }
    }

    /// Reads what there is; `false` at the end. Cancel-safe: bytes read are kept in `chunk`.
    async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.pipe.read_buf(&mut self.chunk).await? > 0)
    }

    fn forget(&mut self) {
        self.chunk.clear();
    }

    /// Passes on the whole lines read so far.
    async fn flush(&mut self, progress: &dyn Progress) {
        let chunk = std::mem::take(&mut self.chunk);
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let room = MAX_LINE.saturating_sub(self.line.len());
            self.cut |= text.len() > room;
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.end_line(progress).await;
            }
        }
        self.chunk = chunk;
        self.chunk.clear();
    }

    async fn end_line(&mut self, progress: &dyn Progress) {
        let line = std::mem::take(&mut self.line);
        let cut = std::mem::take(&mut self.cut);
        self.passed_on = self.passed_on.saturating_add(1);
        if self.passed_on <= MAX_LINES {
            progress.line(&printable(&line, cut)).await;
        } else if self.passed_on == MAX_LINES + 1 {
            progress
                .line(&format!(
                    "… more than {MAX_LINES} lines, the rest is dropped"
                ))
                .await;
        }
    }

    /// Passes on what is still in the pipe once the command's group is gone.
    async fn drain(&mut self, progress: &dyn Progress, sleep: &Arc<dyn Sleep>) -> io::Result<()> {
        let mut left = MAX_PIPE;
        loop {
            left = left.saturating_sub(self.chunk.len());
            self.flush(progress).await;
            let more = tokio::select! {
                more = self.fill() => more?,
                () = sleep.sleep(DRAIN) => false,
            };
            if !more || left == 0 {
                break;
            }
        }
        if !self.line.is_empty() {
            self.end_line(progress).await;
        }
        Ok(())
    }
}

/// A line as text: what is not UTF-8 or is a control character (a terminal would obey it) is
/// replaced, and the whole stays within [`MAX_LINE`] bytes.
fn printable(line: &[u8], cut: bool) -> String {
    const CUT: &str = "… (cut)";
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text: String = String::from_utf8_lossy(line)
        .chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    if !cut && text.len() <= MAX_LINE {
        return text;
    }
    let mut text = text;
    text.truncate(text.floor_char_boundary(MAX_LINE - CUT.len()));
    text + CUT
}

#[cfg(test)]
mod tests;
