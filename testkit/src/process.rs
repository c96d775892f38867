//! Ending and stopping processes, whoever they belong to.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::until;

/// Ends a process with `SIGKILL`: nothing of it runs any more. One that is gone already is left so.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Whether the process is there, as a zombie too.
#[must_use]
pub fn is_there(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Stops a process and all that descend from it, as a machine that hangs would, until the value is
/// dropped. On return none of them runs.
#[must_use = "they go on when the value is dropped"]
pub fn stop(pid: u32) -> Stopped {
    let mut stopped = Stopped { pids: Vec::new() };
    loop {
        // Again until nobody is new: what was not stopped yet may have started another.
        let fresh: Vec<u32> = family(pid)
            .into_iter()
            .filter(|pid| !stopped.pids.contains(pid))
            .collect();
        if fresh.is_empty() {
            return stopped;
        }
        for pid in fresh {
            signal(pid, Signal::STOP);
            stopped.pids.push(pid);
            until("the process to stop", || {
                state(pid).is_none_or(|state| "TtZX".contains(state))
            });
        }
    }
}

/// Processes that stand still.
#[derive(Debug)]
pub struct Stopped {
    pids: Vec<u32>,
}

impl Stopped {
    /// Lets them go on.
    pub fn go_on(self) {
        drop(self);
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.pids {
            signal(*pid, Signal::CONT);
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // That it is gone already is no problem of the caller's.
        let _gone = kill_process(pid, signal);
    }
}

/// What `/proc` says of a process after its name, which may hold anything.
fn stat(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.trim_start().to_owned())
}

fn state(pid: u32) -> Option<char> {
    stat(pid)?.chars().next()
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.split(' ').nth(1)?.parse().ok()
}

/// A process and all that descend from it, parents first.
fn family(pid: u32) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").into_iter().flatten();
    let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let all: Vec<(u32, u32)> = pids
        .filter_map(|pid: u32| Some((pid, parent(pid)?)))
        .collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(of) = family.get(next).copied() {
        family.extend(all.iter().filter(|(_, p)| *p == of).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}
