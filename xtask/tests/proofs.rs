//! docs/proof.md names tests: each of them must be there.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("a workspace").to_owned()
}

fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != ".git" {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push_str(&fs::read_to_string(&path).expect("a text"));
        }
    }
}

/// What stands between backticks and is a test's name: words joined by underscores, the end of
/// which may be left out.
fn names(page: &str) -> Vec<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    let name = |text: &&str| {
        let letters = text.trim_end_matches(['…', '*']);
        letters.contains('_')
            && letters
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    quoted.filter(name).collect()
}

#[test]
fn every_test_that_the_page_of_proofs_names_is_there() {
    let page = fs::read_to_string(root().join("docs/proof.md")).expect("the page");
    let mut code = String::new();
    sources(&root(), &mut code);
    let named = names(&page);
    assert!(named.len() > 100, "{} names", named.len());
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| {
            let short = name.trim_end_matches(['…', '*']);
            let whole = short == *name;
            let called = |end: &str| code.contains(&format!("fn {short}{end}"));
            !(if whole {
                called("(") || called("<")
            } else {
                called("")
            })
        })
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}
