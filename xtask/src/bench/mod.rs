//! `cargo xtask bench`: runs the benchmarks and writes what they measured into docs/performance.md,
//! each figure beside the floor of its table, and a plot of each table that has several places.

mod criterion;
mod figures;
mod page;
mod plot;

use std::fs;
use std::path::Path;

use crate::run::{House, Outcome, Steps};
use figures::Tables;

/// A workspace of its own.
const PEERS: &str = "benches/peers/Cargo.toml";

/// What load programs append their figures to, see benches/src/figures.rs.
const FIGURES_VARIABLE: &str = "SHEEN_BENCH_FIGURES";

/// Writes the page from the figures there are, and runs nothing.
const PAGE: &str = "page";

/// Runs the benchmarks whose names were given and shows all figures there are; or all benchmarks
/// with those of heavy peers, and writes the page. `page` writes it from the figures there are.
pub(crate) fn bench(house: &House, wanted: &[String]) -> Outcome {
    let criterion = house.target.join("criterion");
    let told = house.target.join("figures.tsv");
    let only_page = wanted == [PAGE];
    if wanted.is_empty() {
        // Figures of benchmarks that are gone must not stand beside those of this run.
        gone(&criterion, |path| fs::remove_dir_all(path))?;
        gone(&told, |path| fs::remove_file(path))?;
    }
    if !only_page {
        run(house, wanted, &told)?;
    }
    let mut tables = Tables::default();
    criterion::read(&criterion, &mut tables)?;
    figures::read(&told, &mut tables)?;
    if tables.is_empty() {
        return Err("the benchmarks left no figures".to_owned());
    }
    if !wanted.is_empty() && !only_page {
        eprintln!("{}", page::tables(&tables, &plot::Plots::new()));
        return Ok(());
    }
    let docs = house.root.join("docs");
    let plots = plot::draw(&tables, &docs.join("plots"))?;
    let page = docs.join("performance.md");
    page::write(&page, &tables, &plots)?;
    eprintln!("wrote {}", page.display());
    Ok(())
}

fn run(house: &House, wanted: &[String], told: &Path) -> Outcome {
    let mut steps = Steps::default();
    let mut ours = vec!["bench", "--package", "benches"];
    if wanted.is_empty() {
        ours.push("--benches");
    }
    for name in wanted {
        ours.extend(["--bench", name]);
    }
    let mut run = |name: &str, arguments: &[&str]| {
        let mut command = house.cargo(arguments);
        steps.run(name, command.env(FIGURES_VARIABLE, told))
    };
    run("benchmarks", &ours)?;
    if wanted.is_empty() && house.root.join(PEERS).is_file() {
        let peers = ["bench", "--manifest-path", PEERS, "--benches"];
        run("benchmarks beside heavy peers", &peers)?;
    }
    Ok(())
}

fn gone(path: &Path, remove: fn(&Path) -> std::io::Result<()>) -> Outcome {
    match remove(path) {
        Err(problem) if problem.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {problem}", path.display()))
        }
        _ => Ok(()),
    }
}
