//! Processes that hold servers and end, in every way and under every user.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use testkit::{is_there, kill, until};

const HOLDER: &str = env!("CARGO_BIN_EXE_testkit");
const KINDS: [&str; 3] = ["postgres", "redis", "cluster"];

/// A process that holds servers of its own.
struct Holder {
    process: Child,
    pids: Vec<u32>,
    folder: PathBuf,
}

impl Holder {
    fn start(mut command: Command, kind: &str) -> Self {
        let mut process = command
            .arg(kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut line = || lines.next().unwrap().unwrap();
        let addresses = line();
        assert!(addresses.contains("://"), "{addresses}");
        let pids: Vec<_> = line().split(' ').map(|pid| pid.parse().unwrap()).collect();
        let folder = PathBuf::from(line());
        assert!(pids.iter().all(|pid| is_there(*pid)) && folder.exists());
        Self {
            process,
            pids,
            folder,
        }
    }

    fn leaves_nothing(&self) {
        until("the servers' end", || {
            !self.pids.iter().any(|pid| is_there(*pid))
        });
        until("the folder's end", || !self.folder.exists());
    }
}

/// `kill -9`: nothing of the holder runs any more.
#[test]
fn a_killed_process_leaves_no_server_and_no_folder() {
    for kind in KINDS {
        let mut holder = Holder::start(Command::new(HOLDER), kind);
        kill(holder.process.id());
        assert!(!holder.process.wait().unwrap().success());
        holder.leaves_nothing();
    }
}

#[test]
fn a_process_that_returns_leaves_no_server_and_no_folder() {
    for kind in KINDS {
        let mut holder = Holder::start(Command::new(HOLDER), kind);
        drop(holder.process.stdin.take());
        assert!(holder.process.wait().unwrap().success());
        holder.leaves_nothing();
    }
}

/// Under root, as the tests may run, the servers' own user is another; here there is but one.
#[test]
fn an_ordinary_user_holds_servers_too() {
    // The user may not look into the folder this was built in.
    let folder = tempfile::tempdir().unwrap();
    let all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), all).unwrap();
    let program = folder.path().join("testkit");
    std::fs::copy(HOLDER, &program).unwrap();
    for kind in KINDS {
        let mut holder = Holder::start(as_a_user(&program), kind);
        for pid in &holder.pids {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let user = status.lines().find(|line| line.starts_with("Uid:"));
            assert!(user.is_some_and(|line| !line.starts_with("Uid:\t0")));
        }
        kill(holder.process.id());
        holder.process.wait().unwrap();
        holder.leaves_nothing();
    }
}

/// The program as `nobody`, whose id is the same on every Linux, or as who runs this.
fn as_a_user(program: &Path) -> Command {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    if !status.contains("\nUid:\t0\t") {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(program)
        .env("TMPDIR", "/tmp")
        .current_dir("/");
    command
}
