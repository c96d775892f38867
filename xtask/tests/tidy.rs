//! Style that neither rustfmt nor clippy holds.

use std::fs;
use std::path::{Path, PathBuf};

const MOST_LINES: usize = 500;
/// Spelt in halves, so that this file may hold them.
const STUBS: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("#[ig", "nore"),
];

/// Read when running: clones that share a target folder share this program.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    Path::new(&here).join("..")
}

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
    walk(&root(), &mut files)?;
    let rust = files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|e| e == "rs"));
    rust.map(|file| fs::read_to_string(&file).map(|text| (file, text)))
        .collect()
}

/// What `wrong` says of each source, the good ones left out.
fn complaints(
    wrong: impl Fn(&Path, &str) -> Option<String>,
) -> std::io::Result<Vec<(PathBuf, String)>> {
    let sources = sources()?;
    assert!(sources.len() > 30, "the walk finds the house");
    let found = sources.into_iter().filter_map(|(file, text)| {
        let complaint = wrong(&file, &text)?;
        Some((file, complaint))
    });
    Ok(found.collect())
}

#[test]
fn files_are_short() -> std::io::Result<()> {
    let long = complaints(|_, text| {
        let lines = text.lines().count();
        (lines > MOST_LINES).then(|| format!("{lines} lines"))
    })?;
    assert!(long.is_empty(), "{long:#?}");
    Ok(())
}

#[test]
fn nothing_is_a_stub_and_no_test_is_skipped() -> std::io::Result<()> {
    let stubs = complaints(|_, text| {
        let stub = STUBS.iter().find(|stub| text.contains(**stub));
        stub.map(|stub| (*stub).to_owned())
    })?;
    assert!(stubs.is_empty(), "{stubs:#?}");
    Ok(())
}

#[test]
fn slices_and_crates_begin_by_saying_what_they_are() -> std::io::Result<()> {
    let silent = complaints(|file, text| {
        let name = file.file_name().unwrap_or_default();
        let stands_for_more = ["mod.rs", "lib.rs", "main.rs"].iter().any(|n| name == *n)
            && file.components().any(|part| part.as_os_str() == "src");
        let says = ["//!", "#![doc = include_str!("]
            .iter()
            .any(|start| text.starts_with(start));
        (stands_for_more && !says).then(|| "does not say what it is".to_owned())
    })?;
    assert!(silent.is_empty(), "{silent:#?}");
    Ok(())
}

#[test]
fn every_member_takes_the_shared_lints() -> std::io::Result<()> {
    let mut members = 0;
    for entry in fs::read_dir(root())? {
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
