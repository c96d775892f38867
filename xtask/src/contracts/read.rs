//! Suites, clauses and runs, read from the sources.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::Outcome;

/// A conformance macro and what belongs to it.
#[derive(Debug)]
pub(super) struct Suite {
    /// The macro's name without `_conformance`.
    pub(super) name: String,
    pub(super) clauses: Vec<Clause>,
    /// In the macro's order.
    pub(super) tests: Vec<String>,
    pub(super) runs: Vec<Run>,
}

/// One numbered clause of a trait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clause {
    /// `C1`.
    pub(super) id: String,
    pub(super) of: String,
    pub(super) text: String,
}

/// A place where a macro is expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) store: &'static str,
    pub(super) file: String,
    /// The modules it stands in, if any.
    pub(super) modules: String,
}

struct Source {
    path: String,
    text: String,
}

const MACRO: &str = "macro_rules! ";
const SUFFIX: &str = "_conformance";

/// Every suite of the house, in the order of the files.
pub(super) fn suites(root: &Path) -> Outcome<Vec<Suite>> {
    let sources = sources(root)?;
    let mut suites = Vec::new();
    for source in &sources {
        let Some((name, tests)) = listed(&source.text) else {
            continue;
        };
        let slice = Path::new(&source.path).ancestors().find(|above| {
            let store = above.join("store.rs");
            sources
                .iter()
                .any(|source| Path::new(&source.path) == store)
        });
        let slice = slice.ok_or_else(|| format!("{}: no store.rs beside it", source.path))?;
        let store = sources
            .iter()
            .find(|source| Path::new(&source.path) == slice.join("store.rs"));
        let clauses = store.map(|store| clauses(&store.text)).unwrap_or_default();
        let call = format!("{name}{SUFFIX}!(");
        let runs = sources.iter().flat_map(|source| runs(source, &call));
        suites.push(Suite {
            runs: runs.collect(),
            name,
            clauses,
            tests,
        });
    }
    Ok(suites)
}

/// The Rust files of the libraries and the examples, by path.
fn sources(root: &Path) -> Outcome<Vec<Source>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = entries(root)?
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.is_dir() && (name.starts_with("sheen") || name == "examples")
        })
        .collect();
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path);
        let text = text.map_err(|problem| format!("{}: {problem}", path.display()))?;
        let path = path.strip_prefix(root).unwrap_or(&path);
        let path = path.to_string_lossy().into_owned();
        Ok(Source { path, text })
    };
    files.into_iter().map(read).collect()
}

fn entries(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(|entries| {
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<Result<Vec<_>, _>>()
    });
    entries.map_err(|problem| format!("{}: {problem}", folder.display()))
}

/// A conformance macro's name and tests: names alone on their lines, and functions written out.
fn listed(text: &str) -> Option<(String, Vec<String>)> {
    let mut lines = text
        .lines()
        .skip_while(|line| !(line.starts_with(MACRO) && line.contains(SUFFIX)));
    let name = lines.next()?.strip_prefix(MACRO)?.split(SUFFIX).next()?;
    let mut tests = Vec::new();
    for line in lines.take_while(|line| *line != "}") {
        let line = line.trim();
        let test = match line.strip_prefix("async fn ") {
            Some(function) => function.split('(').next().unwrap_or_default(),
            None => line.trim_end_matches(','),
        };
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if test.contains('_') && test.chars().all(word) {
            tests.push(test.to_owned());
        }
    }
    Some((name.to_owned(), tests))
}

/// The clauses that the docs of a file's traits number.
fn clauses(text: &str) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("pub trait ") {
            let name = name.split([':', ' ', '<']).next().unwrap_or_default();
            for clause in clauses.iter_mut().filter(|clause| clause.of.is_empty()) {
                name.clone_into(&mut clause.of);
            }
        }
        let doc = line.strip_prefix("/// ");
        if let Some((id, text)) = doc.and_then(numbered) {
            clauses.push(Clause {
                id: id.to_owned(),
                of: String::new(),
                text: text.to_owned(),
            });
            open = true;
        } else if let (true, Some(more), Some(clause)) = (
            open,
            doc.and_then(|doc| doc.strip_prefix("  ")),
            clauses.last_mut(),
        ) {
            clause.text.push(' ');
            clause.text.push_str(more.trim());
        } else {
            open = false;
        }
    }
    clauses
}

