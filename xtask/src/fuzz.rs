//! The proof by fuzzing: each target of `fuzz/` for ten minutes, on nightly with sanitizers where
//! there is a nightly, else on stable without.
//!
//! What breaks a target ends the proof and stays in `fuzz/artifacts`; it goes into the corpus with
//! its fix. Inputs that merely reach further are kept apart, in the target folder.

use std::fs;
use std::process::{Command, Stdio};

use crate::install::answers;
use crate::run::{House, Outcome, Steps};

/// As its name stands on the command line.
pub(crate) const NAME: &str = "fuzz";
pub(crate) const ABOUT: &str = "each fuzz target for ten minutes, or SHEEN_FUZZ_SECONDS";
const SECONDS_VARIABLE: &str = "SHEEN_FUZZ_SECONDS";
const SECONDS: u32 = 600;

pub(crate) fn fuzz(house: &House, steps: &mut Steps) -> Outcome {
    let seconds = match std::env::var(SECONDS_VARIABLE) {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("{SECONDS_VARIABLE} is not a number of seconds: {text}"))?,
        Err(_) => SECONDS,
    };
    let targets = targets(house)?;
    if !answers(cargo(house, "stable").args(["fuzz", "--version"])) {
        let mut install = cargo(house, "stable");
        steps.run(
            "install cargo-fuzz",
            install.args(["install", "cargo-fuzz"]),
        )?;
    }
    let (toolchain, sanitizer): (_, &[&str]) = if answers(cargo(house, "nightly").arg("--version"))
    {
        ("nightly", &[])
    } else {
        ("stable", &["-s", "none"])
    };
    for target in targets {
        let found = house.target.join("fuzz-found").join(&target);
        fs::create_dir_all(&found).map_err(|e| format!("{}: {e}", found.display()))?;
        let mut run = cargo(house, toolchain);
        run.args(["fuzz", "run"]).args(sanitizer).arg(&target);
        run.arg(&found)
            .arg(house.root.join("fuzz/corpus").join(&target));
        // Bounded in time and memory; a single input that takes 10 s is a finding.
        run.args([
            "--",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ]);
        run.arg(format!("-max_total_time={seconds}"));
        steps.run(&format!("fuzz {target}"), &mut run)?;
    }
    Ok(())
}

/// The names of the targets' programs.
fn targets(house: &House) -> Outcome<Vec<String>> {
    let folder = house.root.join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut names: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|e| e == "rs"))
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// rustup's cargo, on a toolchain by name; this program's own was chosen by its caller.
fn cargo(house: &House, toolchain: &str) -> Command {
    let mut command = Command::new("cargo");
    command
        .arg(format!("+{toolchain}"))
        .current_dir(house.root.join("fuzz"))
        .env("CARGO_TARGET_DIR", house.target.join("fuzzing"))
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .stdin(Stdio::null());
    command
}
