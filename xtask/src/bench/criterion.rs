//! The medians of criterion's benchmarks. Groups whose names end in a number and what it counts,
//! like `limit, 10000 keys`, are places of one table.

use std::fs;
use std::path::{Path, PathBuf};

use super::figures::Tables;
use crate::run::Outcome;

/// Adds the medians under `folder`; names are as the benchmarks gave them, not as folders had to
/// spell them.
pub(super) fn read(folder: &Path, tables: &mut Tables) -> Outcome {
    for benchmark in folders(folder).iter().flat_map(|group| measured(group)) {
        let read = |name: &str| fs::read_to_string(benchmark.join("new").join(name));
        let (Ok(names), Ok(estimates)) = (read("benchmark.json"), read("estimates.json")) else {
            continue;
        };
        let unreadable = || format!("{}: not criterion's figures", benchmark.display());
        let group = string_field(&names, "group_id").ok_or_else(unreadable)?;
        let name = string_field(&names, "function_id").ok_or_else(unreadable)?;
        let input = string_field(&names, "value_str");
        let median = median(&estimates).ok_or_else(unreadable)?;
        let work = input.map_or_else(|| group.to_owned(), |input| format!("{group}, {input}"));
        let (work, by, at) = place(&work);
        tables.note(work, "ns", (by, at), (name, median));
    }
    Ok(())
}

/// The folders of one group that hold figures: `{function}` or `{function}/{input}`.
fn measured(group: &Path) -> Vec<PathBuf> {
    let functions = folders(group);
    let inputs = functions.iter().flat_map(|function| folders(function));
    let all: Vec<_> = functions.iter().cloned().chain(inputs).collect();
    let is_measured = |folder: &PathBuf| folder.join("new/estimates.json").is_file();
    all.into_iter().filter(is_measured).collect()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut folders: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The work, what its place counts, and the place, of a group's name.
fn place(group: &str) -> (&str, &str, u64) {
    let numbered = || {
        let (work, place) = group.rsplit_once(", ")?;
        let (number, by) = place.split_once(' ')?;
        Some((work, by, number.parse().ok()?))
    };
    numbered().unwrap_or((group, "", 0))
}

/// The string `"name":"…"` of a flat JSON text; names of benchmarks hold no escapes.
fn string_field<'t>(json: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = json.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// `median.point_estimate` of criterion's estimates.
fn median(json: &str) -> Option<f64> {
    let (_, median) = json.split_once("\"median\":")?;
    let (_, estimate) = median.split_once("\"point_estimate\":")?;
    let end = estimate.find([',', '}'])?;
    estimate[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criterions_files_are_read() {
        let json = r#"{"mean":{"point_estimate":1.0},"median":{"confidence_interval":{"lower_bound":2.0},"point_estimate":3.5,"standard_error":1}}"#;
        assert_eq!(median(json), Some(3.5));
        assert_eq!(median("{}"), None);
        let names = r#"{"group_id":"suggest","function_id":"en","value_str":null}"#;
        assert_eq!(string_field(names, "group_id"), Some("suggest"));
        assert_eq!(string_field(names, "value_str"), None);
    }

    #[test]
    fn a_number_at_the_end_is_a_place() {
        assert_eq!(place("limit, 10000 keys"), ("limit", "keys", 10_000));
        assert_eq!(place("claim a nonce, 1 live"), ("claim a nonce", "live", 1));
        for plain in ["verify v2", "hold, 100 on", "hold, on one account", "a, b"] {
            let (work, by, at) = place(plain);
            assert!(plain == "hold, 100 on" || (work, by, at) == (plain, "", 0));
        }
    }
}
