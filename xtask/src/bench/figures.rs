//! Tables of figures, and those that load programs tell.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::run::Outcome;

/// Tables by the work that was done.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tables(pub(super) BTreeMap<String, Table>);

/// What several did of the same work, at one place or more.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Table {
    /// What a figure counts: `ns`, or what a program said.
    pub(super) unit: String,
    /// What a place counts, nothing when there is one place without a number.
    pub(super) by: String,
    /// By place, then series.
    pub(super) places: BTreeMap<u64, BTreeMap<String, f64>>,
}

impl Tables {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn note(&mut self, work: &str, unit: &str, place: (&str, u64), figure: (&str, f64)) {
        let table = self.0.entry(work.to_owned()).or_default();
        table.unit = unit.to_owned();
        table.by = place.0.to_owned();
        let series = table.places.entry(place.1).or_default();
        series.insert(figure.0.to_owned(), figure.1);
    }
}

impl Table {
    /// Names of who did it, as they stand at the first place they appear.
    pub(super) fn series(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.places.values().flat_map(BTreeMap::keys) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

/// Whether a series is what the others are held against.
pub(super) fn is_floor(name: &str) -> bool {
    name.starts_with("floor")
}

/// Adds what load programs wrote, if any did.
pub(super) fn read(file: &Path, tables: &mut Tables) -> Outcome {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(problem) => return Err(format!("{}: {problem}", file.display())),
    };
    for line in text.lines() {
        parse(line, tables).ok_or_else(|| format!("{}: no figure: {line}", file.display()))?;
    }
    Ok(())
}

fn parse(line: &str, tables: &mut Tables) -> Option<()> {
    let words: Vec<&str> = line.split('\t').collect();
    let [work, unit, by, at, series, value] = words[..] else {
        return None;
    };
    let place = (by, at.parse().ok()?);
    tables.note(work, unit, place, (series, value.parse().ok()?));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_figure_or_told() {
        let mut tables = Tables::default();
        for line in [
            "reserves\treserves/s\tcallers\t64\tsheen\t52700.5",
            "reserves\treserves/s\tcallers\t1\tfloor: by hand\t800",
            "reserves\treserves/s\tcallers\t64\tfloor: by hand\t850",
        ] {
            assert_eq!(parse(line, &mut tables), Some(()), "{line}");
        }
        for bad in [
            "",
            "a\tb",
            "a\tb\tc\tx\td\t1",
            "a\tb\tc\t1\td\tx",
            "a\tb\tc\t1\td\t1\te",
        ] {
            assert_eq!(parse(bad, &mut tables), None, "{bad:?}");
        }
        let table = &tables.0["reserves"];
        assert_eq!(table.series(), ["floor: by hand", "sheen"]);
        assert!((table.places[&64]["sheen"] - 52700.5).abs() < 1e-9);
        assert!(is_floor("floor: by hand") && !is_floor("sheen"));
    }
}
