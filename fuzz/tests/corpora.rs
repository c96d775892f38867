//! Every target over its committed corpus, and over what any target should bear.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use sheen_fuzz::TARGETS;

/// Read when running: clones that share a target folder share this program.
fn here() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .expect("cargo runs this")
        .into()
}

fn names(folder: &str) -> BTreeSet<String> {
    fs::read_dir(here().join(folder))
        .expect("the folder is committed")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let stem = path.file_stem().expect("a name");
            stem.to_str().expect("a plain name").to_owned()
        })
        .collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = here().join("corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("a corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let read = |file: &PathBuf| fs::read(file).expect("an input");
    files.iter().map(read).collect()
}

#[test]
fn corpora_pass() {
    for (name, target) in TARGETS {
        let inputs = inputs(name);
        assert!(inputs.len() >= 3, "{name} has {} inputs", inputs.len());
        for input in inputs {
            eprintln!("{name}: {:?}", String::from_utf8_lossy(&input));
            target(&input);
        }
    }
}

#[test]
fn odd_bytes_are_borne_by_all() {
    let long = [b'a'; 70_000];
    let inputs: [&[u8]; 7] = [
        b"",
        b"\0",
        b"\xff\xfe",
        b"\n\n",
        "\u{feff}é\u{301}".as_bytes(),
        b"\"\\",
        &long,
    ];
    for (name, target) in TARGETS {
        for input in inputs {
            eprintln!("{name}: {} bytes", input.len());
            target(input);
        }
    }
}

/// A short walk of what libFuzzer does for hours: the same inputs cut, doubled and with bytes
/// changed, the same ones in every run.
#[test]
fn corpora_pass_with_bytes_changed() {
    let rounds = std::env::var("SHEEN_FUZZ_ROUNDS").map_or(50, |n| n.parse().expect("a number"));
    let mut random = fastrand::Rng::with_seed(7);
    for (name, target) in TARGETS {
        for mut input in inputs(name) {
            for _ in 0..rounds {
                mutate(&mut input, &mut random);
                let shown = String::from_utf8_lossy(&input).into_owned();
                let outcome = std::panic::catch_unwind(|| target(&input));
                assert!(outcome.is_ok(), "{name} breaks on {shown:?} {input:?}");
            }
        }
    }
}

fn mutate(input: &mut Vec<u8>, random: &mut fastrand::Rng) {
    /// Bytes that mean something to one of the formats.
    const TELLING: &[u8] = b"\0\n\r\"\\%&=+?/.:-_ {}09aZ\x7f\xc3\xff";
    let at = random.usize(..=input.len());
    match random.u8(..5) {
        0 => input.truncate(at.max(1)),
        1 if input.len() < 4096 => input.extend_from_within(at..),
        2 => input.insert(at, TELLING[random.usize(..TELLING.len())]),
        3 if at < input.len() => input[at] = TELLING[random.usize(..TELLING.len())],
        _ if at < input.len() => input[at] ^= 1 << random.u8(..8),
        _ => {}
    }
}
