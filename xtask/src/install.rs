//! What must be on the machine beside Rust, and getting it there.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{House, Outcome, Steps};

/// Makes sure that the toolchain has its components and the machine its servers.
pub(crate) fn install(house: &House, steps: &mut Steps) -> Outcome {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !answers(&mut house.cargo(&[subcommand, "--version"])) {
            return Err(format!(
                "cargo {subcommand} is missing: rustup component add {component}"
            ));
        }
    }
    let missing: Vec<_> = [
        ("postgresql", has_postgresql()),
        ("redis-server", in_path("redis-server").is_some()),
    ]
    .into_iter()
    .filter_map(|(package, there)| (!there).then_some(package))
    .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install_packages(&missing, steps)
}

/// What single proofs need beside that: programs, and the packages that hold them.
pub(crate) const BESIDE: &[(&str, &[(&str, &str)])] = &[
    ("nginx", &[("nginx", "nginx")]),
    (
        "browser",
        &[
            ("chromium", "chromium"),
            ("chromedriver", "chromium-driver"),
        ],
    ),
];

/// Makes sure that the machine has what the proof called `proof` needs.
pub(crate) fn install_for(proof: &str, steps: &mut Steps) -> Outcome {
    let missing: Vec<_> = BESIDE
        .iter()
        .filter(|(name, _)| *name == proof)
        .flat_map(|(_, programs)| *programs)
        .filter(|(program, _)| in_path(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install_packages(&missing, steps)
}

fn install_packages(packages: &[&str], steps: &mut Steps) -> Outcome {
    let by_hand = format!("apt-get install -y {}", packages.join(" "));
    if in_path("apt-get").is_none() {
        return Err(format!(
            "{} not found, and no apt-get to install with; on Debian: {by_hand}",
            packages.join(" and ")
        ));
    }
    let root = is_root();
    if !root && in_path("sudo").is_none() {
        return Err(format!(
            "{} not found; this needs root or sudo: {by_hand}",
            packages.join(" and ")
        ));
    }
    eprintln!("installing {} from Debian", packages.join(" and "));
    steps.run("apt-get update", apt_get(root).arg("update"))?;
    steps.run(
        &by_hand,
        apt_get(root)
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages),
    )
}

/// `apt-get` that asks nothing; the environment goes through `env`, since sudo drops its own.
fn apt_get(root: bool) -> Command {
    let mut command = if root {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        // Without a terminal a password cannot be asked for: fail at once, and say so.
        if env::var_os("CI").is_some() {
            sudo.arg("-n");
        }
        sudo.arg("env");
        sudo
    };
    command.args([
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-q",
        // Another installation may run on a machine that has just started.
        "-o",
        "DPkg::Lock::Timeout=120",
    ]);
    command.stdin(Stdio::null());
    command
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

pub(crate) fn answers(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Debian keeps the server's programs out of `PATH`, in a folder per major version.
fn has_postgresql() -> bool {
    in_path("initdb").is_some()
        || std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|versions| {
            versions
                .filter_map(Result::ok)
                .any(|version| version.path().join("bin/initdb").is_file())
        })
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // An ordinary user's PATH has no sbin on Debian.
    env::split_paths(&path)
        .chain([Path::new("/usr/sbin").to_owned(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
