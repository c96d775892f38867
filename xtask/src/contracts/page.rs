//! The page: a table of clauses, tests and stores for each suite.

use std::fmt::Write as _;

use super::read::{Clause, Run, Suite};
use crate::run::Outcome;

/// In the order of the columns.
const STORES: [&str; 5] = ["memory", "PostgreSQL", "Redis", "Redis Cluster", "custom"];

const HEAD: &str = "\
# Contracts

What each store promises, the test that shows each promise, and the stores that run it. A store runs
the whole suite of its contract or none: the macro expands to all tests. `custom` is the store of
[examples/custom_store](../examples/custom_store). Written by `cargo xtask contracts` from the
sources; a test fails when it is stale.
";

pub(super) fn page(suites: &[Suite]) -> Outcome<String> {
    let mut page = HEAD.to_owned();
    for suite in suites {
        section(&mut page, suite)?;
    }
    Ok(page)
}

fn section(page: &mut String, suite: &Suite) -> Outcome {
    let name = &suite.name;
    let stores: Vec<&str> = STORES
        .into_iter()
        .filter(|store| suite.runs.iter().any(|run| run.store == *store))
        .collect();
    if stores.is_empty() {
        return Err(format!("no store runs {name}_conformance"));
    }
    let columns: String = stores.iter().map(|store| format!(" {store} |")).collect();
    let lines = " --- |".repeat(stores.len());
    put(page, &format!("\n## `{name}_conformance!`\n"));
    put(page, &format!("| clause | what it says | tests |{columns}"));
    put(page, &format!("| --- | --- | --- |{lines}"));
    let mut shown = Vec::new();
    for clause in &suite.clauses {
        let tests: Vec<&String> = suite
            .tests
            .iter()
            .filter(|test| shows(test, clause))
            .collect();
        if tests.is_empty() {
            return Err(format!("{name}: no test shows {} {}", clause.of, clause.id));
        }
        let names: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
        let marks = " yes |".repeat(stores.len());
        put(
            page,
            &format!(
                "| `{}` {} | {} | {} |{marks}",
                clause.of,
                clause.id,
                plain(&clause.text),
                names.join(", ")
            ),
        );
        shown.extend(tests);
    }
    for test in suite.tests.iter().filter(|test| !shown.contains(test)) {
        let marks = " yes |".repeat(stores.len());
        put(page, &format!("| all | | `{test}` |{marks}"));
    }
    put(page, "\nRun by:\n");
    for store in stores {
        for run in suite.runs.iter().filter(|run| run.store == store) {
            put(page, &format!("- {store}: {}", place(run)));
        }
    }
    Ok(())
}

fn put(page: &mut String, line: &str) {
    // A string takes any line.
    let _infallible = writeln!(page, "{line}");
}

fn place(run: &Run) -> String {
    let file = format!("[{}](../{})", run.file, run.file);
    if run.modules.is_empty() {
        file
    } else {
        format!("{file}, `{}`", run.modules)
    }
}

/// Whether a test's name begins with the clause's number: `c01_…` shows `C1`.
fn shows(test: &str, clause: &Clause) -> bool {
    let (letter, number) = clause.id.split_at(1);
    let Some(rest) = test.strip_prefix(&letter.to_lowercase()) else {
        return false;
    };
    let digits = rest.split('_').next().unwrap_or_default();
    digits.trim_start_matches('0') == number
}

/// The text as it stands in a cell: a link to an item is its name.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, after)) = link.split_once("`]") else {
            break;
        };
        plain.push_str(before);
        plain.push('`');
        plain.push_str(name);
        plain.push('`');
        rest = match after.strip_prefix('(').and_then(|to| to.split_once(')')) {
            Some((_, after)) => after,
            None => after,
        };
    }
    plain.push_str(rest);
    plain.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clause(id: &str) -> Clause {
        Clause {
            id: id.to_owned(),
            of: "Store".to_owned(),
            text: "It holds.".to_owned(),
        }
    }

    fn suite(tests: &[&str]) -> Suite {
        Suite {
            name: "key_store".to_owned(),
            clauses: vec![clause("C1"), clause("C10")],
            tests: tests.iter().map(|test| (*test).to_owned()).collect(),
            runs: vec![Run {
                store: "memory",
                file: "a.rs".to_owned(),
                modules: String::new(),
            }],
        }
    }

    #[test]
    fn a_clause_without_a_test_is_an_error() {
        let page = page(&[suite(&["c01_a", "c10_b", "model_c"])]).unwrap();
        assert!(
            page.contains("| `Store` C1 | It holds. | `c01_a` | yes |"),
            "{page}"
        );
        assert!(page.contains("| all | | `model_c` | yes |"), "{page}");
        let missing = super::page(&[suite(&["c10_b", "model_c"])]).unwrap_err();
        assert!(missing.contains("Store C1"), "{missing}");
        let mut unrun = suite(&["c01_a", "c10_b"]);
        unrun.runs.clear();
        assert!(super::page(&[unrun]).is_err());
    }

    #[test]
    fn links_become_names() {
        assert_eq!(
            plain("as [`Full`](a::b) or [`X::Y`] | z"),
            "as `Full` or `X::Y` \\| z"
        );
    }
}
