//! Where the house stands, and running its steps one after the other.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a task says when it cannot go on.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The workspace, and the one folder that all builds share.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

impl House {
    /// The house this process was started from. `CARGO_MANIFEST_DIR` is read when running, not
    /// when compiling: clones that share a target folder share this program.
    pub(crate) fn find() -> Outcome<Self> {
        let start = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(env::current_dir, |folder| Ok(PathBuf::from(folder)))
            .map_err(|problem| format!("no current folder: {problem}"))?;
        let root = start
            .ancestors()
            .find(|folder| folder.join("xtask/Cargo.toml").is_file())
            .ok_or_else(|| format!("{} is in no sheen workspace", start.display()))?
            .to_owned();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
            || {
                let home = env::var_os("HOME").map_or_else(env::temp_dir, PathBuf::from);
                home.join(".cache/sheen/target")
            },
            // A relative one is cargo's, from where cargo was called: the root, as we call it.
            |folder| root.join(folder),
        );
        Ok(Self { root, target })
    }

    /// The cargo that runs this program, in the root, on the shared target folder.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command
            .args(arguments)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .stdin(Stdio::null());
        command
    }

    /// The workspace's library crates: the folders whose names begin with `sheen`.
    pub(crate) fn libraries(&self) -> Outcome<Vec<String>> {
        let folders = std::fs::read_dir(&self.root)
            .map_err(|problem| format!("{}: {problem}", self.root.display()))?;
        let mut names: Vec<_> = folders
            .filter_map(Result::ok)
            .filter(|folder| folder.path().join("Cargo.toml").is_file())
            .filter_map(|folder| folder.file_name().into_string().ok())
            .filter(|name| name.starts_with("sheen"))
            .collect();
        names.sort();
        Ok(names)
    }
}

/// Runs steps, each with its name before it and its time after it.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Runs one step; an error ends the task.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) -> Outcome {
        eprintln!("\n== {name}");
        let started = now();
        let status = command
            .status()
            .map_err(|problem| format!("{name}: {}: {problem}", line(command)))?;
        let took = started.elapsed();
        self.done.push((name.to_owned(), took));
        if status.success() {
            eprintln!("== {name}: {:.1} s", took.as_secs_f64());
            return Ok(());
        }
        self.summary();
        Err(format!("{name} failed ({status}): {}", line(command)))
    }

    /// Says again what ran and how long it took.
    pub(crate) fn summary(&self) {
        eprintln!();
        for (name, took) in &self.done {
            eprintln!("{:>7.1} s  {name}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took)| took).sum();
        eprintln!("{:>7.1} s  in all", total.as_secs_f64());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a step took is told to a person and decides nothing"
)]
fn now() -> Instant {
    Instant::now()
}

/// A command as one would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
