//! A program that ends with its test, however that ends.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Runs the program until standard input is closed, which the end of the test does, even by
/// `SIGKILL`; then ends it, and whatever it started in its process group.
const SCRIPT: &str =
    "\"$@\" </dev/null & pid=$!; cat >/dev/null; kill $pid; wait $pid; kill -KILL 0";

/// A running program.
#[derive(Debug)]
pub(crate) struct Guarded(Child);

impl Guarded {
    /// Starts `program`, which `cargo xtask prove` installs from Debian.
    pub(crate) fn start<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        // An ordinary user's PATH has no sbin on Debian.
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
        assert!(found, "{program} is missing: cargo xtask prove installs it");
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "guarded", program])
            .args(arguments)
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// The first line of its output that `wanted` takes something from.
    ///
    /// # Panics
    /// When the output ends before.
    pub(crate) fn told<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> T {
        let mut lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let told = lines
            .by_ref()
            .find_map(|line| wanted(&line.unwrap()))
            .expect("the program says that it is ready");
        // What it says later must not fill its pipe.
        #[expect(clippy::disallowed_methods, reason = "a test may have a thread")]
        std::thread::spawn(move || lines.for_each(drop));
        told
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
