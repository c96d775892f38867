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

/// In the order of the rooms.
const PROOFS: &[Proof] = &[
    Proof {
        name: "builds",
        about: "over a million builds and deliveries no step of builds reads a whole table, \
                however it is planned",
        commands: &[&[
            "test",
            "--release",
            "-p",
            "sheen-core",
            "--all-features",
            "--test",
            "postgres",
            "--",
            "plans::s3_",
        ]],
    },
    Proof {
        name: "keys",
        about: "over ten million idempotency keys no step reads the whole table, however it is \
                planned",
        commands: &[&[
            "test",
            "--release",
            "-p",
            "sheen-core",
            "--all-features",
            "--test",
            "postgres",
            "--",
            "idempotency::plans::s3_",
        ]],
    },
    Proof {
        name: "cluster",
        about: "idempotency records keep their contract on a Redis Cluster of three masters",
        commands: &[&[
            "test",
            "--release",
            "-p",
            "sheen-core",
            "--all-features",
            "--test",
            "redis",
            "--",
            "cluster::",
        ]],
    },
    Proof {
        name: "processes",
        about: "twenty times 600 starts of three processes are one build, and a killed process \
                or database takes nothing with it that was acknowledged",
        commands: &[
            &[
                "build",
                "--release",
                "-p",
                "examples",
                "--example",
                "multi_process",
            ],
            &[
                "test",
                "--release",
                "-p",
                "examples",
                "--test",
                "it",
                "--",
                "multi_process::",
            ],
        ],
    },
    Proof {
        name: "workers",
        about: "ten times 200 starts over HTTP at three workers are one build for a project and \
                for a key, a worker killed mid-build loses that build alone, and killed workers and \
                databases under load take nothing with them that was acknowledged; and the line to \
                the database cut at every message of every step across rooms",
        commands: &[
            &[
                "build",
                "--release",
                "-p",
                "examples",
                "--example",
                "worker",
            ],
            &[
                "test",
                "--release",
                "-p",
                "examples",
                "--test",
                "it",
                "--",
                "workers::",
            ],
            &[
                "test",
                "--release",
                "-p",
                "sheen",
                "--all-features",
                "--test",
                "postgres",
                "--",
                "cuts::",
            ],
        ],
    },
    Proof {
        name: "doors",
        about: "a million forged calls spend nothing, ten million keys cost no more memory, and no \
                clock lets a call in twice, on each replay store",
        commands: &[
            &[
                "test",
                "--release",
                "-p",
                "sheen-auth",
                "--all-features",
                "--lib",
                "--",
                "n01_",
                "l06_",
            ],
            &[
                "test",
                "--release",
                "-p",
                "sheen-auth",
                "--all-features",
                "--test",
                "it",
                "n03_",
            ],
        ],
    },
    Proof {
        name: "credits",
        about: "two minutes of killed sessions and lost answers lose no second, a hundred thousand \
                random operations equal those in memory, singly and in batches, and a million splits \
                sum up",
        commands: &[
            &[
                "test",
                "--release",
                "-p",
                "sheen-billing",
                "--test",
                "postgres",
                "fire::",
            ],
            &[
                "test",
                "--release",
                "-p",
                "sheen-billing",
                "--test",
                "postgres",
                "model::",
            ],
            &[
                "test",
                "--release",
                "-p",
                "sheen-billing",
                "--lib",
                "m2_parts_sum",
            ],
        ],
    },
    Proof {
        name: "events",
        about: "a hundred thousand schedules of lost wake-ups, cut lines and restarts leave no reader \
                without a seq, five hundred over PostgreSQL neither, and retention that is cut at \
                any message counts each event once",
        commands: &[
            &[
                "test",
                "--release",
                "-p",
                "sheen-events",
                "--all-features",
                "--test",
                "model",
            ],
            &[
                "test",
                "--release",
                "-p",
                "sheen-events",
                "--all-features",
                "--test",
                "postgres",
                "--",
                "retention::g01_",
            ],
        ],
    },
    Proof {
        name: "timing",
        about: "no refusal's time tells where a signature is wrong or which key ids exist (dudect)",
        commands: &[&[
            "run",
            "--release",
            "--manifest-path",
            "benches/peers/Cargo.toml",
            "--bin",
            "timing",
        ]],
    },
    Proof {
        name: "storm",
        about: "2,000 viewers whose server is killed and started again twice in the middle of \
                20,000 events end with each event once, and cost the store no more than a few",
        commands: &[&[
            "test",
            "--release",
            "-p",
            "sheen-events",
            "--all-features",
            "--test",
            "postgres",
            "--",
            "storm::",
        ]],
    },
    Proof {
        name: "pollers",
        about: "500 people who poll builds of 30 s on five workers and one PostgreSQL see each event \
                and poll at most five times a minute; how long answers take is told",
        commands: &[
            &[
                "build",
                "--release",
                "-p",
                "examples",
                "--example",
                "worker",
            ],
            &[
                "test",
                "--release",
                "-p",
                "examples",
                "--test",
                "it",
                "pollers::",
                "--",
                "--nocapture",
            ],
        ],
    },
    Proof {
        name: "nginx",
        about: "nginx with buffering and gzip on holds no event of a stream back",
        commands: &[
            &[
                "build",
                "--release",
                "-p",
                "examples",
                "--example",
                "worker",
            ],
            &[
                "test",
                "--release",
                "-p",
                "examples",
                "--test",
                "proofs",
                "nginx::",
            ],
        ],
    },
    Proof {
        name: "browser",
        about: "an EventSource in Chromium that is cut off comes back by itself and misses nothing",
        commands: &[
            &[
                "build",
                "--release",
                "-p",
                "examples",
                "--example",
                "worker",
            ],
            &[
                "test",
                "--release",
                "-p",
                "examples",
                "--test",
                "proofs",
                "browser::",
            ],
        ],
    },
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