/// `1. **C1** text` as `C1` and the text.
fn numbered(doc: &str) -> Option<(&str, &str)> {
    let (number, rest) = doc.split_once(". **")?;
    let (id, text) = rest.split_once("** ")?;
    let plain = number.bytes().all(|b| b.is_ascii_digit());
    let named = id.len() > 1 && id.bytes().skip(1).all(|b| b.is_ascii_digit());
    (plain && named).then_some((id, text))
}

fn runs(source: &Source, call: &str) -> Vec<Run> {
    let lines: Vec<&str> = source.text.lines().collect();
    let calls = lines.iter().enumerate().filter(|(_, line)| {
        let line = line.trim_start();
        let called = line.split_once(call).map(|(before, _)| before);
        !line.starts_with("//") && called.is_some_and(|before| !before.contains('$'))
    });
    calls
        .map(|(at, _)| {
            let modules = modules(lines.get(..=at).unwrap_or_default());
            Run {
                store: store(source, &modules),
                file: source.path.clone(),
                modules,
            }
        })
        .collect()
}

/// The modules that the last of `lines` stands in.
fn modules(lines: &[&str]) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut modules = Vec::new();
    let mut depth = lines.last().map_or(0, |line| indent(line));
    for line in lines.iter().rev() {
        let module = line.trim_start().strip_prefix("mod ");
        if let Some(name) = module.and_then(|module| module.strip_suffix(" {"))
            && indent(line) < depth
        {
            depth = indent(line);
            modules.push(name);
        }
    }
    modules.reverse();
    modules.join("::")
}

/// What is behind a run, by the names it stands under, or else by those its file uses.
fn store(source: &Source, modules: &str) -> &'static str {
    let place = format!("{} {modules}", source.path);
    let kinds = [
        ("memory", "memory"),
        ("custom_store", "custom"),
        ("cluster", "Redis Cluster"),
        ("redis", "Redis"),
        ("postgres", "PostgreSQL"),
    ];
    let named = |place: &str| {
        let kind = kinds.iter().find(|(word, _)| place.contains(word));
        kind.map(|(_, store)| *store)
    };
    let uses = |word: &str| source.text.contains(word);
    named(&place).unwrap_or(match () {
        () if uses("use redis::") => "Redis",
        () if uses(" Pg") || uses("::Pg") => "PostgreSQL",
        () => "memory",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_is_read_with_its_lines_joined() {
        let text = "/// A store.\n///\n/// 1. **C1** One\n///    and more.\n/// 2. **C2** Two.\n\
                    #[async_trait]\npub trait Store: Send {\n    /// Reads (C1).\n}\n\
                    /// 1. **R1** Three.\npub trait Reader {}\n";
        let clause = |id: &str, of: &str, text: &str| Clause {
            id: id.to_owned(),
            of: of.to_owned(),
            text: text.to_owned(),
        };
        let expected = [
            clause("C1", "Store", "One and more."),
            clause("C2", "Store", "Two."),
            clause("R1", "Reader", "Three."),
        ];
        assert_eq!(clauses(text), expected);
    }

    #[test]
    fn a_macro_is_read_in_each_of_its_forms() {
        let text = "macro_rules! key_store_conformance {\n    ($h:expr) => {\n        $crate::x! {\n\
                    c01_one\n            c02_two,\n        }\n    async fn c03_three() {\n    };\n\
                    (@each $case:ident) => {\n async fn $case() {}\n };\n}\nfn c04_no() {}\n";
        let (name, tests) = listed(text).unwrap();
        assert_eq!(name, "key_store");
        assert_eq!(tests, ["c01_one", "c02_two", "c03_three"]);
    }

    #[test]
    fn a_run_is_told_by_where_it_stands() {
        let text = "//! a::key_store_conformance!(no)\nmod redis {\n    mod blind {\n        \
                    a::key_store_conformance!(h());\n    }\n}\n$crate::key_store_conformance!(no)\n";
        let source = Source {
            path: "sheen-auth/tests/it/keys.rs".to_owned(),
            text: text.to_owned(),
        };
        let expected = Run {
            store: "Redis",
            file: source.path.clone(),
            modules: "redis::blind".to_owned(),
        };
        assert_eq!(runs(&source, "key_store_conformance!("), [expected]);
        let used = |text: &str| {
            let path = "sheen-auth/tests/it/keys.rs".to_owned();
            let text = text.to_owned();
            store(&Source { path, text }, "contract")
        };
        assert_eq!(used("use sheen_auth::keys::PgKeys;"), "PostgreSQL");
        assert_eq!(used("use redis::Client;"), "Redis");
        assert_eq!(used("use sheen_auth::keys::MemoryKeys;"), "memory");
    }
}
