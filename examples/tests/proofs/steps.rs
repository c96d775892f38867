//! A build that says what it is told to say, when it is told.

use std::fs::File;
use std::io::Write as _;
use std::process::Command;

/// The other end of a build command's input.
#[derive(Debug)]
pub(crate) struct Steps {
    folder: tempfile::TempDir,
    pipe: Option<File>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps");
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        // Open for both, it waits for no reader, and keeps what is said until there is one.
        let pipe = File::options().read(true).write(true).open(path).unwrap();
        Self {
            folder,
            pipe: Some(pipe),
        }
    }

    /// The `SHEEN_BUILD_COMMAND` that says each line and ends with the last.
    pub(crate) fn command(&self) -> String {
        let pipe = self.folder.path().join("steps");
        format!(
            "while read -r line; do echo \"$line\"; done <'{}'",
            pipe.display()
        )
    }

    /// Has the build say a line.
    pub(crate) fn say(&self, line: &str) {
        writeln!(self.pipe.as_ref().unwrap(), "{line}").unwrap();
    }

    /// Has the build end well. Everything that was said must have been seen.
    pub(crate) fn end(&mut self) {
        self.pipe = None;
    }
}
