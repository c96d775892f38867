//! What load programs measured, for a person and for `cargo xtask bench`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

/// The file that [`Figure::tell`] appends to, one line a figure; `cargo xtask bench` names it.
pub const FILE_VARIABLE: &str = "SHEEN_BENCH_FIGURES";

/// One rate, time or size. Figures of one `work` at the same place stand beside each other; the
/// series whose name begins with `floor` is what the others are held against.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "benchmarks name its fields")]
pub struct Figure<'a> {
    /// What was done, like `reserves on one account`.
    pub work: &'a str,
    /// What the value counts, like `reserves/s`.
    pub unit: &'a str,
    /// What `at` counts, like `callers`.
    pub by: &'a str,
    /// Where on that scale it was measured.
    pub at: u64,
    /// Who did it.
    pub series: &'a str,
    /// The median of the rounds.
    pub value: f64,
}

impl Figure<'_> {
    /// Prints the figure, and appends it to the file that `SHEEN_BENCH_FIGURES` names, if any.
    ///
    /// # Panics
    /// When the file cannot be written, or a text holds a tab or a line break.
    #[expect(clippy::print_stdout, reason = "a benchmark's figures are its output")]
    pub fn tell(&self) {
        let Self {
            work,
            unit,
            by,
            at,
            series,
            value,
        } = self;
        println!("{work}, {at} {by}: {series:32} {value:14.1} {unit}");
        let Some(file) = std::env::var_os(FILE_VARIABLE).map(PathBuf::from) else {
            return;
        };
        for text in [work, unit, by, series] {
            assert!(!text.contains(['\t', '\n']), "{text:?}");
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&file)
            .unwrap_or_else(|problem| panic!("{}: {problem}", file.display()));
        writeln!(file, "{work}\t{unit}\t{by}\t{at}\t{series}\t{value}").expect("a line");
    }
}

/// The median, or of an even number the upper one of the two.
///
/// # Panics
/// Of nothing there is none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
