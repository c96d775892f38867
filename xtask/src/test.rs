//! `cargo xtask test`: everything that must pass, and nothing that needs a person.

use std::fs;

use crate::install::install;
use crate::run::{House, Outcome, Steps};

/// The fuzz targets are a workspace of their own; their bodies run over the corpora as tests.
const FUZZ: &str = "fuzz/Cargo.toml";

pub(crate) fn test(house: &House) -> Outcome {
    let mut steps = Steps::default();
    eprintln!("building in {}", house.target.display());
    install(house, &mut steps)?;
    take_over_target(house, &mut steps)?;
    style(house, &mut steps)?;
    clippy(house, &mut steps)?;
    // The tests start the examples, so these are built first, with the same features.
    steps.run(
        "build the examples",
        &mut house.cargo(&["build", "--workspace", "--examples", "--all-features"]),
    )?;
    steps.run(
        "tests",
        &mut house.cargo(&[
            "test",
            "--workspace",
            "--all-features",
            "--lib",
            "--bins",
            "--tests",
        ]),
    )?;
    steps.run(
        "doc tests",
        &mut house.cargo(&["test", "--workspace", "--all-features", "--doc"]),
    )?;
    steps.run(
        "fuzz corpora",
        &mut house.cargo(&["test", "--manifest-path", FUZZ]),
    )?;
    steps.run(
        "documentation",
        house
            .cargo(&["doc", "--workspace", "--no-deps", "--all-features"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    steps.summary();
    eprintln!("\nall passed");
    Ok(())
}

/// Cargo tells a crate of the workspace by its path within it and a change by its file's time, so
/// in a shared folder it takes another clone's newer build of an older file for this one's.
fn take_over_target(house: &House, steps: &mut Steps) -> Outcome {
    let mark = house.target.join("sheen-checkout");
    let here = house.root.as_os_str().as_encoded_bytes();
    if fs::read(&mark).is_ok_and(|last| last == here) {
        return Ok(());
    }
    if house.target.is_dir() {
        let clean = ["clean", "--workspace"];
        steps.run("forget another clone's crates", &mut house.cargo(&clean))?;
        let clean = ["clean", "--workspace", "--manifest-path", FUZZ];
        steps.run("forget another clone's fuzz", &mut house.cargo(&clean))?;
    }
    fs::create_dir_all(&house.target)
        .and_then(|()| fs::write(&mark, here))
        .map_err(|problem| format!("{}: {problem}", mark.display()))
}

fn style(house: &House, steps: &mut Steps) -> Outcome {
    steps.run("style", &mut house.cargo(&["fmt", "--all", "--check"]))?;
    steps.run(
        "style of fuzz",
        &mut house.cargo(&["fmt", "--manifest-path", FUZZ, "--check"]),
    )
}

fn clippy(house: &House, steps: &mut Steps) -> Outcome {
    const DENY: [&str; 3] = ["--", "-D", "warnings"];
    steps.run(
        "clippy, all features",
        house
            .cargo(&["clippy", "--workspace", "--all-targets", "--all-features"])
            .args(DENY),
    )?;
    // No test run has it, since it needs programs that are installed for it: see prove.rs.
    steps.run(
        "clippy of the proofs with other programs",
        house
            .cargo(&["clippy", "-p", "examples", "--test", "proofs"])
            .args(DENY),
    )?;
    // One crate at a time: together, what one crate switches on would be on for all of them.
    for library in house.libraries()? {
        steps.run(
            &format!("clippy, {library} with no features"),
            house
                .cargo(&["clippy", "-p", &library, "--no-default-features", "--lib"])
                .args(DENY),
        )?;
    }
    steps.run(
        "clippy of fuzz",
        house
            .cargo(&["clippy", "--manifest-path", FUZZ, "--all-targets"])
            .args(DENY),
    )
}
