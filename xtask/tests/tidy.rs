//! Style that neither rustfmt nor clippy holds.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const MOST_LINES: usize = 500;
/// Spelt in halves, so that this file may hold them.
const STUBS: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("#[ig", "nore"),
];

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Every Rust file of the house with its text.
fn sources() -> std::io::Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    walk(Path::new(ROOT), &mut files)?;
    let rust = files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|e| e == "rs"));
    rust.map(|file| fs::read_to_string(&file).map(|text| (file, text)))
        .collect()
}

#[test]
fn files_are_short() -> std::io::Result<()> {
    let sources = sources()?;
    assert!(sources.len() > 30, "the walk finds the house");
    for (file, text) in sources {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", file.display());
    }
    Ok(())
}

#[test]
fn nothing_is_a_stub_and_no_test_is_skipped() -> std::io::Result<()> {
    for (file, text) in sources()? {
        for stub in STUBS {
            assert!(!text.contains(stub), "{} holds {stub}", file.display());
        }
    }
    Ok(())
}

#[test]
fn slices_and_crates_begin_by_saying_what_they_are() -> std::io::Result<()> {
    for (file, text) in sources()? {
        let name = file.file_name().unwrap_or_default();
        let speaks_for_more = ["mod.rs", "lib.rs", "main.rs"].iter().any(|n| name == *n);
        if speaks_for_more && file.components().any(|part| part.as_os_str() == "src") {
            assert!(
                text.starts_with("//!"),
                "{} begins without //!",
                file.display()
            );
        }
    }
    Ok(())
}

#[test]
fn every_member_takes_the_shared_lints() -> std::io::Result<()> {
    let mut members = 0;
    for entry in fs::read_dir(ROOT)? {
        let manifest = entry?.path().join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&manifest) else {
            continue;
        };
        // A workspace of its own cannot inherit them.
        if text.contains("\n[workspace]") || text.starts_with("[workspace]") {
            continue;
        }
        members += 1;
        let inherits = text.contains("[lints]\nworkspace = true");
        assert!(inherits, "{} has lints of its own", manifest.display());
    }
    assert!(members >= 10, "{members}");
    Ok(())
}
