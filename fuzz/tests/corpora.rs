//! Every target over its committed corpus, and over what any target should bear.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sheen_fuzz::TARGETS;

fn names(folder: &str) -> BTreeSet<String> {
    fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
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

#[test]
fn corpora_pass() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let mut ran = 0;
        for entry in fs::read_dir(folder).expect("a corpus") {
            let file = entry.expect("an entry").path();
            eprintln!("{}", file.display());
            target(&fs::read(file).expect("an input"));
            ran += 1;
        }
        assert!(ran >= 3, "{name} has {ran} inputs");
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
