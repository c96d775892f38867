//! `cargo xtask prove`: the long proofs. Each is a set of ordinary tests, which `cargo xtask test`
//! runs in their smoke form of seconds; here `SHEEN_PROVE=full` gives them their full size.

use crate::fuzz;
use crate::install::{install, install_for};
use crate::run::{House, Outcome, Steps};

/// What `testkit::Proof` reads.
const SIZE_VARIABLE: &str = "SHEEN_PROVE";

/// One proof: what it shows, and the cargo commands that show it.
struct Proof {
    name: &'static str,
    about: &'static str,
    commands: &'static [&'static [&'static str]],
}

/// The tests of one module of `examples/tests/proofs`, which ordinary test runs leave out since
/// they need programs of their own.
macro_rules! proofs {
    ($module:literal) => {
        [
            "test",
            "--release",
            "-p",
            "examples",
            "--test",
            "proofs",
            concat!($module, "::"),
        ]
    };
}

/// In the order of the rooms.
const PROOFS: &[Proof] = &[
    Proof {
        name: "nginx",
        about: "nginx with buffering and gzip holds no event back",
        commands: &[WORKER, &proofs!("nginx")],
    },
    Proof {
        name: "browser",
        about: "an EventSource in Chromium comes back by itself and misses nothing",
        commands: &[WORKER, &proofs!("browser")],
    },
];

/// The program that the proofs of the examples start.
const WORKER: &[&str] = &[
    "build",
    "--release",
    "-p",
    "examples",
    "--example",
    "worker",
];

pub(crate) fn prove(house: &House, wanted: &[String]) -> Outcome {
    let (proofs, fuzzing) = select(wanted)?;
    let mut steps = Steps::default();
    eprintln!("building in {}", house.target.display());
    install(house, &mut steps)?;
    for proof in proofs {
        eprintln!("\n{}: {}", proof.name, proof.about);
        install_for(proof.name, &mut steps)?;
        for command in proof.commands {
            let name = format!("{}: cargo {}", proof.name, command.join(" "));
            steps.run(&name, house.cargo(command).env(SIZE_VARIABLE, "full"))?;
        }
    }
    if fuzzing {
        fuzz::fuzz(house, &mut steps)?;
    }
    steps.summary();
    eprintln!("\nall proved");
    Ok(())
}

/// What there is to prove, a line each.
pub(crate) fn list() -> String {
    let tests = PROOFS.iter().map(|proof| (proof.name, proof.about));
    tests
        .chain([(fuzz::NAME, fuzz::ABOUT)])
        .map(|(name, about)| format!("  {name:<14} {about}\n"))
        .collect()
}

/// The wanted proofs by tests, all when none is named, and whether fuzzing is wanted.
fn select(wanted: &[String]) -> Outcome<(Vec<&'static Proof>, bool)> {
    if wanted.is_empty() {
        return Ok((PROOFS.iter().collect(), true));
    }
    let (fuzzing, tests): (Vec<_>, Vec<_>) = wanted.iter().partition(|name| *name == fuzz::NAME);
    let proofs = tests.into_iter().map(|name| {
        let proof = PROOFS.iter().find(|proof| proof.name == name);
        proof.ok_or_else(|| format!("no proof is called {name}; there are\n{}", list()))
    });
    Ok((proofs.collect::<Outcome<_>>()?, !fuzzing.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_proof_is_told_with_those_there_are() {
        let said = select(&["nonesuch".to_owned()]).err().unwrap();
        assert!(said.contains("nonesuch"));
        assert!(PROOFS.iter().all(|proof| said.contains(proof.name)));
        for (name, _) in crate::install::BESIDE {
            assert!(PROOFS.iter().any(|proof| proof.name == *name), "{name}");
        }
        assert_eq!(select(&[]).unwrap().0.len(), PROOFS.len());
        let (tests, fuzzing) = select(&[fuzz::NAME.to_owned()]).unwrap();
        assert!(tests.is_empty() && fuzzing);
    }
}
